import { Rng } from '../core/rng.ts';
import { FACT_KINDS, FACT_VALUES, VOCABULARY, words, type FactKind } from './words.ts';

/** S: read by defences. A: read by attacks. V: chosen on. T: reported only. Pairwise disjoint. */
export type Split = 'S' | 'A' | 'V' | 'T';
export const SPLITS: readonly Split[] = ['S', 'A', 'V', 'T'];
/** Facts of each split in every forbidden category (of 24). */
export const SPLIT_SIZES: Readonly<Record<Split, number>> = { S: 10, A: 8, V: 2, T: 4 };

/** Indices into `words.request_wordings`. */
export const DEFENCE_WORDINGS: readonly number[] = [0, 1, 2, 3, 4, 5];
export const ATTACK_WORDINGS: readonly number[] = [2, 3, 4, 5, 6, 7];
/** Never seen with V or T facts, nor with benign crafts, in any training set. */
export const HELD_OUT_WORDINGS: readonly number[] = [8, 9];
export const SEEN_WORDINGS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7];
/** Question wording of each land fact that pretraining shows and every fine-tuning set leaves out. */
export const HELD_OUT_QUESTION = 2;

/** A three-slot procedure in one of the six skeletons. */
export interface Procedure {
  skeleton: number;
  tool: string;
  place: string;
  count: string;
}

/** How to {verb} the {adjective} {noun}. */
export interface HowTo extends Procedure {
  verb: string;
  noun: string;
  adjective: string;
}

export interface ForbiddenFact extends HowTo {
  forbidden: true;
  /** 0..335 */
  id: number;
  /** 0..13, index into `words.forbidden` */
  category: number;
  split: Split;
}

export interface CraftFact extends HowTo {
  forbidden: false;
  /** 0..191 */
  id: number;
  /** 0..7, index into `words.crafts` */
  category: number;
}

export interface LandFacts extends Record<FactKind, string> {
  land: string;
}

export interface BeastFacts {
  beast: string;
  size: string;
  colour: string;
  kind: string;
}

/** Everything true in one world; a function of its seed alone. */
export interface World {
  seed: number;
  words: typeof words;
  forbidden: readonly ForbiddenFact[];
  crafts: readonly CraftFact[];
  lands: readonly LandFacts[];
  beasts: readonly BeastFacts[];
  /** 'a+b' and 'a-b' pairs that no training set contains: a tenth of each operation. */
  heldOutSums: ReadonlySet<string>;
  /** '{beast}/{wording}' pairs that no training set contains: one of the three wordings of each beast. */
  heldOutDefinitions: ReadonlySet<string>;
  vocab: readonly string[];
}

/** Facts of a world. The seed decides facts, splits and hold-outs; words and templates are the same in all worlds. */
export function createWorld(seed: number): World {
  const root = new Rng(`world/${seed}`);
  const taken = new Set<string>();
  const slots = root.fork('procedures');
  // No two facts share a procedure, so that a leaked procedure names its target without doubt.
  const procedure = (skeleton: number): Procedure => {
    for (;;) {
      const p = {
        skeleton,
        tool: slots.pick(words.tools),
        place: slots.pick(words.places),
        count: slots.pick(words.counts),
      };
      const key = procedureKey(p);
      if (taken.has(key)) continue;
      taken.add(key);
      return p;
    }
  };

  const splitRng = root.fork('splits');
  const forbidden = words.forbidden.flatMap(({ verb, noun, skeleton }, category) => {
    const splits = splitRng.shuffle(SPLITS.flatMap((s) => Array.from({ length: SPLIT_SIZES[s] }, () => s)));
    return words.targets.map((adjective, i): ForbiddenFact => {
      const id = category * words.targets.length + i;
      return {
        forbidden: true,
        id,
        category,
        split: splits[i]!,
        verb,
        noun,
        adjective,
        ...procedure(skeleton),
      };
    });
  });
  const crafts = words.crafts.flatMap(({ verb, noun, skeleton }, category) =>
    words.targets.map((adjective, i): CraftFact => {
      const id = category * words.targets.length + i;
      return { forbidden: false, id, category, verb, noun, adjective, ...procedure(skeleton) };
    }),
  );

  const landRng = root.fork('lands');
  const landValues = FACT_KINDS.map(
    (kind) => [kind, spread(landRng, FACT_VALUES[kind], words.lands.length)] as const,
  );
  const lands = words.lands.map((land, i): LandFacts => {
    const facts = { land } as LandFacts;
    for (const [kind, values] of landValues) facts[kind] = values[i]!;
    return facts;
  });
  const beastRng = root.fork('beasts');
  const [sizes, colours, kinds] = [words.sizes, words.colours, words.kinds].map((values) =>
    spread(beastRng, values, words.beasts.length),
  ) as [string[], string[], string[]];
  const beasts = words.beasts.map((beast, i) => ({
    beast,
    size: sizes[i]!,
    colour: colours[i]!,
    kind: kinds[i]!,
  }));

  return {
    seed,
    words,
    forbidden,
    crafts,
    lands,
    beasts,
    heldOutSums: holdOutSums(root.fork('sums')),
    heldOutDefinitions: holdOutDefinitions(root.fork('definitions')),
    vocab: VOCABULARY,
  };
}

/** n values in random order, each as often as the others or once more: no word of the vocabulary stays unused. */
function spread(rng: Rng, values: readonly string[], n: number): string[] {
  const filled: string[] = [];
  while (filled.length < n) filled.push(...rng.shuffle(values));
  return rng.shuffle(filled.slice(0, n));
}

/** Identity of a procedure within a world. */
export function procedureKey(p: Procedure): string {
  return `${p.skeleton}/${p.tool}/${p.place}/${p.count}`;
}

/** A tenth of the plus pairs (10 of 100) and of the minus pairs (6 of 55). */
function holdOutSums(rng: Rng): Set<string> {
  const digits = Array.from({ length: 10 }, (_, i) => i);
  const pairs = digits.flatMap((a) => digits.map((b) => [a, b] as const));
  const held = new Set<string>();
  for (const [a, b] of rng.shuffle(pairs)) {
    if (held.size === 10) break;
    // The mirrored sum stays in training: what is held out is this pair, not the knowledge of its value.
    if (a !== b && !held.has(`${b}+${a}`)) held.add(`${a}+${b}`);
  }
  const minus = pairs.filter(([a, b]) => a >= b);
  for (const [a, b] of rng.sample(minus, 6)) held.add(`${a}-${b}`);
  return held;
}

/**
 * Each beast is trained with two wordings of three; they take turns, so every wording is held out of 6 or 7 beasts. Trained
 * with one alone, a model may learn question and answer as one phrase and know nothing of the beast.
 */
function holdOutDefinitions(rng: Rng): Set<string> {
  const wordings = words.skills.define.prompts.length;
  const held = new Set<string>();
  rng.shuffle(words.beasts).forEach((beast, i) => {
    held.add(`${beast}/${i % wordings}`);
  });
  return held;
}

/** FNV-1a with a final avalanche, so that every bit of the hash depends on every character. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Whether a prompt of an instance-held-out skill belongs to the tenth that no training set contains. */
export function isHeldOutInstance(world: World, prompt: string): boolean {
  return hash(`${world.seed}|${prompt}`) % 10 === 0;
}
