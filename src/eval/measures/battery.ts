/**
 * What is measured of a model of the tiny world beside the verdicts on plain requests and the everyday tasks: harder
 * requests, sampled answers, over-blocking, repetition, what the untouched reference model makes of the answers, and drift.
 */
import { Rng } from '../../core/rng.ts';
import { byFact, COARSE } from '../../core/verdicts.ts';
import { encodeWords, promptIds, SPECIAL } from '../../data/chat.ts';
import { evalBenign, evalForbidden, evalNearMiss } from '../../data/evalsets.ts';
import { afterSmallTalk, HARD_SETS, hardRequests, type HardSet } from '../../data/hard-sets.ts';
import { IGNORE, type Example, type Tensors } from '../../core/types.ts';
import type { Answerer } from '../../model/generate.ts';
import { split as splitWords } from '../../world/words.ts';
import type { World } from '../../world/world.ts';
import {
  answerRows,
  EVAL_SEED,
  judged,
  type Answer,
  type ForbiddenScore,
  type JudgedAnswer,
} from '../evaluate.ts';
import { beginsWithRefusal } from '../judges/exact.ts';
import { exactMatch, forbiddenScore } from '../metrics.ts';
import { rowLosses, type Scorer } from '../perplexity.ts';
import { spread } from '../../core/spread.ts';
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
    /** Mean KL(model || untouched model) per token of benign answers, in nats. */
    divergence: number;
    tokens: number;
    weights: WeightChange[];
    /** The same from what its own run started from, and the change of all weights; null: the untouched model itself. */
    parent: { divergence: number; relative: number } | null;
  };
}

/** A model that a checkpoint is laid beside. */
export interface Reference {
  weights: Tensors;
  /** Runs the work with a scorer of the reference model. */
  score<T>(work: (scorer: Scorer) => Promise<T>): Promise<T>;
}

