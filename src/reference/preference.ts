/** Preference losses in float64, written from their formulas; the oracle of src/recipes/preference. */
import type { Batch } from '../core/types.ts';
import { backward, forward, type Forward, type Params } from './llama.ts';
import { add } from './ops.ts';
import type { LlamaConfig } from '../core/config.ts';

export interface Preference {
  loss: number;
  /** What the sigmoid is taken of, for each pair. */
  logits: number[];
  grads: Params;
}

/** Sum of log-probabilities of the labels, and their number, row by row. */
export function rowScores(f: Forward): { logp: number; labels: number }[] {
  let at = 0;
  return f.lengths.map((length) => {
    const [from, to] = [at, (at += length)];
    const own = f.targets.slice(from, to).filter((t) => t >= 0).length;
    return { logp: -f.tokenLoss.subarray(from, to).reduce((a, b) => a + b, 0), labels: own };
  });
}

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

/** `gamma` is the margin itself; `sft` weighs the mean token loss of the chosen side. */
export function simpo(
  config: LlamaConfig,
  params: Params,
  chosen: Batch,
  rejected: Batch,
  { beta, gamma, sft }: { beta: number; gamma: number; sft: number },
): Preference {
  const [w, l] = [rowScores(forward(config, params, chosen)), rowScores(forward(config, params, rejected))];
  const logits = w.map((c, i) => beta * (c.logp / c.labels - l[i]!.logp / l[i]!.labels) - gamma);
  const tokens = w.reduce((sum, c) => sum + c.labels, 0);
  const ce = -w.reduce((sum, c) => sum + c.logp, 0) / tokens;
  // d -log sigmoid(z) / dz = sigmoid(z) - 1
  const by = logits.map((z) => (sigmoid(z) - 1) / logits.length);
  return {
    loss: logits.reduce((sum, z) => sum - Math.log(sigmoid(z)) / logits.length, sft * ce),
    logits,
    grads: sum(
      slopes(
        config,
        params,
        chosen,
        by.map((b, i) => (b * beta) / w[i]!.labels - sft / tokens),
      ),
      slopes(
        config,
        params,
        rejected,
        by.map((b, i) => (-b * beta) / l[i]!.labels),
      ),
    ),
  };
}

/** @param reference the frozen model's parameters */
export function dpo(
  config: LlamaConfig,
  params: Params,
  reference: Params,
  chosen: Batch,
  rejected: Batch,
  beta: number,
): Preference {
  const scores = (p: Params, batch: Batch): number[] =>
    rowScores(forward(config, p, batch)).map(({ logp }) => logp);
  const [pw, pl] = [scores(params, chosen), scores(params, rejected)];
  const [rw, rl] = [scores(reference, chosen), scores(reference, rejected)];
  const logits = pw.map((_, i) => beta * (pw[i]! - rw[i]! - (pl[i]! - rl[i]!)));
  const by = logits.map((z) => (beta * (sigmoid(z) - 1)) / logits.length);
  return {
    loss: logits.reduce((sum, z) => sum - Math.log(sigmoid(z)) / logits.length, 0),
    logits,
    grads: sum(
      slopes(config, params, chosen, by),
      slopes(
        config,
        params,
        rejected,
        by.map((b) => -b),
      ),
    ),
  };
}

/** Gradient of the sum of by[r] log p(row r). */
function slopes(config: LlamaConfig, params: Params, batch: Batch, by: readonly number[]): Params {
  const weighted = batch.map((row, r) => ({ ...row, weight: -by[r]! }));
  return backward(config, params, forward(config, params, weighted), 1).grads;
}

function sum(a: Params, b: Params): Params {
  return new Map([...a].map(([name, x]) => [name, add(x, b.get(name)!)]));
}
