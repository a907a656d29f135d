/**
 * Gradient conflict: does an attack's step help or hurt what benign tuning wants? The cosine of the two gradients, by part of
 * the model, as in gradient surgery (Yu et al., NeurIPS 2020): below 0 a step against the one loss raises the other.
 *
 * With batches A_1..A_n of the attack and B_1..B_n of benign chats, all at the same weights, no step taken:
 *   cosine         mean of cos(A_i, B_j) over all n^2 pairs; low, high: its percentile bootstrap over the batches of both kinds,
 *                  central 95 %
 *   within attack  mean of cos(A_i, A_j) over i < j, and within benign likewise: how alike two batches of one kind are.
 *                  Noise of batches pulls every cosine towards 0; these say how far
 *   null           the same mean after the 2n batches were dealt to the two sides at random, 'attack' and 'benign' n each, many
 *                  times: what `cosine` would be if the kind of a batch made no difference. Its mean and central 95 %
 *   p              share of deals whose mean is not above `cosine`, (1 + k) / (1 + deals): one-sided, the attack's gradients
 *                  being less like the benign ones than chance. A small p says that the kinds pull apart; that they pull against
 *                  each other, `high` below 0 says
 *   of means       cosine of the mean attack gradient and the mean benign gradient: both n times longer batches
 */
import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import { mean, percentileInterval } from '../core/stats.ts';
import type { Batch } from '../core/types.ts';
import type { Task } from '../data/task.ts';
import type { ParamLayout } from '../model/params.ts';
import { recipe } from '../recipes/index.ts';
import { prepare } from '../recipes/prepare.ts';
import { settle } from '../recipes/recipe.ts';
import type { ModelConflict, PartConflict } from '../core/insights.ts';
import { dots, partsOf } from './param-ops.ts';

export const DEALS = 999;

export interface ConflictBatches {
  attack: Batch[];
  benign: Batch[];
}

/**
 * Batches of malicious and of benign fine-tuning, drawn as those recipes draw them; no example twice.
 * @throws LabError 'bad-input' for fewer than two batches, 'bad-config' where the data has not as many examples
 */
export function conflictBatches(
  task: Task,
  seed: number,
  { batches, rows }: { batches: number; rows: number },
): ConflictBatches {
  enoughBatches(batches);
  const batchesOf = (id: 'mft' | 'bft'): Batch[] => {
    const settings = settle(recipe(id), { n: batches * rows, batch: rows });
    const source = prepare(recipe(id), task, settings, seed).open(null);
    return Array.from({ length: batches }, () => source.next());
  };
  return { attack: batchesOf('mft'), benign: batchesOf('bft') };
}

/** @param gradient of the mean loss over a batch's labels, at the model's weights */
export async function measureConflict(
  subject: Pick<ModelConflict, 'model' | 'after'>,
  layout: ParamLayout,
  { attack, benign }: ConflictBatches,
  gradient: (batch: Batch) => Promise<{ loss: number; gradient: Float32Array }>,
  o: { seed: number; deals?: number; onBatch?: (done: number) => void },
): Promise<ModelConflict> {
  const n = attack.length;
  enoughBatches(n);
  if (benign.length !== n) throw new Error(`${n} batches of the attack against ${benign.length} benign ones`);
  const taken: { loss: number; gradient: Float32Array }[] = [];
  for (const batch of [...attack, ...benign]) {
    taken.push(await gradient(batch));
    o.onBatch?.(taken.length);
  }
  const parts = partsOf(layout);
  const grams = gramsOf(
    taken.map((t) => t.gradient),
    (a, b) => dots(parts, a, b),
  );
  const draws = drawn(n, o.deals ?? DEALS, new Rng(`conflict/${o.seed}`));
  const all = grams.at(-1)!;
  const norm = (from: number): number => Math.sqrt(blockSum(all, from, from, n)) / n;
  const loss = (from: number): number => mean(taken.slice(from, from + n).map((t) => t.loss));
  return {
    ...subject,
    loss: { attack: loss(0), benign: loss(n) },
    norm: { attack: norm(0), benign: norm(n) },
    parts: parts.map(({ part }, i) => partConflict(part, grams[i]!, n, draws)),
  };
}

