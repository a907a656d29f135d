/** Times of training steps: several variants are run in alternation, so that a busy machine slows all of them alike. */
import type { Batch, Precision } from '../../core/types.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { Adapter, LORA_TARGETS } from '../../model/lora.ts';
import { Model } from '../../model/model.ts';
import { Trainer } from '../../train/trainer.ts';
import { benchBatch, benchConfig, benchWeights, llamaOf, trainedFlops, type BenchConfig } from './configs.ts';
import { cpuMs, median, round } from './figures.ts';

/** Weight decay on matrices only, no clipping. */
const OPTIM = { betas: [0.9, 0.95] as [number, number], eps: 1e-8, weight_decay: 0.1, clip: 0 };
const LR = 1e-3;
/** Steps before the timed ones; the first compiles. */
const WARM_UP = 2;
const LORA = { r: 8, alpha: 16, targets: LORA_TARGETS };

export interface Variant {
  config: string;
  /** An adapter of rank 8 on all projections instead of all weights. */
  lora?: boolean;
  checkpoint?: boolean;
  /** Of frozen weights, with `lora`. */
  precision?: Precision;
  /** Instead of the configuration's own. */
  rows?: number;
  seq?: number;
}

export interface TrainResult extends Variant {
  adapter: string;
  tokens: number;
  /** With the making of the trainer and all compilation. */
  firstStepMs: number;
  /** Wall milliseconds of a step, from its first command until its loss is here: median. */
  msPerStep: number;
  /** User and system time of this process; on a software adapter that is the "GPU" as well: median. */
  cpuMsPerStep: number;
  tokPerS: number;
  gflops: number;
  dispatches: number;
  submits: number;
  /** GPU bytes beside weights, gradients and moments. */
  otherBytes: number;
  /** Before each update. */
  losses: number[];
}

interface Runner {
  variant: Variant;
  shape: BenchConfig;
  batch: Batch;
  trainer: Trainer;
  losses: number[];
  firstStepMs: number;
  otherBytes: number;
  ms: number[];
  cpu: number[];
  destroy(): void;
}

/** Each variant's own model and trainer. The batch fills the trainer's capacity, as in the page. */
async function prepare(gpu: Gpu, variant: Variant): Promise<Runner> {
  const own = benchConfig(variant.config);
  const shape = { ...own, rows: variant.rows ?? own.rows, seq: variant.seq ?? own.seq };
  const before = gpu.stats.bytes;
  const config = llamaOf(shape);
  const model = Model.create(gpu, config, benchWeights(shape), variant.precision ?? 'f32');
  const adapter = variant.lora ? new Adapter(gpu, config, LORA) : null;
  adapter?.initialise(0);
  const trained = adapter ? model.with(adapter) : model;
  const weights = gpu.stats.bytes - before;
  const capacity = {
    maxTokens: shape.rows * (shape.seq + 1),
    maxLabels: shape.rows * shape.seq,
    checkpoint: variant.checkpoint === true,
  };
  const begun = performance.now();
  const trainer = await gpu.allocate(() => new Trainer(trained, OPTIM, capacity));
  const made = performance.now() - begun;
  const moments = 3 * trained.trained.layout.length * 4;
  const losses: number[] = [];
  trainer.onStats = (s) => losses.push(s.loss);
  return {
    variant,
    shape,
    batch: benchBatch(shape),
    trainer,
    losses,
    firstStepMs: made,
    otherBytes: gpu.stats.bytes - before - weights - moments,
    ms: [],
    cpu: [],
    destroy() {
      trainer.destroy();
      adapter?.destroy();
      model.destroy();
    },
  };
}

async function timed(runner: Runner): Promise<{ ms: number; cpu: number }> {
  const cpu = cpuMs();
  const start = performance.now();
  await runner.trainer.step([runner.batch], LR);
  await runner.trainer.flush();
  return { ms: performance.now() - start, cpu: cpuMs() - cpu };
}

/** A trainer that has made one step, for as long as `use` takes. */
export async function withTrainer<T>(
  gpu: Gpu,
  variant: Variant,
  use: (trainer: Trainer) => Promise<T>,
): Promise<T> {
  const runner = await prepare(gpu, variant);
  try {
    await timed(runner);
    return await use(runner.trainer);
  } finally {
    runner.destroy();
  }
}

/** @param steps timed ones of each variant */
export async function trainBench(
  gpu: Gpu,
  variants: readonly Variant[],
  steps: number,
): Promise<TrainResult[]> {
  const runners: Runner[] = [];
  try {
    for (const variant of variants) {
      const runner = await prepare(gpu, variant);
      runners.push(runner);
      runner.firstStepMs += (await timed(runner)).ms;
      for (let i = 1; i < WARM_UP; i++) await timed(runner);
    }
    const counts = new Map<Runner, { dispatches: number; submits: number }>();
    for (let i = 0; i < steps; i++)
      for (const runner of runners) {
        const { dispatches, submits } = gpu.stats;
        const { ms, cpu } = await timed(runner);
        runner.ms.push(ms);
        runner.cpu.push(cpu);
        counts.set(runner, {
          dispatches: gpu.stats.dispatches - dispatches,
          submits: gpu.stats.submits - submits,
        });
      }
    return runners.map((r) => {
      const ms = median(r.ms);
      const tokens = r.shape.rows * r.shape.seq;
      return {
        ...r.variant,
        adapter: gpu.info.description || gpu.info.vendor,
        tokens,
        firstStepMs: round(r.firstStepMs),
        msPerStep: round(ms),
        cpuMsPerStep: round(median(r.cpu)),
        tokPerS: round((tokens * 1000) / ms),
        gflops: round(trainedFlops(r.shape) / ms / 1e6),
        ...counts.get(r)!,
        otherBytes: r.otherBytes,
        losses: r.losses.map((x) => round(x, 6)),
      };
    });
  } finally {
    for (const r of runners) r.destroy();
  }
}
