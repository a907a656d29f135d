/** Golden case K: T-Vaccine with drawn layers, and Vaccine on all of them. */
import type { Gpu } from '../gpu/gpu.ts';
import { AttentionPush, layerProbabilities } from '../recipes/tvaccine.ts';
import { LayerUpdates } from '../train/layer-updates.ts';
import type { Trainer } from '../train/trainer.ts';
import { trimRows, unpad, type PaddedBatch } from './compare.ts';
import { json, type CaseFiles, type Report } from './golden-case.ts';
import { RecipeCheck, withTrainer } from './golden-recipes.ts';

interface Meta {
  tvaccine: { drawn_layers: number[]; frozen_params: string[]; rho: number };
}

export async function runTVaccine(gpu: Gpu, files: CaseFiles, report: Report): Promise<void> {
  const check = new RecipeCheck(files, report);
  const { tvaccine: o } = json(files, 'meta.json') as Meta;
  const padded = json(files, 'batch.json') as Record<'alignment' | 'harmful', PaddedBatch>;
  const alignment = trimRows(padded.alignment);
  const harmful = trimRows(padded.harmful);
  const { hidden_size: width, num_hidden_layers } = check.config;
  const all = Array.from({ length: num_hidden_layers }, (_, l) => l);
  const tokens = alignment.reduce((n, { ids }) => n + ids.length, 0);
  const place = (values: Float32Array) => unpad(values, padded.alignment, width);
  const [lr] = check.meta.optimizer.lr_per_step;
  const taps = { attn: ['grad as pert', 'out'] } as const;

  const before = async (trainer: Trainer, push: AttentionPush): Promise<void> => {
    check.scalars('harmful_loss', [(await trainer.evaluate(harmful)).loss]);
    const norms = await push.norms(harmful);
    check.scalars('layer_grad_norms', norms);
    check.scalars('layer_probabilities', layerProbabilities(norms));
    const gradients = await push.gradients(alignment, all);
    for (const l of all) {
      check.value(`grad_attn_pass1.${l}`, gradients[l]![0]!, place);
      check.value(`attn_out_pass1.${l}`, await trainer.readTap('attn', 'out', l, tokens), place);
    }
    check.scalars('loss_pass1', [(await trainer.evaluate(alignment)).loss]);
  };
  for (const [name, layers] of [
    ['tvaccine', o.drawn_layers],
    ['vaccine', all],
  ] as const)
    await withTrainer(gpu, check, [alignment, harmful], { taps }, async (trainer) => {
      const push = new AttentionPush(trainer);
      const updates = new LayerUpdates(trainer);
      const stats: { loss: number; gradNorm: number }[] = [];
      trainer.onStats = (s) => stats.push(s);
      try {
        if (name === 'tvaccine') await before(trainer, push);
        const about = await push.gradient(alignment, layers, o.rho, (norm, added) => {
          check.scalars(`pert_norm_${name}`, [norm]);
          layers.forEach((l, i) => check.value(`pert_${name}.${l}`, added[i]![0]!, place));
        });
        await check.set(`grad_${name}`, trainer.grads);
        if (name === 'tvaccine') updates.apply(layers, lr!, about);
        else trainer.applyGradients(lr!, about.tokens, about.labels);
        await trainer.flush();
        check.scalars(`loss_pass2_${name}`, [stats[0]!.loss]);
        check.scalars(`grad_norm_trained_${name}`, [stats[0]!.gradNorm]);
        const { trained } = trainer.model;
        await check.set(`step1_${name}`, trained);
        if (name === 'tvaccine') await check.unchanged('frozen', trained, o.frozen_params);
      } finally {
        updates.close();
      }
    });
  check.end();
}
