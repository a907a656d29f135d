import type { Binding } from '../gpu/program.ts';

/** Rows and their parts that change from step to step; every kernel takes its sizes from here. */
export interface Dims {
  /** Tokens of all rows together. */
  tokens: number;
  /** Rows of logits: tokens whose prediction is asked for. */
  rows: number;
  /** Distinct token ids (embedding gradient). */
  distinct: number;
  /** 1 / labels of the whole batch. */
  scale: number;
}

/** A size that is fixed, or one that is read from the step's dims. */
export type Size = number | 'tokens' | 'rows';

export function sizeOf(size: Size, dims: Dims): number {
  return typeof size === 'number' ? size : dims[size];
}

/** A range of floats (or words) of a buffer; offsets must be multiples of 64 elements (256 bytes). */
export function range(buffer: GPUBuffer, offset: number, count: number): Binding {
  return { buffer, offset: offset * 4, size: Math.ceil(count / 4) * 16 };
}
