/** Figures of one training step and of the logits on a model that was loaded, for `npm run models -- load`. */
import { Rng } from '../core/rng.ts';
import { Adapter, LORA_TARGETS } from '../model/lora.ts';
import { openWeights } from '../model/hf.ts';
import type { Model } from '../model/model.ts';
import { plan } from '../model/plan.ts';
import * as reference from '../reference/llama.ts';
import { relError } from '../selfcheck/compare.ts';
import { Trainer, type StepStats } from '../train/trainer.ts';
import type { OpenModel } from './models-open.ts';

const OPTIM = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, clip: 1 } as const;
export const STEP_TOKENS = 128;
export const CHECK_TOKENS = 8;

const tokens = (count: number, vocab: number): number[] => {
  const rng = new Rng('measure');
  return Array.from({ length: count }, () => rng.int(vocab));
};

export interface StepFigures {
  /** Of the first step, compiling included, and of the second. */
  seconds: [number, number];
  losses: number[];
  /** Largest sum of the GPU's buffers so far, and what the planner foretold. */
  peakGpuBytes: number;
  plannedBytes: number;
}

/** Two LoRA steps: rank 8, all seven projections, one row of 128 tokens. */
export async function measureStep(model: Model, checkpoint: boolean): Promise<StepFigures> {
  const { gpu, config } = model;
  const lora = { r: 8, alpha: 16, targets: LORA_TARGETS };
  const context = Math.min(STEP_TOKENS, config.max_position_embeddings);
  const ids = tokens(context, config.vocab_size);
  const { adapter, trainer } = await gpu.allocate(() => {
    const adapter = new Adapter(gpu, config, lora);
    const capacity = { maxTokens: context, maxLabels: context, checkpoint };
    return { adapter, trainer: new Trainer(model.with(adapter), OPTIM, capacity) };
  });
  try {
    adapter.initialise(0);
    const stats: StepStats[] = [];
    trainer.onStats = (s) => stats.push(s);
    const step = async (): Promise<number> => {
      const start = performance.now();
      await trainer.step([[{ ids, labels: ids }]], 1e-4);
      await trainer.flush();
      return (performance.now() - start) / 1000;
    };
    const seconds: [number, number] = [await step(), await step()];
    const { precision } = model.weights;
    const request = {
      precision,
      method: 'lora',
      adapters: [lora],
      context,
      batch: 1,
      checkpoint,
      answers: 0,
    } as const;
    return {
      seconds,
      losses: stats.map((s) => s.loss),
      peakGpuBytes: gpu.stats.peakBytes,
      plannedBytes: plan(config, request, gpu.info.limits).total,
    };
  } finally {
    trainer.destroy();
    adapter.destroy();
  }
}

/** Relative L2 distance of the logits on 8 tokens from those of the float64 reference on the file's own values: 8 bytes a parameter in memory. */
export async function measureLogits(model: Model, { config, checkpoint }: OpenModel): Promise<number> {
  const { gpu } = model;
  const source = await openWeights(config, checkpoint);
  const params: reference.Params = new Map();
  for (const [name, { shape }] of checkpoint.tensors) {
    const values = new Float64Array(shape.reduce((a, b) => a * b, 1));
    for await (const slice of source.values(name)) values.set(slice.values, slice.at);
    params.set(name, values);
  }
  const ids = tokens(CHECK_TOKENS, config.vocab_size);
  const batch = [{ ids, labels: ids }];
  const capacity = { maxTokens: CHECK_TOKENS, maxLabels: CHECK_TOKENS };
  const { adapter, trainer } = await gpu.allocate(() => {
    const adapter = new Adapter(gpu, config, { r: 1, alpha: 1, targets: ['q_proj'] });
    return { adapter, trainer: new Trainer(model.with(adapter), OPTIM, capacity) };
  });
  // its B is zero: the model is as it was
  adapter.initialise(0);
  try {
    const [logits] = await trainer.logits(batch);
    return relError(logits!, reference.forward(config, params, batch).logits as Float64Array);
  } finally {
    trainer.destroy();
    adapter.destroy();
  }
}
