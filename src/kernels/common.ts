import type { Half, Precision } from '../core/types.ts';
import type { Binding } from '../gpu/program.ts';
import type { Defines } from '../gpu/wgsl.ts';

/** Rows and their parts that change from step to step; every kernel takes its sizes from here. */
export interface Dims {
  /** Tokens of all rows together. */
  tokens: number;
  /** Rows of logits: tokens whose prediction is asked for. */
  rows: number;
  /** Distinct token ids (embedding gradient). */
  distinct: number;
  /** Pairs of a token and one that it attends to, its own included: the work of attention. */
  pairs: number;
  /** 1 / labels of the whole batch. */
  scale: number;
}

/** For kernels whose sizes are all fixed. */
export const NO_DIMS: Dims = { tokens: 0, rows: 0, distinct: 0, pairs: 0, scale: 1 };

/** Some of a list of rows: the first, and how many. */
export interface Span {
  first: number;
  count: number;
}

/** Spans of at most `most` that make up `total`. */
export function spansOf(total: number, most: number): Span[] {
  if (most < 1) throw new Error('spans of nothing');
  const out: Span[] = [];
  for (let first = 0; first < total; first += most) out.push({ first, count: Math.min(most, total - first) });
  return out;
}

/** A size that is fixed, or one that is read from the step's dims; a span is those of the step's `rows` that stand in it. */
export type Size = number | 'tokens' | 'rows' | Span;

export function sizeOf(size: Size, dims: Dims): number {
  if (typeof size === 'number') return size;
  if (typeof size === 'string') return dims[size];
  return Math.max(0, Math.min(size.count, dims.rows - size.first));
}

/** A matrix whose numbers may be stored in 16 bits. */
export interface Matrix extends Binding {
  /** f32 when absent. */
  stored?: Half;
}

/** Defines of shaders/lib/stored for a matrix. */
export function storedDefines({ stored }: Matrix): Defines {
  return { F16: stored === 'f16', BF16: stored === 'bf16' };
}

/** Bytes of a number. */
export function bytesOf(precision: Precision): number {
  return precision === 'f32' ? 4 : 2;
}

/** A range of floats (or words) of a buffer; offsets must be multiples of 64 elements (256 bytes). */
export function range(buffer: GPUBuffer, offset: number, count: number): Binding {
  return { buffer, offset: offset * 4, size: Math.ceil(count / 4) * 16 };
}
