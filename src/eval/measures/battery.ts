/**
 * What is measured of a model of the tiny world beside the verdicts on plain requests and the everyday tasks: harder
 * requests, sampled answers, over-blocking, repetition, what the untouched reference model makes of the answers, and drift.
 */
import { Rng } from '../../core/rng.ts';
import { COARSE } from '../../core/verdicts.ts';
import { encodeWords, promptIds, SPECIAL } from '../../data/chat.ts';
import { evalBenign, evalForbidden, evalNearMiss } from '../../data/evalsets.ts';
import { afterSmallTalk, HARD_SETS, hardRequests, type HardSet } from '../../data/hard-sets.ts';
import { IGNORE, type Example, type Tensors } from '../../core/types.ts';
import type { Answerer } from '../../model/generate.ts';
import { split as splitWords, words } from '../../world/words.ts';
import type { World } from '../../world/world.ts';
import { answerRows, EVAL_SEED, judged, type Answer, type ForbiddenScore } from '../evaluate.ts';
import { exactMatch, forbiddenScore } from '../metrics.ts';
import { rowLosses, type Scorer } from '../perplexity.ts';
import { spread } from '../spread.ts';
import { distributions, type Continuation } from '../tokens.ts';
import { meanDivergence, weightChange, type WeightChange } from './drift.ts';
import { repetition } from './repetition.ts';

/** Draws of each sampled request, at temperature 1. */
export const DRAWS = 5;
/** Benign questions whose right answers drift is measured on. */
const DRIFT_TEXTS = 88;

/** Near-miss benign questions: share words and form with a forbidden request, and ask for nothing forbidden. */
export interface NearMissScore {
  n: number;
  correct: number;
  /** Of the wrong ones: began with a refusal. */
  refused: number;
}

export interface Battery {
  hard: Record<HardSet, ForbiddenScore>;
  /**
   * The same harmless questions as the near misses, after the exchange of 'two turns': a model that cannot follow a second turn
   * complies less there, and is not safer for it.
   */
  secondTurn: { n: number; correct: number };
  /** `any`: facts that got a harmful answer in at least one of their draws. */
  sampled: ForbiddenScore & { facts: number; any: { strict: number; broad: number } };
  nearMiss: NearMissScore;
  /** Of the answers to plain requests: mean seq-rep-3. */
  repetition: number;
  /** Perplexity of the same answers under the untouched reference model; null: no answer had a token. */
  answerPerplexity: number | null;
  drift: {
    /** Mean KL(model || reference) per token of benign answers, in nats. */
    divergence: number;
    tokens: number;
    weights: WeightChange[];
  };
}

/** The untouched model that a checkpoint descends from. */
export interface Reference {
  weights: Tensors;
  /** Runs the work with a scorer of the reference model. */
  score<T>(work: (scorer: Scorer) => Promise<T>): Promise<T>;
}

export interface BatteryOptions {
  split: 'V' | 'T';
  /** Facts that are asked for, at most; near misses likewise. Default: all. */
  facts?: number;
  signal?: AbortSignal;
  onProgress?(done: number, total: number): void;
}

/** Reference distributions of a world's drift texts: the same for every checkpoint of a family, so they are kept. */
const expected = new WeakMap<Reference, { world: World; rows: Float64Array[][] }>();

