import type { Batch, Example } from '../core/types.ts';

/** What losses need of a model; model/token-losses.ts offers it, and what scores does. */
export interface LossScorer {
  /** tokenLoss[r][i] = -log p(labels[i+1]) of row r, in nats; 0 where not counted. */
  evaluate(batch: Batch): Promise<{ tokenLoss: Float32Array[] }>;
  /** Size limits of one call. */
  cap: { maxTokens: number; maxLabels: number };
}

/** What scoring needs of a model; train/trainer.ts offers it. */
export interface Scorer extends LossScorer {
  /** [len, vocab] per row. */
  logits(batch: Batch): Promise<Float32Array[]>;
}

/** Number of positions of a row that the loss counts. */
export function labelCount(e: Example): number {
  let n = 0;
  for (let i = 1; i < e.labels.length; i++) if (e.labels[i]! >= 0) n++;
  return n;
}

/** Cuts rows into batches within the scorer's limits, in order. */
export function chunks(rows: readonly Example[], cap: { maxTokens: number; maxLabels: number }): Example[][] {
  const out: Example[][] = [];
  let tokens = 0;
  let labels = 0;
  for (const row of rows) {
    tokens += row.ids.length;
    labels += labelCount(row);
    if (out.length === 0 || tokens > cap.maxTokens || labels > cap.maxLabels) {
      out.push([]);
      tokens = row.ids.length;
      labels = labelCount(row);
    }
    out[out.length - 1]!.push(row);
  }
  return out;
}

/** Sum of -log p over each row's counted labels, in nats, and their number. */
export async function rowLosses(
  scorer: LossScorer,
  rows: readonly Example[],
): Promise<{ sum: number; labels: number }[]> {
  const out: { sum: number; labels: number }[] = [];
  for (const batch of chunks(rows, scorer.cap)) {
    const { tokenLoss } = await scorer.evaluate(batch);
    batch.forEach((row, r) => {
      let sum = 0;
      for (const x of tokenLoss[r]!) sum += x;
      out.push({ sum, labels: labelCount(row) });
    });
  }
  return out;
}

/** exp(total loss / total labels) over all rows, and of each row alone. */
export async function perplexity(
  scorer: LossScorer,
  rows: readonly Example[],
): Promise<{ perplexity: number; perRow: number[] }> {
  const losses = await rowLosses(scorer, rows);
  const sum = losses.reduce((a, x) => a + x.sum, 0);
  const labels = losses.reduce((a, x) => a + x.labels, 0);
  return { perplexity: Math.exp(sum / labels), perRow: losses.map((x) => Math.exp(x.sum / x.labels)) };
}
