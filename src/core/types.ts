/** Label value that takes no part in the loss, as in Hugging Face. */
export const IGNORE = -100;

/**
 * One row of tokens. `labels[i]` is the target at position i, unshifted (the logits at i-1 predict it); IGNORE where
 * the loss does not count. `labels[0]` never counts. Both have the same length.
 */
export interface Example {
  ids: readonly number[];
  labels: readonly number[];
  /** Factor of this row's token losses in a loss and its gradient; 1 where absent. It does not change how many labels count. */
  weight?: number;
}

/** Rows of any lengths: the engine packs them one behind the other, without padding. */
export type Batch = readonly Example[];

/** How weights are stored on the GPU; what is computed with them is f32. */
export const PRECISIONS = ['f32', 'f16', 'bf16'] as const;
export type Precision = (typeof PRECISIONS)[number];
/** 16 bits a number: float16, or the upper half of a float32. */
export type Half = Exclude<Precision, 'f32'>;

/** Weights by Hugging Face name, row-major; matrices are [out, in]. */
export type Tensors = Map<string, { shape: number[]; data: Float32Array }>;
