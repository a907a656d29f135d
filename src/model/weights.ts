import type { Half, Precision } from '../core/types.ts';
import type { Matrix, Span } from '../kernels/common.ts';
import type { ParamLayout } from './params.ts';

/** A model's tensors by name, each in slices one after another: numbers that begin at element `at`, good until the next. */
export interface WeightSource {
  values(name: string): AsyncIterable<{ at: number; values: Float32Array }>;
  /** Rounded where they are stored in another type. */
  words(name: string, as: Half): AsyncIterable<{ at: number; values: Uint16Array }>;
}

/** A whole model's weights on the GPU, as the kernels of a forward or backward pass read them. */
export interface WeightSet {
  /** Of the matrices; norms are f32 always. */
  readonly precision: Precision;
  readonly layout: ParamLayout;
  /** On the GPU. */
  readonly bytes: number;
  /** The range of the tensors from `first` to `last` (which adjoin), for a kernel. */
  binding(first: string, last?: string): Matrix;
  /** Rows of the matrix that those tensors make. */
  rows(first: string, last: string | undefined, span: Span): Matrix;
  /** Rows of that matrix in spans that one binding holds each. */
  spans(first: string, last?: string): Span[];
  /** `count` values of a tensor from element `at` on. */
  readValues(name: string, at: number, count: number): Promise<Float32Array>;
  /** Writes every tensor as its slices come. */
  writeFrom(source: WeightSource): Promise<void>;
  /** @throws LabError 'out-of-memory' where a binding of this adapter cannot hold even a few rows of a tensor */
  checkBindings(): void;
  destroy(): void;
}
