import { LabError } from '../../core/errors.ts';
import type { Rng } from '../../core/rng.ts';
import type { Similarity } from './similarity.ts';
import type { Watch } from './watch.ts';

/** An instruction and the answer that was drawn for it, as indices. */
export interface Drawn {
  instruction: number;
  answer: number;
  similarity: number;
  /** From 1. */
  draws: number;
}

export interface Pairing {
  /** In the order of the instructions. */
  pairs: Drawn[];
  /** Instructions whose every draw was too similar. */
  unpaired: number[];
  /** Draws that were too similar, those of the unpaired included. */
  redraws: number;
  /** Answers that are used more than once. */
  reused: number;
  /** Similarities of every instruction's first draw, whatever became of it: what another threshold would do. */
  first: number[];
  /** All similarities that were computed: `bins` of equal width from -1 to 1, accepted and refused. */
  histogram: { accepted: number[]; refused: number[] };
  /** The pairs nearest to the threshold from both sides, the nearest first. */
  border: { accepted: Drawn[]; refused: Drawn[] };
}

export const BINS = 80;
const BORDER = 8;

export const binOf = (similarity: number): number =>
  Math.min(BINS - 1, Math.max(0, Math.floor(((similarity + 1) / 2) * BINS)));

/**
 * Random pairs of instructions and answers. An answer that is more similar than the threshold goes back, and another is drawn that this
 * instruction has not had, up to `maxDraws` draws; no answer is used again while one that the instruction has not refused is unused.
 * @throws LabError 'bad-input' when nothing is left of all draws
 */
export async function drawPairs(
  rng: Rng,
  counts: { instructions: number; answers: number },
  similarity: Similarity,
  o: { threshold: number; maxDraws: number },
  watch: Watch = {},
): Promise<Pairing> {
  const deck = new Deck(rng, counts.answers);
  const refused: Set<number>[] = Array.from({ length: counts.instructions }, () => new Set<number>());
  const accepted: Drawn[] = [];
  const rejected: Drawn[] = [];
  const unpaired: number[] = [];
  const first = Array.from({ length: counts.instructions }, () => 0);
  const histogram = { accepted: empty(), refused: empty() };
  let waiting = Array.from({ length: counts.instructions }, (_, i) => i);
  while (waiting.length > 0) {
    watch.progress?.('draw', counts.instructions - waiting.length, counts.instructions);
    const tried: [number, number][] = [];
    const next: number[] = []; // those that could not draw come first
    for (const i of waiting) {
      const answer = deck.draw(refused[i]!);
      if (answer !== undefined) tried.push([i, answer]);
      else if (refused[i]!.size >= counts.answers) unpaired.push(i);
      else next.push(i);
    }
    const found = await similarity.of(tried, watch);
    tried.forEach(([instruction, answer], k) => {
      const alike = found[k]!;
      const draws = refused[instruction]!.size + 1;
      if (draws === 1) first[instruction] = alike;
      const drawn = { instruction, answer, similarity: alike, draws };
      if (alike <= o.threshold) {
        deck.use(answer);
        accepted.push(drawn);
        histogram.accepted[binOf(alike)]!++;
        return;
      }
      refused[instruction]!.add(answer);
      rejected.push(drawn);
      histogram.refused[binOf(alike)]!++;
      if (draws < o.maxDraws) next.push(instruction);
      else unpaired.push(instruction);
    });
    deck.endRound();
    waiting = next;
  }
  if (accepted.length === 0 && counts.instructions > 0) throw nothingLeft(o.threshold, rejected);
  return {
    pairs: [...accepted].sort((a, b) => a.instruction - b.instruction),
    unpaired: unpaired.sort((a, b) => a - b),
    redraws: rejected.length,
    reused: deck.reused,
    first,
    histogram,
    border: {
      accepted: [...accepted].sort((a, b) => b.similarity - a.similarity).slice(0, BORDER),
      refused: rejected.sort((a, b) => a.similarity - b.similarity).slice(0, BORDER),
    },
  };
}

const empty = (): number[] => Array.from({ length: BINS }, () => 0);

/** Answers by how often they were used: those used least are drawn first, in random order. */
class Deck {
  #layers: number[][];
  /** Drawn in this round, by layer. */
  #hands: Set<number>[] = [];
  #uses: number[];
  #rng: Rng;

  constructor(rng: Rng, answers: number) {
    this.#rng = rng;
    this.#layers = [rng.shuffle(Array.from({ length: answers }, (_, a) => a))];
    this.#uses = Array.from({ length: answers }, () => 0);
  }

  get reused(): number {
    return this.#uses.filter((n) => n > 1).length;
  }

  /** Undefined: whatever this instruction may have is in other hands until the round ends, or there is nothing. */
  draw(refused: ReadonlySet<number>): number | undefined {
    for (let l = 0; l < this.#layers.length; l++) {
      const layer = this.#layers[l]!;
      const k = layer.findLastIndex((answer) => !refused.has(answer));
      if (k >= 0) {
        const [answer] = layer.splice(k, 1);
        (this.#hands[l] ??= new Set()).add(answer!);
        return answer;
      }
      for (const held of this.#hands[l] ?? []) if (!refused.has(held)) return undefined;
    }
    return undefined;
  }

  use(answer: number): void {
    this.#uses[answer]!++;
  }

  /** What was used or refused in this round may be drawn again, after what is still here. */
  endRound(): void {
    const back = this.#rng.shuffle(this.#hands.flatMap((held) => [...held]));
    this.#hands = [];
    const most = back.reduce((max, answer) => Math.max(max, this.#uses[answer]!), 0);
    for (let l = 0; l <= most; l++)
      this.#layers[l] = [...back.filter((answer) => this.#uses[answer] === l), ...(this.#layers[l] ?? [])];
  }
}

function nothingLeft(threshold: number, rejected: readonly Drawn[]): LabError {
  const least = rejected.reduce((a, b) => Math.min(a, b.similarity), Infinity);
  return new LabError(
    'bad-input',
    `The threshold of ${threshold} refuses every pair: the least similar of ${rejected.length} draws has ${least}.`,
    {
      safe: 'Nothing was built, and the sets are as they were.',
      next: `Choose a threshold of at least ${least}, or answers about something else.`,
    },
  );
}