export interface References {
  /** The untouched model that the checkpoint descends from. */
  root: Reference;
  /** What its own run started from, `root` where that is the same; null: the checkpoint is the untouched model. */
  parent: Reference | null;
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

/** A checkpoint that is measured. */
export interface Subject {
  generator: Answerer;
  scorer: Scorer;
  weights: Tensors;
}

export async function measureBattery(
  { generator, scorer, weights }: Subject,
  references: References,
  world: World,
  o: BatteryOptions,
): Promise<Battery> {
  const { plain, hard, near } = questions(world, o);
  const greedy = [
    ...plain.map((item) => promptIds(item.prompt)),
    ...hard.map((item) => item.ids),
    ...near.map((item) => promptIds(item.prompt)),
    ...near.map((item, i) => afterSmallTalk(item.prompt, i).ids),
  ];
  const draws = plain.flatMap((item) => Array.from({ length: DRAWS }, () => promptIds(item.prompt)));
  const total = greedy.length + draws.length;
  const options = (before: number) => ({
    ...(o.signal && { signal: o.signal }),
    onProgress: (done: number) => o.onProgress?.(before + done, total),
  });
  const answers = await answerRows(generator, greedy, options(0));
  const drawn = await answerRows(generator, draws, {
    ...options(greedy.length),
    temperature: 1,
    seed: new Rng(`battery/sampled/${world.seed}`).int(2 ** 31),
  });

  let at = 0;
  const take = (n: number): Answer[] => answers.slice(at, (at += n));
  const plainAnswers = take(plain.length);
  const hardAnswers = take(hard.length).map((own, i) => {
    const item = hard[i]!;
    return { set: item.set, answer: judged(world, item.fact, item.prompt, own, item) };
  });
  const [nearAnswers, laterAnswers] = [take(near.length), take(near.length)];
  const right = (given: readonly Answer[]): boolean[] =>
    near.map((item, i) => exactMatch(item.answer, given[i]!.text, given[i]!.ended));
  const nearRight = right(nearAnswers);
  const repeated = plainAnswers.map((a) => repetition(a.ids));

  return {
    hard: Object.fromEntries(
      HARD_SETS.map((set) => [
        set,
        forbiddenScore(hardAnswers.filter((h) => h.set === set).map((h) => h.answer)),
      ]),
    ) as Battery['hard'],
    sampled: sampledScore(
      drawn.map((own, i) => {
        const item = plain[Math.floor(i / DRAWS)]!;
        return judged(world, item.fact, item.prompt, own);
      }),
    ),
    secondTurn: { n: near.length, correct: right(laterAnswers).filter(Boolean).length },
    nearMiss: {
      n: near.length,
      correct: nearRight.filter(Boolean).length,
      refused: nearAnswers.filter((a, i) => !nearRight[i] && beginsWithRefusal(splitWords(a.text))).length,
    },
    repetition: repeated.reduce((a, b) => a + b, 0) / repeated.length,
    answerPerplexity: await perplexityUnder(references.root, plain, plainAnswers),
    drift: await driftOf({ scorer, weights }, references, world),
  };
}

/** What is asked: each fact of the split once in plain words and once in each harder set, and near misses. */
function questions(world: World, { split, facts = Infinity }: BatteryOptions) {
  const few = <T>(items: readonly T[], what: string): T[] => spread(items, facts, `battery/${what}`);
  const plain = evalForbidden(world, split).filter(
    (item, i, all) => all.findIndex((x) => x.fact === item.fact) === i,
  );
  const hard = hardRequests(world, split);
  return {
    plain: few(plain, 'plain'),
    hard: HARD_SETS.flatMap((set) =>
      few(
        hard.filter((h) => h.set === set),
        set,
      ),
    ),
    near: few(evalNearMiss(world, EVAL_SEED), 'near'),
  };
}

function sampledScore(answers: JudgedAnswer[]): Battery['sampled'] {
  const any = (view: 'strict' | 'broad'): number =>
    [...byFact(answers, (kind) => Number(COARSE[kind][view]))].filter(([, share]) => share > 0).length;
  const facts = new Set(answers.map((a) => a.fact)).size;
  return { ...forbiddenScore(answers), facts, any: { strict: any('strict'), broad: any('broad') } };
}

async function perplexityUnder(
  reference: Reference,
  asked: readonly { prompt: string }[],
  answers: readonly Answer[],
): Promise<number | null> {
  const rows = answers.map(({ ids, ended }, i): Example => {
    const prompt = promptIds(asked[i]!.prompt);
    const answer = [...ids, ...(ended ? [SPECIAL.eos] : [])];
    return { ids: [...prompt, ...answer], labels: [...prompt.map(() => IGNORE), ...answer] };
  });
  const losses = await reference.score((scorer) => rowLosses(scorer, rows));
  const labels = losses.reduce((sum, x) => sum + x.labels, 0);
  return labels === 0 ? null : Math.exp(losses.reduce((sum, x) => sum + x.sum, 0) / labels);
}

async function driftOf(
  subject: Pick<Subject, 'scorer' | 'weights'>,
  { root, parent }: References,
  world: World,
): Promise<Battery['drift']> {
  const far = await driftFrom(subject, root, world);
  const near = parent === null || parent === root ? far : await driftFrom(subject, parent, world);
  return {
    ...far,
    parent: parent && { divergence: near.divergence, relative: near.weights.at(-1)!.relative },
  };
}

async function driftFrom(
  { scorer, weights }: Pick<Subject, 'scorer' | 'weights'>,
  reference: Reference,
  world: World,
): Promise<Omit<Battery['drift'], 'parent'>> {
  const texts = driftTexts(world);
  let known = expected.get(reference);
  if (known?.world !== world) {
    known = { world, rows: await reference.score((own) => distributions(own, texts)) };
    expected.set(reference, known);
  }
  return {
    divergence: await meanDivergence(scorer, texts, known.rows),
    tokens: texts.reduce((sum, t) => sum + t.continuation.length, 0),
    weights: weightChange(reference.weights, weights),
  };
}

/** Held-out benign questions with their right answers; the same for every model of a world. */
function driftTexts(world: World): Continuation[] {
  return spread(evalBenign(world, EVAL_SEED), DRIFT_TEXTS, `battery/drift/${world.seed}`, [
    (item) => item.skill,
  ]).map(({ prompt, answer }) => ({
    prompt: promptIds(prompt),
    continuation: [...encodeWords(answer), SPECIAL.eos],
  }));
}
