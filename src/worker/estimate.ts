/** What a run will cost: memory as planned, and where that fits, time as measured on this adapter rather than guessed. */
import { parseLlamaConfig } from '../core/config.ts';
import { keptSteps } from '../core/snapshots.ts';
import type { Turn } from '../gpu/timing.ts';
import { Trainer } from '../train/trainer.ts';
import type { Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import { planRun } from './memory.ts';
import type { Models } from './models.ts';
import type { Tasks } from './tasks.ts';
import type { Estimate, RunInfo, TrainParams } from './protocol.ts';
import { describeRun, prepareRun } from './run-setup.ts';
import { buildModel, storedFloats } from './stored-model.ts';

type Ready = Awaited<ReturnType<typeof prepareRun>>;

export class Estimates {
  #ctx: Context;
  #models: Models;
  #tasks: Tasks;
  /** Tokens a second. */
  #measured = new Map<string, number>();

  constructor(ctx: Context, models: Models, tasks: Tasks) {
    this.#ctx = ctx;
    this.#models = models;
    this.#tasks = tasks;
    ctx.onGpuGone.add(() => this.#measured.clear());
  }

  /** Time of training steps only: probes come on top. The page cancels what its settings have outrun. */
  async estimate(params: TrainParams, signal: AbortSignal): Promise<Estimate> {
    const run = await describeRun(this.#ctx, this.#tasks, params);
    const ready = await prepareRun(this.#ctx, this.#tasks, run);
    signal.throwIfAborted();
    const { prepared } = ready;
    const { plan, examples, needs } = prepared;
    const memory = await planRun(
      this.#ctx,
      run,
      prepared,
      { ...ready.cap, rows: ready.rows },
      params.probeEvery !== 0,
    );
    const { modelConfig } = await this.#ctx.node(run.parentId);
    const config = parseLlamaConfig(modelConfig);
    const nodeBytes = storedFloats(config, plan.lora) * 4;
    const { total, saveAt: saved, keep } = run;
    const wanted = keptSteps({ total, saved, room: Infinity }).length * (nodeBytes / 2);
    const kept = keep?.at.length ?? 0;
    const can = memory.problems.length === 0 && (await this.#models.atHand(run.parentId));
    const mean = examples.reduce((n, { ids }) => n + ids.length, 0) / examples.length;
    // a pass forward alone is a third of the work of one that goes backward as well
    const passes = (needs.gradients ?? 1) + (needs.forwards ?? 0) / 3;
    const tokens = run.total * plan.batch * mean * passes;
    const seconds = can ? tokens / (await this.#speed(run, ready, signal)) : null;
    return {
      steps: run.total,
      seconds,
      memory,
      nodeBytes,
      keep: { steps: kept, bytes: kept * (nodeBytes / 2), wanted },
      cut: prepared.report.truncated.length,
      dropped: prepared.report.dropped?.length ?? 0,
    };
  }

  /** One pass of as many rows as a run of these makes at once, after one of a single row that compiles. */
  async #speed(run: RunInfo, { prepared, cap, rows }: Ready, signal: AbortSignal): Promise<number> {
    const { plan, examples } = prepared;
    const { parentId, prompts, continues } = run;
    const { gpu } = this.#ctx;
    const key = JSON.stringify([parentId, prompts, continues, cap, plan.lora, gpu.table]);
    const known = this.#measured.get(key);
    if (known !== undefined) return known;
    const turn: Turn = (work) => this.#ctx.gate.run(PRIORITY.estimate, work, signal);
    const { built, trainer } = await turn(async () => {
      const stored = await this.#models.read(await this.#ctx.node(parentId));
      const lora = plan.lora ?? null;
      return this.#models.on(stored, lora === null, (base) => {
        const built = buildModel(gpu, stored, base, { lora, seed: prepared.seed, continues });
        return { built, trainer: new Trainer(built.model, plan.optim, cap) };
      });
    });
    try {
      await turn(() => trainer.gradient([examples.slice(0, 1)]));
      const pass = Array.from({ length: rows }, (_, i) => examples[i % examples.length]!);
      const seconds = await turn(async () => {
        const begun = performance.now();
        await trainer.gradient([pass]);
        return (performance.now() - begun) / 1000;
      });
      const speed = pass.reduce((n, { ids }) => n + ids.length, 0) / seconds;
      this.#measured.set(key, speed);
      return speed;
    } finally {
      trainer.destroy();
      built.destroy();
    }
  }
}
