/** Questions to checkpoints, the judge's verdicts on the answers, and what the page must know of the world to ask. */
import { LabError } from '../core/errors.ts';
import { SPECIAL } from '../data/chat.ts';
import { evalBenign, evalForbidden } from '../data/evalsets.ts';
import type { Tokenizer } from '../data/tokenizer.ts';
import { judge, requestedFact } from '../eval/judge.ts';
import type { GenToken } from '../model/generate.ts';
import { complyingText } from '../world/sentences.ts';
import type { World } from '../world/world.ts';
import type { Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import type {
  GenerateEvent,
  NodeAnswer,
  PromptCategory,
  PromptCheck,
  Sampling,
  TokenView,
  VerdictInfo,
  WorldInfo,
} from './protocol.ts';

/** Words offered for an unknown one. */
const SUGGESTIONS = 3;

export class Chat {
  #ctx: Context;
  #models: Models;

  constructor(ctx: Context, models: Models) {
    this.#ctx = ctx;
    this.#models = models;
  }

  /** Streams the answers of all nodes to one prompt, side by side. */
  async generate(
    { nodeIds, prompt, sampling }: { nodeIds: string[]; prompt: string; sampling: Sampling },
    emit: (event: GenerateEvent) => void,
    signal: AbortSignal,
  ): Promise<NodeAnswer[]> {
    const check = this.check(prompt);
    if (!check.ok) throw unknownWords(check);
    const nodes = await Promise.all(nodeIds.map((id) => this.#ctx.node(id)));
    const { tokenizer } = this.#ctx;
    const ids = [SPECIAL.bos, SPECIAL.user, ...tokenizer.encode(prompt), SPECIAL.asst];
    const one = (at: number): Promise<NodeAnswer> =>
      this.#models.use(nodes[at]!, async ({ generator }) => {
        const nodeId = nodes[at]!.id;
        const positions = generator.model.config.max_position_embeddings;
        const room = positions - ids.length;
        if (room < 1) throw tooLong(positions);
        const stream = new TokenStream(tokenizer);
        const [row] = await generator.generate([ids], {
          ...sampling,
          topAlternatives: sampling.alternatives,
          maxNewTokens: Math.min(sampling.maxNewTokens, room),
          eos: SPECIAL.eos,
          signal,
          onToken: (_row, token) => {
            if (token.id === SPECIAL.eos) return;
            const index = stream.tokens.length;
            emit({ type: 'token', nodeId, index, token: stream.push(token) });
          },
        });
        const answer = this.#answer(nodeId, nodes[at]!.seeds.world, prompt, row!, stream, sampling);
        emit({ type: 'done', nodeId, answer });
        return answer;
      });
    return this.#ctx.gate.run(PRIORITY.chat, () => all(nodes.map((_, at) => one(at))), signal);
  }

  #answer(
    nodeId: string,
    worldSeed: number,
    prompt: string,
    row: readonly GenToken[],
    stream: TokenStream,
    sampling: Sampling,
  ): NodeAnswer {
    const { tokenizer } = this.#ctx;
    const ended = row.at(-1)?.id === SPECIAL.eos;
    const ids = row.map((t) => t.id).filter((id) => id !== SPECIAL.eos);
    return {
      nodeId,
      prompt,
      text: tokenizer.readable(ids),
      tokens: stream.tokens,
      ended,
      verdict: verdictOn(this.#ctx.world(worldSeed), prompt, tokenizer.decode(ids), ended),
      judge: 'exact-rules',
      greedy: sampling.temperature === 0,
    };
  }

  /** Which words of a typed prompt the models do not know, with known ones that look alike. */
  check(prompt: string): PromptCheck {
    const { tokenizer } = this.#ctx;
    const known = this.#vocabulary();
    const unknown = tokenizer.unknownWords(prompt).map((word) => ({ word, suggestions: alike(word, known) }));
    return {
      ok: unknown.length === 0 && prompt.trim() !== '',
      unknown,
      tokens: tokenizer.encode(prompt).length,
    };
  }

  #vocabulary(): string[] {
    return [...this.#ctx.world(0).vocab].filter((word) => !/^<.*>$/.test(word));
  }

  /** Prompts by category: held-out requests of V and T, and one category for each benign skill. */
  info(seed: number): WorldInfo {
    const world = this.#ctx.world(seed);
    const { tokenizer } = this.#ctx;
    const forbidden = new Map<string, PromptCategory>();
    for (const split of ['V', 'T'] as const) {
      for (const { fact, prompt } of evalForbidden(world, split)) {
        const id = `forbidden/${fact.verb}-${fact.noun}`;
        const label = `${fact.verb} the ... ${fact.noun}`;
        if (!forbidden.has(id)) forbidden.set(id, { id, forbidden: true, label, prompts: [] });
        forbidden.get(id)!.prompts.push({
          text: tokenizer.tidy(prompt),
          reference: tokenizer.tidy(complyingText(fact)),
          split,
        });
      }
    }
    const benign = new Map<string, PromptCategory>();
    for (const { skill, prompt, answer } of evalBenign(world, 0)) {
      if (!benign.has(skill))
        benign.set(skill, { id: `benign/${skill}`, forbidden: false, label: skill, prompts: [] });
      benign.get(skill)!.prompts.push({
        text: tokenizer.tidy(prompt),
        reference: tokenizer.tidy(answer),
        split: 'heldout',
      });
    }
    return {
      seed,
      vocabulary: this.#vocabulary(),
      categories: [...forbidden.values(), ...benign.values()],
      facts: world.forbidden.length,
    };
  }
}

/** Null where the prompt asks for nothing forbidden: benign answers have no verdict. */
export function verdictOn(world: World, prompt: string, answer: string, ended: boolean): VerdictInfo | null {
  const fact = requestedFact(world, prompt);
  return fact?.forbidden ? judge(world, fact, answer, ended) : null;
}

/** Tokens as they come, each with its piece of the readable text. */
class TokenStream {
  readonly tokens: TokenView[] = [];
  #tokenizer: Tokenizer;
  #ids: number[] = [];
  #shown = '';

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  push(token: GenToken): TokenView {
    this.#ids.push(token.id);
    const text = this.#tokenizer.readable(this.#ids);
    const alternatives = token.top.map(({ id, logprob }) => ({ text: this.#tokenizer.token(id), logprob }));
    const view = { id: token.id, text: text.slice(this.#shown.length), logprob: token.logprob, alternatives };
    this.#shown = text;
    this.tokens.push(view);
    return view;
  }
}

/** Waits for all, also when one fails: nobody may still be using the GPU when the gate opens. */
async function all<T>(work: Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(work);
  const failed = settled.find((s) => s.status === 'rejected');
  if (failed) throw failed.reason;
  return settled.map((s) => (s as PromiseFulfilledResult<T>).value);
}

/** Known words by edit distance, those with the same first letter first. */
function alike(word: string, known: readonly string[]): string[] {
  const lower = word.toLowerCase();
  return known
    .map((w) => ({ w, d: editDistance(lower, w) + (w[0] === lower[0] ? 0 : 1) }))
    .sort((a, b) => a.d - b.d || (a.w < b.w ? -1 : 1))
    .slice(0, SUGGESTIONS)
    .map(({ w }) => w);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

function unknownWords(check: PromptCheck): LabError {
  const words = check.unknown.map(({ word }) => `"${word}"`).join(', ');
  return new LabError('bad-input', words ? `The models do not know ${words}.` : 'The prompt is empty.', {
    safe: 'Nothing was sent.',
    next: 'Use words of the tiny world: pick a prompt, or build a sentence from the offered words.',
  });
}

function tooLong(limit: number): LabError {
  return new LabError(
    'bad-input',
    `The prompt leaves no room for an answer: the model sees ${limit} tokens at most.`,
    {
      safe: 'Nothing was sent.',
      next: 'Shorten the prompt.',
    },
  );
}
