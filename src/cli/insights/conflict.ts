import { type ConflictTable } from '../../core/insights.ts';
import { tinyTask } from '../../data/tiny-task.ts';
import { conflictBatches, DEALS, measureConflict } from '../../insights/conflict.ts';
import { GradientProbe } from '../../insights/gradients.ts';
import { Progress } from '../progress.ts';
import { versions, type InsightBench } from './bench.ts';

/** Gradient conflict of each model, before and after so many steps of attack. */
export async function gradientConflict(
  bench: InsightBench,
  models: readonly string[],
  o: { batches: number; rows: number; after: number; command: string },
): Promise<ConflictTable> {
  const { lab, folder, seeds } = bench;
  const data = conflictBatches(tinyTask(lab.world), seeds.attack, o);
  const all = versions(models, o.after);
  const progress = new Progress('gradient conflict', all.length * 2 * o.batches);
  const probe = await GradientProbe.open(lab.gpu, folder.config, folder.tensors);
  const found: ConflictTable['models'] = [];
  try {
    for (const [i, { weights, ...subject }] of all.entries()) {
      bench.onStep = (note) => progress.update(i * 2 * o.batches, note);
      const at = await weights(bench);
      found.push(
        await measureConflict(subject, probe.layout, data, (batch) => probe.gradient(at, batch), {
          seed: seeds.attack,
          onBatch: (done) => progress.update(i * 2 * o.batches + done, subject.model),
        }),
      );
    }
  } finally {
    probe.destroy();
  }
  progress.done(`${found.length} models`);
  return {
    kind: 'gradient conflict',
    version: 1,
    about: bench.about(o.command),
    batches: o.batches,
    rows: o.rows,
    deals: DEALS,
    data: { attack: 'mft', benign: 'bft', seed: seeds.attack },
    models: found,
  };
}
