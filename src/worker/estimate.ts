/** What a run will cost, measured on this adapter rather than guessed. */
import { Trainer } from '../train/trainer.ts';
import type { Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import type { Tasks } from './tasks.ts';
import type { Estimate, TrainParams } from './protocol.ts';
import { describeRun, prepareRun } from './run-setup.ts';
import { buildModel } from './stored-model.ts';

interface Measured {
  tokensPerSecond: number;
  /** Of model, gradients, moments and activations. */
  gpuBytes: number;
  /** Of the weights that a node stores. */
  nodeBytes: number;
}

export class Estimates {
  #ctx: Context;
  #models: Models;
  #tasks: Tasks;
  #measured = new Map<string, Promise<Measured>>();

  constructor(ctx: Context, models: Models, tasks: Tasks) {
    this.#ctx = ctx;
    this.#models = models;
    this.#tasks = tasks;
    ctx.onGpuGone.add(() => this.#measured.clear());
  }

  /** Training steps only: probes come on top. */
  async estimate(params: TrainParams): Promise<Estimate> {
    const run = await describeRun(this.#ctx, this.#tasks, params);
    const { prepared, cap } = await prepareRun(this.#ctx, this.#tasks, run);
    const { plan, examples } = prepared;
    const key = JSON.stringify([params.parentNodeId, params.prompts, cap, plan.lora]);
    let measured = this.#measured.get(key);
    if (!measured) {
      const batch = examples.slice(0, plan.batch);
      measured = this.#ctx.gate.run(PRIORITY.step, async () => {
        const parent = await this.#ctx.node(params.parentNodeId);
        const before = this.#ctx.gpu.stats.bytes;
        const stored = await this.#models.read(parent);
        const lora = plan.lora ?? null;
        const { built, trainer } = await this.#models.on(stored, lora === null, (base) => {
          const built = buildModel(this.#ctx.gpu, stored, base, { lora, seed: prepared.seed });
          return { built, trainer: new Trainer(built.model, plan.optim, cap) };
        });
        try {
          const gpuBytes = this.#ctx.gpu.stats.bytes - before;
          await trainer.gradient([batch]); // compiles
          const begun = performance.now();
          await trainer.gradient([batch]);
          const seconds = (performance.now() - begun) / 1000;
          const tokens = batch.reduce((n, { ids }) => n + ids.length, 0);
          const nodeBytes = built.model.trained.layout.length * 4;
          return { tokensPerSecond: tokens / seconds, gpuBytes, nodeBytes };
        } finally {
          trainer.destroy();
          built.destroy();
        }
      });
      this.#measured.set(key, measured);
      measured.catch(() => this.#measured.delete(key));
    }
    const { tokensPerSecond, gpuBytes, nodeBytes } = await measured;
    const mean = examples.reduce((n, { ids }) => n + ids.length, 0) / examples.length;
    return {
      steps: run.total,
      seconds: (run.total * plan.batch * mean) / tokensPerSecond,
      gpuBytes,
      nodeBytes,
    };
  }
}