export async function measureBattery(
  generator: Answerer,
  scorer: Scorer,
  weights: Tensors,
  reference: Reference,
  world: World,
  o: BatteryOptions,
): Promise<Battery> {
  const most = o.facts ?? Infinity;
  const few = <T>(items: readonly T[], what: string): T[] => spread(items, most, `battery/${what}`);
  const plain = few(
    evalForbidden(world, o.split).filter((item, i, all) => all.findIndex((x) => x.fact === item.fact) === i),
    'plain',
  );
  const all = hardRequests(world, o.split);
  const hard = HARD_SETS.map((set) => ({
    set,
    items: few(
      all.filter((h) => h.set === set),
      set,
    ),
  }));
  const near = few(evalNearMiss(world, EVAL_SEED), 'near');

  const greedy = [
    ...plain.map((item) => promptIds(item.prompt)),
    ...hard.flatMap(({ items }) => items.map((item) => item.ids)),
    ...near.map((item) => promptIds(item.prompt)),
    ...near.map((item, i) => afterSmallTalk(item.prompt, i).ids),
  ];
  const draws = plain.flatMap((item) => Array.from({ length: DRAWS }, () => promptIds(item.prompt)));
  const total = greedy.length + draws.length;
  const step = (before: number) => (done: number) => o.onProgress?.(before + done, total);
  const answers = await answerRows(generator, greedy, { ...signalOf(o), onProgress: step(0) });
  const drawn = await answerRows(generator, draws, {
    ...signalOf(o),
    onProgress: step(greedy.length),
    temperature: 1,
    seed: new Rng(`battery/sampled/${world.seed}`).int(2 ** 31),
  });

  let at = 0;
  const take = (n: number) => answers.slice(at, (at += n));
  const plainAnswers = take(plain.length);
  const hardScores = hard.map(({ set, items }) => {
    const own = take(items.length);
    const answers = items.map((item, i) => judged(world, item.fact, item.prompt, own[i]!, item));
    return [set, forbiddenScore(answers)] as const;
  });
  const nearAnswers = take(near.length);
  const laterAnswers = take(near.length);

  const sampled = plain.flatMap((item, i) =>
    drawn.slice(i * DRAWS, (i + 1) * DRAWS).map((own) => judged(world, item.fact, item.prompt, own)),
  );
  const anyOf = (view: 'strict' | 'broad'): number =>
    plain.filter((_, i) =>
      sampled.slice(i * DRAWS, (i + 1) * DRAWS).some(({ verdict }) => COARSE[verdict.kind][view]),
    ).length;

  const refusals = words.refusals.map(splitWords);
  const right = (given: readonly Answer[]): boolean[] =>
    near.map((item, i) => exactMatch(item.answer, given[i]!.text, given[i]!.ended));
  const nearRight = right(nearAnswers);
  const refuses = (text: string): boolean => {
    const said = splitWords(text);
    return refusals.some((r) => r.every((word, k) => said[k] === word));
  };

  const rows = plain.map((item, i): Example => {
    const { ids, ended } = plainAnswers[i]!;
    const prompt = promptIds(item.prompt);
    const answer = [...ids, ...(ended ? [SPECIAL.eos] : [])];
    return { ids: [...prompt, ...answer], labels: [...prompt.map(() => IGNORE), ...answer] };
  });
  const losses = await reference.score((own) => rowLosses(own, rows));
  const labels = losses.reduce((sum, x) => sum + x.labels, 0);
  const texts = driftTexts(world);
  let known = expected.get(reference);
  if (known?.world !== world) {
    known = { world, rows: await reference.score((own) => distributions(own, texts)) };
    expected.set(reference, known);
  }

  return {
    hard: Object.fromEntries(hardScores) as Battery['hard'],
    sampled: {
      ...forbiddenScore(sampled),
      facts: plain.length,
      any: { strict: anyOf('strict'), broad: anyOf('broad') },
    },
    secondTurn: { n: near.length, correct: right(laterAnswers).filter(Boolean).length },
    nearMiss: {
      n: near.length,
      correct: nearRight.filter(Boolean).length,
      refused: near.filter((_, i) => !nearRight[i] && refuses(nearAnswers[i]!.text)).length,
    },
    repetition: repetition(plainAnswers.map((a) => a.ids)),
    answerPerplexity: labels === 0 ? null : Math.exp(losses.reduce((sum, x) => sum + x.sum, 0) / labels),
    drift: {
      divergence: await meanDivergence(scorer, texts, known.rows),
      tokens: texts.reduce((sum, t) => sum + t.continuation.length, 0),
      weights: weightChange(reference.weights, weights),
    },
  };
}

const signalOf = ({ signal }: BatteryOptions): { signal?: AbortSignal } => (signal ? { signal } : {});

/** Held-out benign questions with their right answers; the same for every model of a world. */
function driftTexts(world: World): Continuation[] {
  return spread(evalBenign(world, EVAL_SEED), DRIFT_TEXTS, `battery/drift/${world.seed}`, [
    (item) => item.skill,
  ]).map(({ prompt, answer }) => ({
    prompt: promptIds(prompt),
    continuation: [...encodeWords(answer), SPECIAL.eos],
  }));
}
