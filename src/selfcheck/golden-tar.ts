/** Golden case L: one step of TAR, with inner attacks by SGD and by AdamW, each with both resistance losses. */
import type { Batch } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Tampering } from '../recipes/tampering.ts';
import type { Trainer } from '../train/trainer.ts';
import { trimRows, type PaddedBatch } from './compare.ts';
import { json, type CaseFiles, type Report } from './golden-case.ts';
import { RecipeCheck, tensorsOf, tokensOf, withTrainer } from './golden-recipes.ts';

interface Meta {
  tar: {
    dpo_beta: number;
    inner_sgd_lr: number;
    inner_adamw: { betas: [number, number]; eps: number; weight_decay: number; lr_per_step: number[] };
    rep_coefficient: number;
    scale_retain: number;
    scale_tamper_resistance: number;
  };
}

interface Batches {
  inner: Batch[];
  chosen: Batch;
  rejected: Batch;
  retain: Batch;
}

/** @returns the stored values that were left out, and why */
export async function runTar(gpu: Gpu, files: CaseFiles, report: Report): Promise<string> {
  const check = new RecipeCheck(files, report);
  const { tar: o } = json(files, 'meta.json') as Meta;
  const padded = json(files, 'batch.json') as Record<'tr_chosen' | 'tr_rejected' | 'retain', PaddedBatch> & {
    inner: PaddedBatch[];
  };
  const b: Batches = {
    inner: padded.inner.map(trimRows),
    chosen: trimRows(padded.tr_chosen),
    rejected: trimRows(padded.tr_rejected),
    retain: trimRows(padded.retain),
  };
  const reference = tensorsOf(check.config, files, 'ref_model.safetensors');
  const room = { taps: { hidden: ['out', 'inject'] }, entropy: true } as const;
  const passes = [...b.inner, [...b.chosen, ...b.rejected], b.retain];
  for (const objective of ['entropy', 'dpo'] as const)
    for (const kind of ['sgd', 'adamw'] as const)
      await withTrainer(gpu, check, passes, room, async (trainer) => {
        const own = new Tampering(trainer, { objective, beta: o.dpo_beta, adamw: o.inner_adamw });
        own.reference.write(own.reference.flatten(reference));
        const first = objective === 'entropy';
        const name = `${objective}_${kind}`;
        try {
          own.begin();
          const rate = kind === 'sgd' ? o.inner_sgd_lr : o.inner_adamw.lr_per_step;
          const share = o.scale_tamper_resistance;
          const seen: Record<'inner' | 'loss' | 'norm', number[]> = { inner: [], loss: [], norm: [] };
          await own.attack(b.inner, b, { kind, rate, interval: 1, share }, async (what, k, loss) => {
            if (what === 'gradient') {
              seen.inner.push(loss);
              if (first && kind === 'sgd' && k === 0) await check.set('grad_inner1', trainer.grads);
            } else if (what === 'resistance') {
              seen.loss.push(loss);
              seen.norm.push(await trainer.grads.norm());
            } else if (first && k === b.inner.length - 1)
              await check.set(`inner_${kind}`, trainer.model.trained);
          });
          await check.unchanged('weights after the attack', trainer.model.trained, [...check.initial.keys()]);
          if (first) check.scalars(`inner_loss_${kind}`, seen.inner);
          check.scalars(`tr_loss_${name}`, seen.loss);
          check.scalars(`tr_grad_norm_${name}`, seen.norm);
          await check.set(`grad_tr_${name}`, own.resistance, share);
          const about = await retain(check, trainer, own, b, o, first && kind === 'sgd');
          own.combine();
          await check.set(`grad_combined_${name}`, trainer.grads);
          trainer.applyGradients(check.meta.optimizer.lr_per_step[0]!, about.tokens, about.labels);
          await trainer.flush();
          await check.set(`step1_${name}`, trainer.model.trained);
        } finally {
          own.close();
        }
      });
  check.end(['retain_rep_hf_states']);
  return 'retain_rep_hf_states (hidden states of the authors’ code, which the recipe does not take)';
}

async function retain(
  check: RecipeCheck,
  trainer: Trainer,
  own: Tampering,
  { retain: batch }: Batches,
  o: Meta['tar'],
  compared: boolean,
): Promise<{ tokens: number; labels: number }> {
  const wanted = { scale: o.scale_retain, distance: o.rep_coefficient };
  if (compared) {
    const { trained } = trainer.model;
    const [initial, resistance] = [await trained.read(), await own.resistance.read()];
    trained.copyFrom(own.reference);
    own.begin();
    await own.retain(batch, wanted);
    check.scalars('grad_norm_retain_at_reference', [await trainer.grads.norm()]);
    trained.write(initial);
    own.begin();
    own.resistance.write(resistance);
  }
  const about = await own.retain(batch, wanted);
  if (!compared) return about;
  const layers = await own.distances(tokensOf(batch));
  check.scalars('retain_loss', [about.loss]);
  check.scalars('retain_ce', [(await trainer.evaluate(batch)).loss]);
  check.scalars('retain_rep_per_layer', layers);
  check.scalars('retain_rep', [layers.reduce((a, x) => a + x, 0) / layers.length]);
  await check.set('grad_retain', trainer.grads);
  return about;
}
