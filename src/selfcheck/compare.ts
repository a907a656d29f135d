import { LabError } from '../core/errors.ts';
import type { Batch, Example } from '../core/types.ts';

export type Numbers = Float32Array | Float64Array;

/** Relative L2 distance ||a - b|| / ||b||; where b is all zero, max|a| (0 is then expected, tolerance 1e-7). */
export function relError(a: Numbers, b: Numbers): number {
  if (a.length !== b.length) return Infinity;
  let difference = 0;
  let size = 0;
  let largest = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    size += b[i]! ** 2;
    largest = Math.max(largest, Math.abs(a[i]!));
    if (Number.isNaN(a[i]!)) return NaN;
  }
  return size === 0 ? largest : Math.sqrt(difference / size);
}

/** Tolerance for relError when the expected tensor is all zero. */
export const ZERO_TOL = 1e-7;

/**
 * Error of an update (after - before), over the elements whose gradient is zero or at least 1e-3 of its root mean
 * square: Adam turns the rounding sign of a tiny gradient into a full step, so the others prove nothing.
 */
export function updateError(actual: Numbers, expected: Numbers, initial: Numbers, grad: Numbers): number {
  const g = Float64Array.from(grad);
  const rms = Math.sqrt(g.reduce((sum, x) => sum + x * x, 0) / g.length);
  const kept = Array.from(g.keys()).filter((i) => g[i] === 0 || Math.abs(g[i]!) >= 1e-3 * rms);
  const update = (after: Numbers): Float64Array => Float64Array.from(kept, (i) => after[i]! - initial[i]!);
  return relError(update(actual), update(expected));
}

/** Largest absolute difference; infinite where the lengths differ. */
export function largestDifference(a: Numbers, b: Numbers): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    // NaN is larger than anything, and no comparison with it is true.
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/** A padded batch as golden cases store it. */
export interface PaddedBatch {
  input_ids: number[][];
  attention_mask: number[][];
  labels: number[][];
}

/** Rows cut to their real length. Padding must be on the right. */
export function trimRows(batch: PaddedBatch): Batch {
  return batch.input_ids.map((ids, r): Example => {
    const mask = batch.attention_mask[r]!;
    const length = mask.reduce((sum, m) => sum + m, 0);
    if (mask.some((m, i) => m !== (i < length ? 1 : 0)))
      throw new LabError('bad-input', `Row ${r} of the batch is not padded on the right.`);
    return { ids: ids.slice(0, length), labels: batch.labels[r]!.slice(0, length) };
  });
}

/** Of a padded [rows, T, width] tensor the values of real positions, [tokens, width] in the order of trimRows. */
export function unpad(values: Float32Array, batch: PaddedBatch, width: number): Float32Array {
  const T = batch.input_ids[0]!.length;
  const lengths = trimRows(batch).map((row) => row.ids.length);
  const out = new Float32Array(lengths.reduce((a, b) => a + b, 0) * width);
  let at = 0;
  lengths.forEach((length, r) => {
    out.set(values.subarray(r * T * width, (r * T + length) * width), at);
    at += length * width;
  });
  return out;
}

/** Rows one behind the other. */
export function join(rows: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    out.set(row, at);
    at += row.length;
  }
  return out;
}
