import type { VerdictKind } from '../core/verdicts.ts';
import { encodeWords, promptIds, SPECIAL } from '../data/chat.ts';
import {
  evalBenign,
  evalForbidden,
  evalNewSkill,
  heldOutText,
  type ForbiddenItem,
} from '../data/evalsets.ts';
import { Tokenizer } from '../data/tokenizer.ts';
import type { Answerer } from '../model/generate.ts';
import type { BenignItem } from '../world/skills.ts';
import { OPTION_LETTERS } from '../world/words.ts';
import type { SkillId } from '../world/words.ts';
import type { ForbiddenFact, World } from '../world/world.ts';
import { scoreLetters } from './choice.ts';
import { judge } from './judges/exact.ts';
import type { Verdict } from './judges/exact.ts';
import { benignAccuracy, exactMatch, forbiddenScore } from './metrics.ts';
import { perplexity } from './perplexity.ts';
import type { Scorer } from './perplexity.ts';
import { spread } from '../core/spread.ts';

/** Longest answer, in tokens. */
export const MAX_NEW_TOKENS = 40;
/** The world's longest prompt and its answer. */
export const MAX_LENGTH = 64 + MAX_NEW_TOKENS;
/** The benign questions are the same for every model and run of a world. */
export const EVAL_SEED = 0;

export type VerdictCounts = Record<VerdictKind, number>;

export interface Answer {
  /** In the world's own spelling, without <eos>. */
  text: string;
  ids: number[];
  /** log p of each token at temperature 1, the end of turn included. */
  logprobs: number[];
  /** The model ended its turn within MAX_NEW_TOKENS. */
  ended: boolean;
}

export interface JudgedAnswer {
  prompt: string;
  /** With the opening that was written for the model, if there was one. */
  answer: string;
  /** What was written for the model of the answer, and the turn that came before; absent where nothing was. */
  opening?: string;
  before?: string;
  /** `ForbiddenFact.id` of what was asked for. */
  fact: number;
  /** log p of each token that the model gave, to four digits; the end of turn, if it came, included. */
  logprobs: number[];
  ended: boolean;
  verdict: Verdict;
}

export interface ForbiddenScore {
  n: number;
  counts: VerdictCounts;
  /** Deflections among the irrelevant answers. */
  deflections: number;
  answers: JudgedAnswer[];
}

export interface SkillScore {
  skill: SkillId;
  correct: number;
  n: number;
}

export interface BenignScore {
  /** Unweighted mean over the skills, 0..1. */
  mean: number;
  skills: SkillScore[];
}

export interface ModelScores {
  forbidden: Partial<Record<'V' | 'T', ForbiddenScore>>;
  benign: BenignScore | null;
  /** The skill that only BFT teaches. */
  newSkill: { correct: number; n: number } | null;
  /** Multiple choice by the likeliest letter after 'the answer is', per skill; with a scorer only. */
  letters: { skill: 'mcq' | 'obqa'; correct: number; n: number }[] | null;
  /** Of held-out benign chats, all tokens; with a scorer only. */
  perplexity: number | null;
}

export interface EvalOptions {
  sets: readonly ('V' | 'T')[];
  /** Benign skills, new skill, letters and perplexity as well. */
  benign: boolean;
  /** For letters and perplexity. */
  scorer?: Scorer;
  /** Quick looks: the most forbidden prompts of a set (`fewForbidden`), and the most items per skill. */
  limit?: { forbidden: number; perSkill: number };
  signal?: AbortSignal;
  onProgress?(done: number, total: number): void;
}

const tokenizer = Tokenizer.tiny();

/** Greedy answers to all prompts, as many at once as the generator holds. */
export function answerAll(
  generator: Answerer,
  prompts: readonly string[],
  o: Pick<EvalOptions, 'signal' | 'onProgress'> = {},
): Promise<Answer[]> {
  return answerRows(generator, prompts.map(promptIds), o);
}

/**
 * Answers to rows of tokens, as many at once as the generator holds; similar lengths go together.
 * @param o.temperature 0 (default): greedy
 * @param o.seed of sampling: same seed and rows, same answers
 */
export async function answerRows(
  generator: Answerer,
  rows: readonly (readonly number[])[],
  o: Pick<EvalOptions, 'signal' | 'onProgress'> & { temperature?: number; seed?: number } = {},
): Promise<Answer[]> {
  const order = rows.map((_, i) => i).sort((a, b) => rows[a]!.length - rows[b]!.length);
  const out = new Array<Answer>(rows.length);
  const size = generator.cap.maxSeqs;
  for (let at = 0; at < order.length; at += size) {
    const part = order.slice(at, at + size);
    const answers = await generator.generate(
      part.map((i) => [...rows[i]!]),
      {
        maxNewTokens: MAX_NEW_TOKENS,
        eos: SPECIAL.eos,
        temperature: o.temperature ?? 0,
        // Rows of one call draw from streams of their own; calls must differ as well.
        ...(o.seed !== undefined && { seed: o.seed + at }),
        signal: o.signal,
      },
    );
    part.forEach((i, r) => {
      const logprobs = answers[r]!.map((t) => t.logprob);
      const tokens = answers[r]!.map((t) => t.id);
      const ended = tokens.at(-1) === SPECIAL.eos;
      if (ended) tokens.pop();
      out[i] = { text: tokenizer.decode(tokens), ids: tokens, logprobs, ended };
    });
    o.onProgress?.(Math.min(at + size, order.length), order.length);
  }
  return out;
}

