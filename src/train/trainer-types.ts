/** What goes into a trainer and comes out of it. */
import type { Batch } from '../core/types.ts';
import type { Program } from '../gpu/program.ts';
import type { Dims } from '../kernels/common.ts';
import type { LogitsPiece } from '../model/head.ts';
import type { TapWish } from '../model/taps.ts';

export interface OptimConfig {
  betas: readonly [number, number];
  eps: number;
  weight_decay: number;
  /** Global norm; 0 = off. */
  clip: number;
}

export interface StepStats {
  /** From 1. */
  step: number;
  lr: number;
  /** Mean over the labels of the whole batch, before the update. */
  loss: number;
  /** Before clipping. */
  gradNorm: number;
  /** Gradient elements that are not finite. */
  nonFinite: number;
  tokens: number;
  labels: number;
}

export interface TrainerCapacity {
  /** Tokens of one pass at most; `step` and `gradient` cut a longer batch into several passes, of one update. */
  maxTokens: number;
  /** Labels of one pass at most; for `logits` and `evaluate` every token counts. */
  maxLabels: number;
  /** Make these tap sites, or all of them (memory: 8 x layers x tokens x hidden floats); see tapSets. */
  taps?: TapWish | boolean;
  /**
   * Activation checkpointing: keep only each layer's input and compute the layer again in the backward pass. The same results bit
   * for bit, less memory, more time.
   */
  checkpoint?: boolean;
  /** Make the backward pass of negative entropy as well; every token takes a place among the labels then. */
  entropy?: boolean;
  /** Largest piece of logits held at once; chosen by size where absent, see logitsPiece. */
  logits?: Partial<LogitsPiece>;
}

/** How gradients are accumulated, where it is not by the mean loss of the labels. */
export interface PassOptions {
  /** Factor of the weighted sum; absent: the mean over labels, or over all tokens of `negative entropy`. */
  scale?: number;
  /** Of every token's distribution instead of the labels' cross-entropy; the trainer needs `entropy`. */
  objective?: 'negative entropy';
  /** Called before each pass, with its rows; what it hands to the GPU comes first. */
  before?(rows: Batch, pass: number): void;
  /** Runs between the forward and the backward part of each pass. */
  between?: Program<Dims>;
}

/** Optimizer state on the host: moments in the parameter set's layout. */
export interface TrainerState {
  step: number;
  m: Float32Array;
  v: Float32Array;
}
