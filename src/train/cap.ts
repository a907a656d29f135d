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

/** Tokens of one pass on a large model, unless a single row has more: longer ones are hardly faster and take gigabytes. */
export const PASS_TOKENS = 512;

/** Rows of one pass on a large model: a longer batch is trained in several passes of one update. */
export function rowsAtOnce(examples: readonly Example[], batch: number): number {
  const longest = Math.max(1, ...examples.map((e) => e.ids.length));
  return Math.max(1, Math.min(batch, Math.floor(PASS_TOKENS / longest)));
}
