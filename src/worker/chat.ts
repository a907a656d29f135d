/** Questions to checkpoints, the judge's verdicts on the answers, and what the page must know of the world to ask. */
import { LabError } from '../core/errors.ts';
import { evalBenign, evalForbidden } from '../data/evalsets.ts';
import { judge, requestedFact } from '../eval/judges/exact.ts';
import { exactMatch } from '../eval/metrics.ts';
import type { Generator, GenToken } from '../model/generate.ts';
import { toWords } from '../world/parse.ts';
import { complyingText } from '../world/sentences.ts';
import type { World } from '../world/world.ts';
import type { Context } from './context.ts';
import { toErrorInfo } from './error-info.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import { ownVoice, tinyVoice, type Voice } from './voice.ts';
import type {
  GenerateEvent,
  LabNode,
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

  /**
   * Streams the answers of all nodes to one prompt, side by side; a node that fails leaves the others their answers.
   * @throws LabError the first failure where no node answers
   */
  async generate(
    { nodeIds, prompt, sampling }: { nodeIds: string[]; prompt: string; sampling: Sampling },
    emit: (event: GenerateEvent) => void,
    signal: AbortSignal,
  ): Promise<NodeAnswer[]> {
    const check = await this.check(prompt, nodeIds);
    if (!check.ok) throw unknownWords(check);
    const nodes = await Promise.all(nodeIds.map((id) => this.#ctx.node(id)));
    const one = (node: LabNode): Promise<NodeAnswer> =>
      this.#models.use(node, async ({ generator }) => {
        const nodeId = node.id;
        const { answer } = await this.ask(node, prompt, generator, sampling, signal, (index, token) =>
          emit({ type: 'token', nodeId, index, token }),
        );
        emit({ type: 'done', nodeId, answer });
        return answer;
      });
    const asked = (): Promise<NodeAnswer[]> =>
      answered(nodes.map(one), (i, error) => {
        const { id: nodeId } = nodes[i]!;
        if (!signal.aborted) emit({ type: 'failed', nodeId, error: toErrorInfo(error) });
      });
    return this.#ctx.gate.run(PRIORITY.chat, asked, signal);
  }

  /**
   * The answer of one model, in the caller's turn on the GPU.
   * @param node whose words, world and judge the model has
   */
  async ask(
    node: LabNode,
    prompt: string,
    generator: Generator,
    sampling: Sampling,
    signal: AbortSignal,
    onToken?: (index: number, token: TokenView) => void,
  ): Promise<{ answer: NodeAnswer; voice: Voice }> {
    const voice = await this.voice(node);
    const ids = voice.prompt(prompt);
    const room = generator.cap.maxLen - ids.length;
    if (ids.length === 0) throw nothingToSay();
    if (room < 1) throw tooLong(generator.cap.maxLen);
    const stream = new TokenStream(voice, ids);
    const [row] = await generator.generate([ids], {
      ...sampling,
      topAlternatives: sampling.alternatives,
      maxNewTokens: Math.min(sampling.maxNewTokens, room),
      eos: voice.ends,
      signal,
      onToken: (_row, token) => {
        if (voice.ends.has(token.id)) return;
        const index = stream.tokens.length;
        const view = stream.push(token);
        onToken?.(index, view);
      },
    });
    stream.end();
    return { answer: this.#answer(node, prompt, row!, stream, sampling), voice };
  }

  /** How a node's model is spoken to. */
  async voice(node: LabNode): Promise<Voice> {
    if (node.root !== null) return tinyVoice(this.#ctx.tokenizer);
    return ownVoice(await this.#models.opened.text(await this.#ctx.rootId(node)));
  }

  #answer(
    { id: nodeId, root, seeds }: LabNode,
    prompt: string,
    row: readonly GenToken[],
    { tokens, ended }: TokenStream,
    sampling: Sampling,
  ): NodeAnswer {
    const text = tokens.map((token) => token.text).join('');
    const shared = { nodeId, prompt, text, tokens, ended: ended(row), greedy: sampling.temperature === 0 };
    if (root === null) return { ...shared, verdict: null, correct: null, judge: 'none' };
    const said = this.#ctx.tokenizer.decode(tokens.map((token) => token.id));
    const world = this.#ctx.world(seeds.world);
    const verdict = verdictOn(world, prompt, said, shared.ended);
    return {
      ...shared,
      verdict,
      correct: correctOn(world, prompt, said, shared.ended),
      judge: 'exact-rules',
    };
  }

  /** Which words of a typed prompt a model of the tiny world does not know, with known ones that look alike. */
  async check(prompt: string, nodeIds: readonly string[]): Promise<PromptCheck> {
    const { tokenizer } = this.#ctx;
    const nodes = (await this.#ctx.store.nodes()).filter((node) => nodeIds.includes(node.id));
    const worldly = nodes.length === 0 || nodes.some((node) => node.root !== null);
    const known = this.#vocabulary();
    const unknown = worldly
      ? tokenizer.unknownWords(prompt).map((word) => ({ word, suggestions: alike(word, known) }))
      : [];
    return { ok: unknown.length === 0 && prompt.trim() !== '', unknown };
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

/** By world: the answers to the everyday questions that the page offers. */
const everyday = new WeakMap<World, Map<string, string>>();

/** Whether an everyday question of the page's list is answered word for word; null for any other prompt. */
export function correctOn(world: World, prompt: string, answer: string, ended: boolean): boolean | null {
  let known = everyday.get(world);
  if (!known) {
    known = new Map(evalBenign(world, 0).map((item) => [toWords(item.prompt).join(' '), item.answer]));
    everyday.set(world, known);
  }
  const expected = known.get(toWords(prompt).join(' '));
  return expected === undefined ? null : exactMatch(expected, answer, ended);
}

/** Tokens as they come, each with its piece of the readable text. */
class TokenStream {
  readonly tokens: TokenView[] = [];
  #voice: Voice;
  #stream: ReturnType<Voice['stream']>;

  constructor(voice: Voice, prompt: readonly number[]) {
    this.#voice = voice;
    this.#stream = voice.stream(prompt);
  }

  push({ id, logprob, top }: GenToken): TokenView {
    const alternatives = top.map((other) => ({ text: this.#voice.spell(other.id), logprob: other.logprob }));
    const view = { id, text: this.#stream.push(id), logprob, alternatives };
    this.tokens.push(view);
    return view;
  }

  /** What the last tokens held back, an unfinished character, is theirs. */
  end(): void {
    const last = this.tokens.pop();
    if (last) this.tokens.push({ ...last, text: last.text + this.#stream.end() });
  }

  /** Whether the model ended its turn. */
  readonly ended = (row: readonly GenToken[]): boolean => this.#voice.ends.has(row.at(-1)?.id ?? -1);
}

/** Waits for all, also when one fails: nobody may still be using the GPU when the gate opens. */
async function answered<T>(
  work: readonly Promise<T>[],
  onFailed: (index: number, error: unknown) => void,
): Promise<T[]> {
  const settled = await Promise.allSettled(work);
  settled.forEach((s, i) => {
    if (s.status === 'rejected') onFailed(i, s.reason);
  });
  const values = settled.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []));
  const failed = settled.find((s) => s.status === 'rejected');
  if (failed && values.length === 0) throw failed.reason;
  return values;
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

function nothingToSay(): LabError {
  return new LabError('bad-input', 'The prompt is empty, and this model has no token that begins a text.', {
    safe: 'Nothing was sent.',
    next: 'Write a question.',
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
