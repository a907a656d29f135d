import type { Batch } from '../core/types.ts';
import type { RunCost } from '../core/run-cost.ts';
import type { StepFn } from './session.ts';
import type { Trainer } from './trainer.ts';

/** Rows and tokens that went through a trainer since it was made. */
export class PassCounter {
  /** Rows and their tokens that went forward and backward. */
  rows = 0;
  tokens = 0;
  /** Rows that went forward, whether anything came back or not. */
  forward = 0;

  count(batch: Batch, went: { forward: boolean; backward: boolean }): void {
    if (went.forward) this.forward += batch.length;
    if (!went.backward) return;
    this.rows += batch.length;
    this.tokens += batch.reduce((sum, { ids }) => sum + ids.length, 0);
  }
}

/** What a run has spent so far; plain data, stored with its checkpoints. */
export interface Spent {
  rows: number;
  tokens: number;
  forward: number;
  ms: number;
  peakBytes: number;
}

/** Counts what the steps of one run take: passes and bytes inside of them, time from one to the next. */
export class Tally {
  readonly #trainer: Trainer;
  /** What the run has on the GPU before its first step, and what its steps made and did not free. */
  #held: number;
  #spent: Spent;
  #since: number | null = null;

  /** @param held bytes of the run's model, its trainer and what its recipe made */
  constructor(trainer: Trainer, held: number) {
    this.#trainer = trainer;
    this.#held = held;
    this.#spent = { rows: 0, tokens: 0, forward: 0, ms: 0, peakBytes: held };
  }

  /** The step, counted. It wraps the bare step: while a run waits for its turn on the GPU others use it. */
  counted(step: StepFn): StepFn {
    return async (ctx) => {
      const { passes, grads } = this.#trainer;
      const { rows, tokens, forward } = passes;
      const meter = grads.gpu.meter();
      try {
        await step(ctx);
      } finally {
        meter.end();
        const spent = this.#spent;
        spent.rows += passes.rows - rows;
        spent.tokens += passes.tokens - tokens;
        spent.forward += passes.forward - forward;
        spent.peakBytes = Math.max(spent.peakBytes, this.#held + meter.peak);
        this.#held += meter.grown;
      }
    };
  }

  /** The clock of the steps goes on. */
  go(): void {
    this.#since ??= performance.now();
  }

  /** The clock stands: what comes now is no step. */
  stop(): void {
    if (this.#since !== null) this.#spent.ms += performance.now() - this.#since;
    this.#since = null;
  }

  get spent(): Spent {
    const running = this.#since === null ? 0 : performance.now() - this.#since;
    return { ...this.#spent, ms: this.#spent.ms + running };
  }

  /** Goes on from what an interrupted run had spent. */
  restore(spent: Spent): void {
    this.#spent = { ...spent, peakBytes: Math.max(spent.peakBytes, this.#held) };
  }

  /** @param batch rows of a batch of the run */
  cost(steps: number, batch: number): RunCost {
    const { rows, forward, tokens, ms, peakBytes } = this.spent;
    const forwards = (forward - rows) / batch;
    return { steps, gradients: rows / batch, forwards, tokens, seconds: ms / 1000, peakBytes };
  }
}