/**
 * At most n of the forbidden prompts of a split, the same for every model of a world: each category as often as any other, no
 * fact twice while another was not asked, and places and wordings in turn.
 */
export function fewForbidden(world: World, split: 'V' | 'T', n: number): ForbiddenItem[] {
  return spread(evalForbidden(world, split), n, `forbidden/${world.seed}/${split}`, [
    (item) => item.category,
    (item) => item.fact.id,
    (item) => item.place,
    (item) => item.wording,
  ]);
}

/** Judges one model on held-out prompts: greedy answers, verdicts, exact-match accuracy; all prompts in one pass. */
export async function evaluateModel(generator: Answerer, world: World, o: EvalOptions): Promise<ModelScores> {
  const { forbidden: most = Infinity, perSkill = 40 } = o.limit ?? {};
  const sets = o.sets.map((set) => ({ set, items: fewForbidden(world, set, most) }));
  const benign = o.benign ? evalBenign(world, EVAL_SEED, perSkill) : [];
  const news = o.benign ? evalNewSkill(world, EVAL_SEED, perSkill) : [];
  const prompts = [...sets.flatMap((s) => s.items), ...benign, ...news].map((item) => item.prompt);
  const answers = await answerAll(generator, prompts, o);

  let at = 0;
  const take = <T>(items: readonly T[]): Answer[] => answers.slice(at, (at += items.length));
  const forbidden: ModelScores['forbidden'] = {};
  for (const { set, items } of sets) {
    const own = take(items);
    forbidden[set] = forbiddenScore(items.map(({ prompt, fact }, i) => judged(world, fact, prompt, own[i]!)));
  }
  const benignAnswers = take(benign);
  const newAnswers = take(news);
  return {
    forbidden,
    benign: o.benign ? benignScore(benign, benignAnswers) : null,
    newSkill: o.benign
      ? { correct: news.filter((item, i) => exact(item, newAnswers[i]!)).length, n: news.length }
      : null,
    letters: o.benign && o.scorer ? await letterScores(o.scorer, benign) : null,
    perplexity: o.benign && o.scorer ? (await perplexity(o.scorer, heldOutText(world))).perplexity : null,
  };
}

/** An answer to a forbidden request, with its verdict. */
export function judged(
  world: World,
  fact: ForbiddenFact,
  prompt: string,
  { text, ended, logprobs }: Answer,
  { opening = '', before = '' }: { opening?: string; before?: string } = {},
): JudgedAnswer {
  const answer = `${opening} ${text}`.trim();
  return {
    prompt,
    answer,
    ...(opening && { opening }),
    ...(before && { before }),
    fact: fact.id,
    // Plus zero: JSON has no -0, and an answer read back must be the one that was written.
    logprobs: logprobs.map((x) => Number(x.toFixed(4)) + 0),
    ended,
    verdict: judge(world, fact, answer, ended),
  };
}

const exact = (item: { answer: string }, { text, ended }: Answer): boolean =>
  exactMatch(item.answer, text, ended);

function benignScore(items: readonly BenignItem[], answers: readonly Answer[]): BenignScore {
  const { mean, perSkill } = benignAccuracy(
    items.map((item, i) => ({ skill: item.skill, correct: exact(item, answers[i]!) })),
  );
  const skills = Object.entries(perSkill).map(([skill, { k, n }]) => ({
    skill: skill as SkillId,
    correct: k,
    n,
  }));
  return { mean, skills };
}

/** Letter-scored multiple choice: which of a, b, c, d is likeliest after 'the answer is'. */
export async function letterScores(
  scorer: Scorer,
  items: readonly BenignItem[],
): Promise<NonNullable<ModelScores['letters']>> {
  const letters = OPTION_LETTERS.map((l) => encodeWords(l)[0]!);
  const lead = encodeWords('the answer is');
  const out: NonNullable<ModelScores['letters']> = [];
  for (const skill of ['mcq', 'obqa'] as const) {
    const own = items.filter((item) => item.skill === skill);
    const rows = own.map((item) => ({ prompt: [...promptIds(item.prompt), ...lead], letters }));
    const scores = await scoreLetters(scorer, rows);
    const correct = own.filter((item, i) => OPTION_LETTERS[scores[i]!.chosen] === item.letter).length;
    out.push({ skill, correct, n: own.length });
  }
  return out;
}
