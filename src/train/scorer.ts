import type { Batch } from '../core/types.ts';
import type { Trainer } from './trainer.ts';

/** What evaluation needs of a trainer: losses and logits within its size limits, and nothing that trains. */
export function scorerOf(trainer: Trainer, cap: { maxTokens: number; maxLabels: number }) {
  return {
    cap,
    evaluate: (batch: Batch) => trainer.evaluate(batch),
    logits: (batch: Batch) => trainer.logits(batch),
  };
}
