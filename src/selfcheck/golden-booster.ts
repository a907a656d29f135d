/** Golden case J: three steps of Booster, everything computed again in each of them. */
import type { Gpu } from '../gpu/gpu.ts';
import { Booster } from '../recipes/booster.ts';
import { trimRows, type PaddedBatch } from './compare.ts';
import { json, type CaseFiles, type Report } from './golden-case.ts';
import { RecipeCheck, withTrainer } from './golden-recipes.ts';

export async function runBooster(gpu: Gpu, files: CaseFiles, report: Report): Promise<void> {
  const check = new RecipeCheck(files, report);
  const { booster: o } = json(files, 'meta.json') as { booster: { alpha: number; lambda: number } };
  const padded = json(files, 'batch.json') as Record<'f' | 'h', PaddedBatch>;
  const batch = { f: trimRows(padded.f), h: trimRows(padded.h) };
  await withTrainer(gpu, check, [batch.f, batch.h], {}, async (trainer) => {
    const own = new Booster(trainer);
    const { grads } = trainer;
    const params = trainer.model.trained;
    const seen: Record<string, number[]> = {};
    const note = (name: string, value: number): void => void (seen[name] ??= []).push(value);
    const rates = check.meta.optimizer.lr_per_step;
    trainer.onStats = ({ loss }) => note('loss_f', loss);
    try {
      for (const [i, lr] of rates.entries()) {
        const before = await params.read();
        note('loss_h', (await trainer.evaluate(batch.h)).loss);
        const { tokens, labels } = await own.gradient(batch, o, async (what) => {
          const name = { h: 'grad_h', perturbed: 'perturbed', 'h perturbed': 'grad_h_pert', f: 'grad_f' }[
            what
          ];
          if (what !== 'perturbed') note(name.replace('grad', 'norm'), await grads.norm());
          else note('loss_h_pert', (await trainer.evaluate(batch.h)).loss);
          if (i === 0) await check.set(name, what === 'perturbed' ? params : grads);
        });
        const after = await params.read();
        report.add('weights of the step: numbers changed', after.filter((x, k) => x !== before[k]).length, 0);
        note('norm_combined', await grads.norm());
        if (i === 0) await check.set('grad_combined', grads);
        await trainer.ready();
        trainer.applyGradients(lr, tokens, labels);
        await trainer.flush();
        if (i === 0 || i === rates.length - 1) await check.set(`step${i + 1}`, params);
      }
      for (const [name, values] of Object.entries(seen)) check.scalars(name, values);
      for (const which of ['f', 'h'] as const)
        check.scalars(`final_loss_${which}`, [(await trainer.evaluate(batch[which])).loss]);
    } finally {
      own.close();
    }
  });
  check.end();
}
