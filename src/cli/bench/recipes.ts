/** What a step of each defence costs beside an ordinary fine-tuning step on batches of the same size, in alternation. */
import { Rng } from '../../core/rng.ts';
import type { Settings } from '../../core/settings.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { Model } from '../../model/model.ts';
import { recipe } from '../../recipes/index.ts';
import { roomWith } from '../../recipes/prepare.ts';
import { num, settle } from '../../recipes/recipe.ts';
import { TINY_OPTIM } from '../../recipes/tiny.ts';
import type { OpenStep } from '../../train/session.ts';
import { Trainer } from '../../train/trainer.ts';
import { benchBatch, benchConfig, benchWeights, llamaOf } from './configs.ts';
import { cpuMs, median, round } from './figures.ts';

const LR = 1e-4;
/** Of the steps that are timed together: one of them measures T-Vaccine's layers. */
const BLOCK = 10;

const SUBJECTS: readonly { id: string; name: string; settings: Settings; most?: (s: Settings) => number }[] =
  [
    { id: 'sdd', name: 'SFT', settings: {} },
    { id: 'booster', name: 'Booster', settings: {}, most: () => 3.3 },
    { id: 't-vaccine', name: 'T-Vaccine', settings: { probabilityEvery: BLOCK }, most: () => 2.6 },
    { id: 't-vaccine', name: 'Vaccine', settings: { vaccine: true }, most: () => 2.6 },
    ...(['entropy', 'dpo'] as const).flatMap((resist) =>
      (['sgd', 'adamw'] as const).map((inner) => ({
        id: 'tar',
        name: `TAR, ${resist}, ${inner}`,
        settings: { resist, inner, innerSteps: 2 },
        most: (s: Settings) => num(s, 'tasks') * 2 * num(s, 'innerSteps') + 2,
      })),
    ),
  ];

export interface RecipeCost {
  recipe: string;
  /** Of a step, user and system time of this process: median of blocks of ten steps. */
  cpuMsPerStep: number;
  /** To the ordinary step. */
  ratio: number;
  /** The most that the lab allows itself. */
  allowed: number;
  /** GPU bytes beside those of an ordinary trainer, in sets as large as the weights. */
  extraSets: number;
}

/**
 * @param blocks of ten steps of each recipe
 * @param full on all of the configuration's rows instead of a quarter of them, which is about a batch of the tiny world
 */
export async function recipeBench(
  gpu: Gpu,
  name: string,
  blocks: number,
  full = false,
): Promise<RecipeCost[]> {
  const whole = benchConfig(name);
  const shape = full ? whole : { ...whole, rows: Math.max(2, Math.floor(whole.rows / 4)) };
  const batch = benchBatch(shape);
  const half = batch.slice(0, Math.ceil(batch.length / 2));
  const next = (stream = 'main') => (stream === 'chosen' || stream === 'rejected' ? half : batch);
  const tokens = shape.rows * (shape.seq + 1);
  const model = Model.create(gpu, llamaOf(shape), benchWeights(shape));
  const start = await model.params.read();
  const runners: { step(): Promise<void>; ms: number[]; bytes: number; close(): void }[] = [];
  try {
    for (const { id, settings } of SUBJECTS) {
      const r = recipe(id);
      const all = settle(r, settings);
      const before = gpu.stats.bytes;
      const room = roomWith(r.needs?.(all) ?? {}, { maxTokens: tokens, maxLabels: tokens });
      const trainer = await gpu.allocate(() => new Trainer(model, TINY_OPTIM, room));
      const own: OpenStep =
        typeof r.step === 'function' ? { step: r.step, close: () => {} } : await r.step.open(trainer, all);
      const rng = new Rng('bench');
      let step = 0;
      const once = async (): Promise<void> => {
        await own.step({ trainer, next, lr: LR, step: step++, rng });
        await trainer.flush();
      };
      runners.push({
        step: once,
        ms: [],
        bytes: gpu.stats.bytes - before,
        close: () => {
          own.close();
          trainer.destroy();
        },
      });
    }
    // compiles; step 0 is also one of those that measure T-Vaccine's layers
    for (const runner of runners) await runner.step();
    for (let b = 0; b < blocks; b++)
      for (const runner of runners) {
        model.params.write(start);
        const begun = cpuMs();
        for (let i = 0; i < BLOCK; i++) await runner.step();
        runner.ms.push((cpuMs() - begun) / BLOCK);
      }
  } finally {
    for (const runner of runners) runner.close();
    model.destroy();
  }
  const [plain] = runners;
  return SUBJECTS.map(({ id, name: own, settings, most }, i) => ({
    recipe: own,
    cpuMsPerStep: round(median(runners[i]!.ms)),
    ratio: round(median(runners[i]!.ms) / median(plain!.ms), 3),
    allowed: most?.(settle(recipe(id), settings)) ?? 1,
    extraSets: round((runners[i]!.bytes - plain!.bytes) / start.byteLength, 3),
  }));
}
