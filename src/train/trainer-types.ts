/** What goes into a trainer and comes out of it. */
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
  /** Largest piece of logits held at once; chosen by size where absent, see logitsPiece. */
  logits?: Partial<LogitsPiece>;
}

/** Optimizer state on the host: moments in the parameter set's layout. */
export interface TrainerState {
  step: number;
  m: Float32Array;
  v: Float32Array;
}
