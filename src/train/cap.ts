import type { Example } from '../core/types.ts';

/** The most tokens and labels that a batch of `rows` of these examples can hold: the engine's buffers are sized once. */
export function batchCap(
  examples: readonly Example[],
  rows: number,
): { maxTokens: number; maxLabels: number } {
  let tokens = 0;
  let labels = 0;
  for (const e of examples) {
    tokens = Math.max(tokens, e.ids.length);
    labels = Math.max(labels, e.labels.filter((l, i) => i > 0 && l >= 0).length);
  }
  return { maxTokens: tokens * rows, maxLabels: labels * rows };
}
