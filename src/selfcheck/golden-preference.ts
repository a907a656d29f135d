/** Golden case I: SimPO and DPO with their gradients, and how far the policy is from its reference. */
import { parseLlamaConfig } from '../core/config.ts';
import type { Batch } from '../core/types.ts';
import { divergence, logSoftmax } from '../eval/tokens.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { RowScore } from '../model/batch.ts';
import { loadTensors } from '../model/hf.ts';
import { Model } from '../model/model.ts';
import { accumulatePreference, dpo, simpo, type PreferenceObjective } from '../recipes/preference.ts';
import { Trainer } from '../train/trainer.ts';
import { join, trimRows, unpad, type PaddedBatch } from './compare.ts';
import { checkerOf, file, json, type CaseFiles, type Report } from './golden-case.ts';

interface Meta {
  preference: { simpo_beta: number; simpo_gamma: number; dpo_beta: number };
}

const SIDES = ['chosen', 'rejected'] as const;
type Scores = Record<(typeof SIDES)[number], RowScore[]>;

const OPTIM = { betas: [0.9, 0.999] as [number, number], eps: 1e-8, clip: 0, weight_decay: 0 };

/** @returns the stored values that were left out, and why */
export async function runPreference(gpu: Gpu, files: CaseFiles, report: Report): Promise<string> {
  const { preference: o } = json(files, 'meta.json') as Meta;
  const config = parseLlamaConfig(json(files, 'config.json'));
  const padded = json(files, 'batch.json') as Record<(typeof SIDES)[number], PaddedBatch>;
  const rows = { chosen: trimRows(padded.chosen), rejected: trimRows(padded.rejected) };
  const all: Batch = [...rows.chosen, ...rows.rejected];
  const tokens = all.reduce((sum, { ids }) => sum + ids.length, 0);
  const check = checkerOf(files, report);

  const run = async <T>(
    weights: string,
    work: (trainer: Trainer, scores: Scores) => Promise<T>,
  ): Promise<T> => {
    const model = Model.create(gpu, config, loadTensors(config, { config, weights: [file(files, weights)] }));
    const trainer = new Trainer(model, OPTIM, { maxTokens: tokens, maxLabels: tokens });
    try {
      const name = weights === 'model.safetensors' ? 'policy' : 'ref';
      const scores: Scores = { chosen: [], rejected: [] };
      for (const side of SIDES) {
        scores[side] = await trainer.scores(rows[side]);
        check(
          `${name}_logp_${side}`,
          numbers(scores[side], (s) => s.logp),
        );
      }
      const logits = join(await trainer.logits(rows.chosen));
      check(`${name}_logits_chosen`, logits, (x) => unpad(x, padded.chosen, config.vocab_size));
      return await work(trainer, scores);
    } finally {
      trainer.destroy();
      model.destroy();
    }
  };
  /** log p over the vocabulary at every label of the chosen side. */
  const expected = async (trainer: Trainer) =>
    (await trainer.logits(rows.chosen)).flatMap((logits, r) => {
      const { labels } = rows.chosen[r]!;
      return labels.slice(1).flatMap((label, i) => {
        const at = i * config.vocab_size;
        const logp = logSoftmax(logits.subarray(at, at + config.vocab_size));
        return label < 0 ? [] : [{ label, logp }];
      });
    });

  const reference = await run('ref_model.safetensors', async (trainer, scores) => ({
    scores,
    tokens: await expected(trainer),
  }));
  await run('model.safetensors', async (trainer, scores) => {
    const { chosen, rejected } = scores;
    for (const side of SIDES)
      check(
        `n_tokens_${side}`,
        numbers(scores[side], (s) => s.labels),
      );
    const r = reference.scores;
    const margins = {
      simpo: chosen.map(
        (w, i) =>
          o.simpo_beta * (w.logp / w.labels - rejected[i]!.logp / rejected[i]!.labels) - o.simpo_gamma,
      ),
      dpo: chosen.map(
        (w, i) => o.dpo_beta * (w.logp - r.chosen[i]!.logp - (rejected[i]!.logp - r.rejected[i]!.logp)),
      ),
    };
    const objectives = (pairs: readonly number[]): Record<string, PreferenceObjective> => ({
      simpo: simpo({ beta: o.simpo_beta, gamma: o.simpo_gamma, sft: 0 }),
      dpo: dpo(o.dpo_beta, {
        chosen: pairs.map((i) => r.chosen[i]!),
        rejected: pairs.map((i) => r.rejected[i]!),
      }),
    });
    const every = chosen.map((_, i) => i);
    for (const [name, objective] of Object.entries(objectives(every))) {
      check(`${name}_logits`, Float64Array.from(margins[name as 'simpo' | 'dpo']));
      const alone = every.map((i) => objectives([i])[name]!([chosen[i]!], [rejected[i]!]).loss);
      check(`${name}_loss_per_pair`, Float64Array.from(alone));
      const { loss } = await accumulatePreference(trainer, rows.chosen, rows.rejected, objective);
      check(`${name}_loss`, Float64Array.of(loss));
      for (const [tensor, { data }] of trainer.grads.tensors(await trainer.grads.read()))
        check(`grad_${name}.${tensor}`, data);
    }
    checkDivergence(check, padded.chosen, await expected(trainer), reference.tokens);
  });
  const kl = /^grad_kl_(pi_ref|ref_pi)\./;
  report.add(
    'stored values that nothing was compared with',
    check.left().filter((name) => !kl.test(name)).length,
    0,
  );
  return 'grad_kl_pi_ref, grad_kl_ref_pi (no recipe trains a divergence; its values are compared)';
}

const numbers = (scores: readonly RowScore[], of: (s: RowScore) => number): Float64Array =>
  Float64Array.from(scores, of);

/** KL(policy || reference), the other way round, and its estimate from the label alone, at every label. */
function checkDivergence(
  check: ReturnType<typeof checkerOf>,
  padded: PaddedBatch,
  policy: readonly { label: number; logp: Float64Array }[],
  reference: readonly { logp: Float64Array }[],
): void {
  const k3 = (i: number): number => {
    const { label, logp } = policy[i]!;
    const d = reference[i]!.logp[label]! - logp[label]!;
    return Math.exp(d) - d - 1;
  };
  const values = {
    kl_pi_ref: policy.map(({ logp }, i) => divergence(logp, reference[i]!.logp)),
    kl_ref_pi: policy.map(({ logp }, i) => divergence(reference[i]!.logp, logp)),
    k3: policy.map((_, i) => k3(i)),
  };
  const labelled = (x: Float32Array): Float64Array =>
    Float64Array.from(x).filter((_, n) => {
      const width = padded.labels[0]!.length;
      const [row, at] = [Math.floor(n / width), n % width];
      return (padded.labels[row]![at + 1] ?? -1) >= 0;
    });
  for (const [name, per] of Object.entries(values)) {
    check(`${name}_token`, Float64Array.from(per), labelled);
    check(`${name}_loss`, Float64Array.of(per.reduce((a, b) => a + b, 0) / per.length));
  }
}
