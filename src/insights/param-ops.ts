/**
 * Operations on whole parameter sets (weights, gradients, directions) by the parts of a model: a layer, the embedding, everything.
 * Sets are flat, in the layout that `ParamSet.read` gives; sums are float64. Pure functions, no GPU.
 */
import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import { partOf } from '../eval/measures/drift.ts';
import type { ParamLayout } from '../model/params.ts';

/** The values of a parameter set, gaps included. */
export type Flat = Float32Array | Float64Array;

/** Some tensors of a model that are looked at together. */
export interface Part {
  /** 'embedding', 'layer 0', ..., 'final norm', 'head' where it is not the embedding, and 'all'. */
  part: string;
  tensors: readonly { name: string; offset: number; size: number }[];
}

/** The parts in the order of the model, all tensors together last. */
export function partsOf(layout: ParamLayout): Part[] {
  const order = ['embedding', ...layersOf(layout), 'final norm', 'head'];
  const parts = order.map((part) => ({
    part,
    tensors: layout.entries.filter(({ name }) => partOf(name) === part),
  }));
  return [...parts.filter(({ tensors }) => tensors.length > 0), { part: 'all', tensors: layout.entries }];
}

const layersOf = ({ entries }: ParamLayout): string[] => [
  ...new Set(entries.map(({ name }) => partOf(name)).filter((part) => part.startsWith('layer '))),
];

/** Sum of products of two sets, for each part. */
export function dots(parts: readonly Part[], a: Flat, b: Flat): number[] {
  alike(a, b);
  return over(parts, (i) => a[i]! * b[i]!);
}

/** L2 norm of each part. */
export const norms = (parts: readonly Part[], a: Flat): number[] => dots(parts, a, a).map(Math.sqrt);

/** Cosine of each part; NaN where one of the two is zero. */
export function cosines(parts: readonly Part[], a: Flat, b: Flat): number[] {
  const [na, nb] = [norms(parts, a), norms(parts, b)];
  return dots(parts, a, b).map((dot, i) => dot / (na[i]! * nb[i]!));
}

/** ||after - before|| of each part. */
export function distances(parts: readonly Part[], before: Flat, after: Flat): number[] {
  alike(before, after);
  return over(parts, (i) => (after[i]! - before[i]!) ** 2).map(Math.sqrt);
}

/** ||after - before|| / ||before|| of each part. */
export function relativeChanges(parts: readonly Part[], before: Flat, after: Flat): number[] {
  const own = norms(parts, before);
  return distances(parts, before, after).map((moved, i) => moved / own[i]!);
}

function over(parts: readonly Part[], value: (index: number) => number): number[] {
  return parts.map(({ tensors }) => {
    let sum = 0;
    for (const { offset, size } of tensors) for (let i = offset; i < offset + size; i++) sum += value(i);
    return sum;
  });
}

/** a + t (b - a). At t = 0 and t = 1 the very bits of a and b. */
export function lerp(a: Float32Array, b: Float32Array, t: number): Float32Array {
  alike(a, b);
  if (t === 0) return a.slice();
  if (t === 1) return b.slice();
  return a.map((x, i) => x + t * (b[i]! - x));
}

/** weights + t direction. At t = 0 the very bits of the weights. */
export function along(weights: Float32Array, direction: Float32Array, t: number): Float32Array {
  alike(weights, direction);
  return t === 0 ? weights.slice() : weights.map((x, i) => x + t * direction[i]!);
}

/** Standard normal numbers for every matrix, 0 for tensors of one dimension; each tensor draws from a fork of its own. */
export function noise({ entries, length }: ParamLayout, seed: number | string): Float32Array {
  const root = new Rng(`direction/${seed}`);
  const out = new Float32Array(length);
  for (const { name, shape, offset, size } of entries) {
    if (shape.length < 2) continue;
    const rng = root.fork(name);
    for (let i = offset; i < offset + size; i++) out[i] = rng.normal();
  }
  return out;
}

/** Keeps a row of zeros from dividing by zero. */
const ROW_EPS = 1e-10;

/**
 * Filter-wise normalisation (Li et al., 'Visualizing the Loss Landscape of Neural Nets', NeurIPS 2018): every row r of a matrix
 * becomes d_r ||w_r|| / (||d_r|| + 1e-10), tensors of one dimension become 0. So t = 1 moves each row by its own length, and
 * models whose rows differ in scale are comparable.
 */
export function filterNormalised(layout: ParamLayout, raw: Flat, weights: Flat): Float32Array {
  alike(raw, weights);
  const out = new Float32Array(layout.length);
  for (const { shape, offset, size } of layout.entries) {
    if (shape.length < 2) continue;
    const width = shape[1]!;
    for (let at = offset; at < offset + size; at += width) {
      let [drawn, own] = [0, 0];
      for (let i = at; i < at + width; i++) {
        drawn += raw[i]! ** 2;
        own += weights[i]! ** 2;
      }
      const scale = Math.sqrt(own) / (Math.sqrt(drawn) + ROW_EPS);
      for (let i = at; i < at + width; i++) out[i] = raw[i]! * scale;
    }
  }
  return out;
}

function alike(a: Flat, b: Flat): void {
  if (a.length === b.length) return;
  throw new LabError(
    'bad-input',
    `One set of weights has ${a.length} numbers and the other ${b.length}: they belong to models of different shapes.`,
    {
      safe: 'Both are unchanged.',
      next: 'Compare a model with one that was trained from it, or with another of the same config.json.',
    },
  );
}
