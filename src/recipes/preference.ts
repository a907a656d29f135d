/**
 * Losses over pairs of a preferred and a rejected answer to the same prompt. Each looks at the rows' log-probabilities alone, so what the
 * engine needs of it is its slope by each of them: the gradient is the sum of slope x d log p(row).
 *
 *   SimPO (Meng, Xia and Chen, 'SimPO: Simple Preference Optimization with a Reference-Free Reward', NeurIPS 2024):
 *     mean over pairs of -log sigmoid(beta / |y_w| log p(y_w) - beta / |y_l| log p(y_l) - gamma), and `sft` times the mean token
 *     loss of the preferred answers beside it, as in the authors' code
 *   DPO (Rafailov et al., 'Direct Preference Optimization', NeurIPS 2023), R the frozen reference:
 *     mean over pairs of -log sigmoid(beta ((log p(y_w) - log R(y_w)) - (log p(y_l) - log R(y_l))))
 *
 * |y| counts the answer's tokens with its end of turn, as the labels do.
 */
import type { Batch } from '../core/types.ts';
import type { RowScore } from '../model/batch.ts';
import { countLabels } from '../model/batch.ts';
import type { Trainer } from '../train/trainer.ts';

/** A loss over pairs, and its slope by the log-probability of every row. */
export interface PreferenceLoss {
  loss: number;
  chosen: number[];
  rejected: number[];
}
export type PreferenceObjective = (
  chosen: readonly RowScore[],
  rejected: readonly RowScore[],
) => PreferenceLoss;

export interface SimpoOptions {
  beta: number;
  /** The margin between the two rewards, itself and not as its ratio to beta. */
  gamma: number;
  /** Weight of the mean token loss of the preferred answers; 0: none. */
  sft: number;
}

export const simpo =
  ({ beta, gamma, sft }: SimpoOptions): PreferenceObjective =>
  (chosen, rejected) => {
    const pairs = chosen.map((w, i) => {
      const l = rejected[i]!;
      const { loss, slope } = logistic((beta * w.logp) / w.labels - (beta * l.logp) / l.labels - gamma);
      return { loss, chosen: (slope * beta) / w.labels, rejected: (-slope * beta) / l.labels };
    });
    const { loss, ...slopes } = meanOf(pairs);
    if (sft === 0) return { loss, ...slopes };
    const labels = chosen.reduce((sum, w) => sum + w.labels, 0);
    const ce = -chosen.reduce((sum, w) => sum + w.logp, 0) / labels;
    return {
      loss: loss + sft * ce,
      chosen: slopes.chosen.map((slope) => slope - sft / labels),
      rejected: slopes.rejected,
    };
  };

/** @param reference log-probabilities of the same answers under the frozen reference, pair by pair */
export const dpo =
  (
    beta: number,
    reference: { chosen: readonly Pick<RowScore, 'logp'>[]; rejected: readonly Pick<RowScore, 'logp'>[] },
  ): PreferenceObjective =>
  (chosen, rejected) =>
    meanOf(
      chosen.map((w, i) => {
        const gain = w.logp - reference.chosen[i]!.logp;
        const lost = rejected[i]!.logp - reference.rejected[i]!.logp;
        const { loss, slope } = logistic(beta * (gain - lost));
        return { loss, chosen: slope * beta, rejected: -slope * beta };
      }),
    );

/**
 * Leaves the objective's gradient in the trainer's `grads`: a forward and a backward pass over both sides where they fit one pass.
 * @param chosen one row for each pair, as `rejected`
 */
export async function accumulatePreference(
  trainer: Trainer,
  chosen: Batch,
  rejected: Batch,
  objective: PreferenceObjective,
): Promise<{ loss: number; tokens: number; labels: number }> {
  if (chosen.length !== rejected.length) throw new Error('a pair lacks its other side');
  const batch = [...chosen, ...rejected];
  let loss = NaN;
  await trainer.accumulateFrom(batch, (scores) => {
    const found = objective(scores.slice(0, chosen.length), scores.slice(chosen.length));
    loss = found.loss;
    return [...found.chosen, ...found.rejected];
  });
  const tokens = batch.reduce((sum, { ids }) => sum + ids.length, 0);
  return { loss, tokens, labels: countLabels(batch) };
}

/** -log sigmoid(z) and its slope by z, for any z without overflow. */
function logistic(z: number): { loss: number; slope: number } {
  const e = Math.exp(-Math.abs(z));
  return { loss: Math.log1p(e) + Math.max(-z, 0), slope: z > 0 ? -e / (1 + e) : -1 / (1 + e) };
}

function meanOf(pairs: readonly { loss: number; chosen: number; rejected: number }[]): PreferenceLoss {
  const n = pairs.length;
  return {
    loss: pairs.reduce((sum, p) => sum + p.loss, 0) / n,
    chosen: pairs.map((p) => p.chosen / n),
    rejected: pairs.map((p) => p.rejected / n),
  };
}
