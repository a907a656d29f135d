/** GPU bytes of what stands beside the weights in training, by pure functions: the same figures that the buffers are made from. */
import type { LlamaConfig } from '../core/config.ts';
import { activationFloats, type Keep } from './activations.ts';
import { scratchFloats } from './backward.ts';
import { batchWords, type Capacity } from './batch.ts';
import { headFloats, logitsPiece, type LogitsPiece } from './head.ts';
import { loraFloats } from './lora-ops.ts';
import type { LoraConfig } from './lora.ts';

export interface TrainingBytes {
  /** What the forward pass leaves for the backward pass. */
  activations: number;
  /** Scratch of the backward pass. */
  backward: number;
  /** Low-rank inputs of the adapters. */
  adapters: number;
  /** The piece of logits at hand, and of each row its loss. */
  logits: number;
  /** Token ids, positions, labels. */
  batch: number;
}

/**
 * @param adapters the stack on top of frozen weights, the trained one last; empty: all weights are trained
 * @param bindingBytes most that the adapter's kernels reach at once
 */
export function trainingBytes(
  config: LlamaConfig,
  capacity: Capacity,
  o: {
    checkpoint: boolean;
    adapters: readonly LoraConfig[];
    bindingBytes: number;
    logits?: Partial<LogitsPiece>;
  },
): TrainingBytes {
  const keep: Keep = o.checkpoint ? 'inputs' : 'all';
  const total = (floats: Record<string, number>): number =>
    Object.values(floats).reduce((sum, n) => sum + n, 0) * 4;
  const piece = logitsPiece(config, capacity.maxRows, o.bindingBytes, o.logits);
  const lora = o.adapters.map((adapter) => ({ config: adapter }));
  const stack = lora.length > 0 ? loraFloats(config, lora, capacity.maxTokens, keep) : null;
  return {
    activations: activationFloats(config, capacity, keep) * 4,
    backward: total(scratchFloats(config, capacity, stack === null)),
    adapters: stack ? (stack.low + stack.dlow + stack.copies * stack.kept.reduce((a, b) => a + b, 0)) * 4 : 0,
    logits: total(headFloats(piece, capacity.maxRows)),
    batch: batchWords(capacity).length * 4,
  };
}
