/** Golden case M: safety-recovery rows and their masks, DeepAlign's losses and the gradient of its step. */
import { parseLlamaConfig } from '../core/config.ts';
import { Rng } from '../core/rng.ts';
import type { Batch } from '../core/types.ts';
import { answerRow } from '../data/chat.ts';
import { drawDepth } from '../data/defence-sets.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { countLabels } from '../model/batch.ts';
import { loadTensors } from '../model/hf.ts';
import { Model } from '../model/model.ts';
import { deepAlignStep } from '../recipes/deepalign.ts';
import { Trainer } from '../train/trainer.ts';
import { join, trimRows, unpad, type PaddedBatch } from './compare.ts';
import { checkerOf, file, json, type CaseFiles, type Report } from './golden-case.ts';

interface Examples {
  safety: { prompt_ids: number[]; harmful_ids: number[]; refusal_ids: number[]; k: number }[];
  benign: { prompt_ids: number[]; answer_ids: number[] }[];
}
interface Meta {
  deepalign: { alpha: number };
  k_distribution: {
    answer_tokens: number;
    k_max: number;
    probability_k0: number;
    probability_each_k_in_1_to_kmax: number;
  }[];
}

const OPTIM = { betas: [0.9, 0.999] as [number, number], eps: 1e-8, clip: 0, weight_decay: 0 };
const DRAWS = 20_000;

export async function runDeepAlign(gpu: Gpu, files: CaseFiles, report: Report): Promise<void> {
  const { safety, benign } = json(files, 'examples.json') as Examples;
  const meta = json(files, 'meta.json') as Meta;
  const padded = json(files, 'batch.json') as PaddedBatch;
  const config = parseLlamaConfig(json(files, 'config.json'));
  const check = checkerOf(files, report);
  const rows = {
    safety: safety.map((e) => answerRow(e.prompt_ids, e.harmful_ids.slice(0, e.k), e.refusal_ids)),
    benign: benign.map((e) => answerRow(e.prompt_ids, [], e.answer_ids)),
  };
  const all: Batch = [...rows.safety, ...rows.benign];
  const stored = trimRows(padded);
  const differing = all.filter((row, r) => JSON.stringify(row) !== JSON.stringify(stored[r])).length;
  report.add('rows and masks that differ', differing + Math.abs(all.length - stored.length), 0);
  checkDepths(meta, report);

  const tokens = all.reduce((sum, { ids }) => sum + ids.length, 0);
  const weights = loadTensors(config, { config, weights: [file(files, 'model.safetensors')] });
  const model = Model.create(gpu, config, weights);
  const trainer = new Trainer(model, OPTIM, { maxTokens: tokens, maxLabels: tokens });
  try {
    const { tokenLoss } = await trainer.evaluate(all);
    check('token_loss', join(tokenLoss), (x) => unpad(x, padded, 1));
    check('loss_safety', Float64Array.of((await trainer.evaluate(rows.safety)).loss));
    check('loss_benign', Float64Array.of((await trainer.evaluate(rows.benign)).loss));

    // the step itself, at a rate that moves nothing
    await deepAlignStep({
      trainer,
      next: (stream) => (stream === 'safety' ? rows.safety : rows.benign),
      lr: 0,
      step: 0,
      rng: new Rng('unused'),
    });
    const grads = trainer.grads.tensors(await trainer.grads.read());
    for (const [name, { data }] of grads) check(`grad_all.${name}`, data);
    const { loss, gradNorm } = await trainer.gradient([all]);
    check('loss_all', Float64Array.of(loss));
    check('grad_norm_all', Float64Array.of(gradNorm));

    // the same losses by weights of rows: the engine divides by all labels
    const labels = countLabels(all);
    const { alpha } = meta.deepalign;
    const byGroup = all.map((row, r) => {
      const [share, group] = r < safety.length ? [alpha, rows.safety] : [1 - alpha, rows.benign];
      return { ...row, weight: (share * labels) / countLabels(group) };
    });
    const weighted = await trainer.gradient([byGroup]);
    check('loss_weighted', Float64Array.of(weighted.loss));
    check('grad_norm_weighted', Float64Array.of(weighted.gradNorm));
    const byRow = all.map((row) => ({ ...row, weight: labels / all.length / countLabels([row]) }));
    check('loss_mean_of_examples', Float64Array.of((await trainer.gradient([byRow])).loss));
  } finally {
    trainer.destroy();
    model.destroy();
  }
  report.add('stored values that nothing was compared with', check.left().length, 0);
}

/** Depths as they are drawn against the case's distribution: standard errors by which the worst share is off. */
function checkDepths({ k_distribution }: Meta, report: Report): void {
  let worst = 0;
  for (const d of k_distribution) {
    const rng = new Rng(`depths/${d.answer_tokens}`);
    const counts = new Array<number>(d.k_max + 1).fill(0);
    for (let i = 0; i < DRAWS; i++) {
      const k = drawDepth(rng, d.answer_tokens);
      if (k > d.k_max) worst = Infinity;
      else counts[k]!++;
    }
    counts.forEach((count, k) => {
      const p = k === 0 ? d.probability_k0 : d.probability_each_k_in_1_to_kmax;
      worst = Math.max(worst, Math.abs(count / DRAWS - p) / Math.sqrt((p * (1 - p)) / DRAWS));
    });
  }
  // some 200 shares: the worst of them is beyond 4.5 in one of a thousand implementations that are right
  report.add('share of each depth, in standard errors', worst, 4.5);
}
