import { LabError } from './errors.ts';
import type { Rng } from './rng.ts';

/** Where indices are drawn from. */
export type Draws = Pick<Rng, 'int'>;

/** Lower and upper end. */
export type Interval = [number, number];

/** 97.5 % quantile of the standard normal. */
export const Z95 = 1.959963984540054;

export function mean(xs: readonly number[]): number {
  return xs.reduce((a, b) => a + b, 0) / xs.length;
}

/** Wilson score interval of the share k / n, no continuity correction; nothing observed (n = 0) gives [0, 1]. */
export function wilson(k: number, n: number, z = Z95): Interval {
  if (!(k >= 0 && k <= n)) throw new LabError('bad-input', `Wilson interval of ${k} out of ${n}.`);
  if (n === 0) return [0, 1];
  const p = k / n;
  const scale = 1 + (z * z) / n;
  const centre = (p + (z * z) / (2 * n)) / scale;
  const half = (z / scale) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/** The smallest interval that holds both. */
export const union = (a: Interval, b: Interval): Interval => [Math.min(a[0], b[0]), Math.max(a[1], b[1])];

/**
 * Newcombe's hybrid score interval of the difference a - b of two shares, from their Wilson intervals (Statistics in Medicine
 * 17, 1998, method 10).
 */
export function newcombe(a: { k: number; n: number }, b: { k: number; n: number }): Interval {
  const [p, q] = [a.k / a.n, b.k / b.n];
  const [[la, ua], [lb, ub]] = [wilson(a.k, a.n), wilson(b.k, b.n)];
  return [p - q - Math.hypot(p - la, ub - q), p - q + Math.hypot(ua - p, q - lb)];
}

/** Quantile `q` in 0..1 by linear interpolation at position q (n - 1) of the sorted values (numpy's default, type 7). */
export function quantile(xs: readonly number[], q: number): number {
  if (xs.length === 0) throw new LabError('bad-input', 'Quantile of an empty list.');
  const sorted = Float64Array.from(xs).sort();
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const a = sorted[low]!;
  return low + 1 < sorted.length ? a + (at - low) * (sorted[low + 1]! - a) : a;
}

/** Central interval of resampled statistics. */
export function percentileInterval(xs: readonly number[], level = 0.95): Interval {
  return [quantile(xs, (1 - level) / 2), quantile(xs, (1 + level) / 2)];
}

/** Percentile bootstrap of the mean. */
export function bootstrap(
  values: readonly number[],
  rng: Draws,
  resamples = 2000,
  level = 0.95,
): { mean: number; interval: Interval } {
  if (values.length === 0) throw new LabError('bad-input', 'Bootstrap of an empty list.');
  const means: number[] = [];
  for (let r = 0; r < resamples; r++) {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[rng.int(values.length)]!;
    means.push(sum / values.length);
  }
  return { mean: mean(values), interval: percentileInterval(means, level) };
}

/** Values in nested groups, e.g. world > run > category > fact; groups of one level may differ in size. */
export type Nested = readonly number[] | readonly Nested[];

const isLeaf = (t: Nested): t is readonly number[] => typeof t[0] === 'number';

/** Equal-weight mean at every level: the mean of the children's means. */
export function nestedMean(t: Nested): number {
  return isLeaf(t) ? mean(t) : mean(t.map(nestedMean));
}

/**
 * nestedMean of one resample, of the difference a - b where there is a `b`: at every level as many children as the drawn
 * parent has, with replacement. Nothing is kept of the draw: there are millions of them.
 */
export function resampledMean(a: Nested, b: Nested | undefined, rng: Draws): number {
  const n = a.length;
  if (n === 0) throw new LabError('bad-input', 'Hierarchical bootstrap over an empty group.');
  let sum = 0;
  if (isLeaf(a)) {
    const other = b as readonly number[] | undefined;
    for (let k = 0; k < n; k++) {
      const i = rng.int(n);
      sum += other ? a[i]! - other[i]! : a[i]!;
    }
  } else {
    const other = b as readonly Nested[] | undefined;
    for (let k = 0; k < n; k++) {
      const i = rng.int(n);
      sum += resampledMean(a[i]!, other?.[i], rng);
    }
  }
  return sum / n;
}

/**
 * Hierarchical percentile bootstrap of nestedMean; with `b` (same grouping) the paired difference a - b, both measured
 * on the same resamples.
 */
export function hierarchicalBootstrap(
  a: Nested,
  rng: Draws,
  opts: { b?: Nested; resamples?: number; level?: number } = {},
): { mean: number; interval: Interval } {
  const { b, resamples = 2000, level = 0.95 } = opts;
  const stats: number[] = [];
  for (let r = 0; r < resamples; r++) {
    stats.push(resampledMean(a, b, rng));
  }
  return { mean: nestedMean(a) - (b ? nestedMean(b) : 0), interval: percentileInterval(stats, level) };
}

/** Cohen's kappa of a square table of counts (rows rater 1, columns rater 2); null where chance agreement is 1. */
export function cohenKappa(table: readonly (readonly number[])[]): number | null {
  const total = table.flat().reduce((a, b) => a + b, 0);
  if (total === 0) return null;
  let agree = 0;
  let chance = 0;
  for (let i = 0; i < table.length; i++) {
    agree += table[i]![i]!;
    const row = table[i]!.reduce((a, b) => a + b, 0);
    const column = table.reduce((a, r) => a + r[i]!, 0);
    chance += row * column;
  }
  if (chance === total * total) return null;
  const po = agree / total;
  const pe = chance / (total * total);
  return (po - pe) / (1 - pe);
}

/** F1 of each label (0 without a hit), and their unweighted mean: a label that never occurs counts as 0. */
export function macroF1<L>(
  truth: readonly L[],
  predicted: readonly L[],
  labels: readonly L[],
): { f1: number[]; macro: number } {
  if (truth.length !== predicted.length)
    throw new LabError('bad-input', `F1 of ${predicted.length} predictions for ${truth.length} items.`);
  const f1 = labels.map((label) => {
    let hit = 0;
    let wrong = 0;
    for (let i = 0; i < truth.length; i++) {
      if (truth[i] === label && predicted[i] === label) hit++;
      else if (truth[i] === label || predicted[i] === label) wrong++;
    }
    return hit === 0 ? 0 : (2 * hit) / (2 * hit + wrong);
  });
  return { f1, macro: mean(f1) };
}

/**
 * Standard error of the unweighted mean of independent shares, k of n each. A share of 0 or 1 has no variance of its own in
 * the plain formula; it is taken at (k + 2) / (n + 4), as in Agresti and Coull's interval.
 */
export function meanShareError(shares: readonly { correct: number; n: number }[]): number {
  const variance = shares.reduce((sum, { correct, n }) => {
    const p = (correct + 2) / (n + 4);
    return sum + (p * (1 - p)) / n;
  }, 0);
  return Math.sqrt(variance) / shares.length;
}

/** Normal 95 % interval of the unweighted mean of independent shares, within 0 and 1. */
export function meanShareInterval(shares: readonly { correct: number; n: number }[]): Interval {
  const value = mean(shares.map(({ correct, n }) => correct / n));
  const half = Z95 * meanShareError(shares);
  return [Math.max(0, value - half), Math.min(1, value + half)];
}