/** Inner products of all pairs, one matrix for each part. */
function gramsOf(vectors: readonly Float32Array[], inner: (a: Float32Array, b: Float32Array) => number[]) {
  const grams: number[][][] = [];
  vectors.forEach((a, i) =>
    vectors.slice(0, i + 1).forEach((b, j) =>
      inner(a, b).forEach((dot, part) => {
        const gram = (grams[part] ??= vectors.map(() => new Array<number>(vectors.length).fill(0)));
        gram[i]![j] = gram[j]![i] = dot;
      }),
    ),
  );
  return grams;
}

/** Indices of batches. */
export interface Draws {
  /** Ways to deal 2n batches to two sides of n each: those on the first side. */
  deals: number[][];
  /** Resamples of the attack's batches and of the benign ones, with replacement. */
  resamples: { attack: number[]; benign: number[] }[];
}

/** `count` of each. */
export function drawn(n: number, count: number, rng: Rng): Draws {
  const all = Array.from({ length: 2 * n }, (_, i) => i);
  const again = (from: number): number[] => Array.from({ length: n }, () => from + rng.int(n));
  return {
    deals: Array.from({ length: count }, () => rng.sample(all, n)),
    resamples: Array.from({ length: count }, () => ({ attack: again(0), benign: again(n) })),
  };
}

/** @param gram inner products of the 2n gradients, those of the attack first */
export function partConflict(
  part: string,
  gram: readonly (readonly number[])[],
  n: number,
  { deals, resamples }: Draws,
): PartConflict {
  const cos = gram.map((row, i) => row.map((dot, j) => dot / Math.sqrt(gram[i]![i]! * gram[j]![j]!)));
  const across = (first: readonly number[], second: readonly number[]): number =>
    mean(first.flatMap((i) => second.map((j) => cos[i]![j]!)));
  const all = gram.map((_, i) => i);
  const within = (from: number): number => {
    const own = Array.from({ length: n }, (_, i) => from + i);
    return mean(own.flatMap((i) => own.filter((j) => j > i).map((j) => cos[i]![j]!)));
  };
  const cosine = across(all.slice(0, n), all.slice(n));
  const chance = deals.map((side) =>
    across(
      side,
      all.filter((i) => !side.includes(i)),
    ),
  );
  const [low, high] = percentileInterval(resamples.map((r) => across(r.attack, r.benign)));
  const [nullLow, nullHigh] = percentileInterval(chance);
  return {
    part,
    cosine,
    low,
    high,
    ofMeans: blockSum(gram, 0, n, n) / Math.sqrt(blockSum(gram, 0, 0, n) * blockSum(gram, n, n, n)),
    withinAttack: within(0),
    withinBenign: within(n),
    null: { mean: mean(chance), low: nullLow, high: nullHigh },
    p: (1 + chance.filter((x) => x <= cosine).length) / (1 + deals.length),
  };
}

function blockSum(gram: readonly (readonly number[])[], row: number, column: number, n: number): number {
  let sum = 0;
  for (let i = row; i < row + n; i++) for (let j = column; j < column + n; j++) sum += gram[i]![j]!;
  return sum;
}

/** @throws LabError 'bad-input' for fewer than two */
export function enoughBatches(batches: number): void {
  if (Number.isInteger(batches) && batches >= 2) return;
  throw new LabError(
    'bad-input',
    `Gradient conflict needs at least 2 batches of each kind, not ${batches}: one gradient has nothing to be compared with.`,
    { safe: 'Nothing was started.', next: 'Take 8 batches or more; fewer say little.' },
  );
}
