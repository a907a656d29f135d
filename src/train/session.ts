import type { Batch } from '../core/types.ts';
import type { Schedule } from '../core/schedule.ts';
import { lrAt } from '../core/schedule.ts';
import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import type { ParamSet } from '../model/params.ts';
import type { Spent, Tally } from './tally.ts';
import type { StepStats, Trainer } from './trainer.ts';

/** Where batches come from; `state` is plain data that says where the next ones begin. */
export interface BatchSource<S = unknown> {
  /** @param stream of a recipe with several; 'main' where it is absent */
  next(stream?: string): Batch;
  state(): S;
}

/** Opens the data at its beginning, or where a stored state says. */
export type OpenBatches<S = unknown> = (at: S | null) => BatchSource<S>;

/**
 * What one optimisation step may use. A recipe differs from another in this function only; data order, schedule,
 * pausing, logs, probes and checkpoints belong to the session.
 */
export interface StepContext {
  trainer: Trainer;
  /** The next batch of one of the recipe's streams ('main'); each call advances the cursor that a checkpoint stores. */
  next(stream?: string): Batch;
  /** Learning rate of this step, already scheduled. */
  lr: number;
  /** 0-based. */
  step: number;
  /** For recipes that draw at random in a step (layers, depths); stored in checkpoints. */
  rng: Rng;
}
export type StepFn = (ctx: StepContext) => Promise<void>;

/** A step function with what it owns beside the trainer: made before the first step, closed after the last. */
export interface OpenStep {
  step: StepFn;
  /** What outlives a step, as plain data; read after each step and stored in checkpoints. */
  state?(): unknown;
  /** Goes on from such a state. */
  restore?(state: unknown): void;
  /** Sets that are filled before the first step and never change again; stored in checkpoints. */
  kept?: readonly ParamSet[];
  close(): void;
}

export interface SessionPlan {
  lr: number;
  schedule: Schedule;
  /** Length of the run in steps. */
  steps: number;
  seed: number | string;
}

export interface SessionHooks {
  /** Each step's loss, gradient norm and counts; arrives a few steps later, in order. */
  onStats?(stats: StepStats): void;
  /** Called after every `every` steps (and before the first) with all steps so far finished. */
  probe?: { every: number; run(step: number): Promise<void> };
  /** Called after exactly these numbers of steps: how 20, 50 and 100 come from one run. */
  snapshot?: { at: readonly number[]; take(step: number): Promise<void> };
  onPhase?(phase: SessionPhase): void;
}

/** Steps back that a failed run can be read: more than are ever in flight. */
const TRAIL = 8;

export type SessionPhase = 'ready' | 'running' | 'paused' | 'stopped' | 'done' | 'failed';

/** Everything a later session needs to go on bit for bit on the same adapter; plain data, safe to clone or store. */
export interface SessionState {
  plan: SessionPlan;
  step: number;
  /** What is trained: all weights, or those of the adapter. */
  weights: Float32Array;
  m: Float32Array;
  v: Float32Array;
  batches: unknown;
  rng: number[];
  log: StepStats[];
  /** Of a recipe that keeps something between two steps, see OpenStep. */
  own?: unknown;
  kept?: Float32Array[];
  /** Absent: the run was not counted, or comes from before runs were. */
  spent?: Spent;
}

/** The training loop, the same for the page's worker and for the command line. */
export class TrainSession {
  readonly trainer: Trainer;
  readonly plan: SessionPlan;
  readonly log: StepStats[] = [];
  #open: OpenBatches;
  #batches: BatchSource;
  #own: Omit<OpenStep, 'close'>;
  #hooks: SessionHooks;
  #rng: Rng;
  #step = 0;
  #phase: SessionPhase = 'ready';
  readonly #tally: Tally | undefined;
  #wantPause = false;
  #wantStop = false;
  #allowance = 0;
  /** Data cursor, rng and the recipe's own state after each of the last steps: after a bad step the state of the last good one is wanted. */
  #trail: { step: number; batches: unknown; rng: number[]; own?: unknown }[] = [];
  #wake: (() => void) | null = null;
  #checkpoints: { resolve(s: SessionState): void; reject(e: unknown): void }[] = [];

  /**
   * @param step whoever opened it closes it
   * @param tally of the step that it counts
   */
  constructor(
    trainer: Trainer,
    open: OpenBatches,
    step: StepFn | OpenStep,
    plan: SessionPlan,
    hooks: SessionHooks = {},
    tally?: Tally,
  ) {
    this.trainer = trainer;
    this.plan = { ...plan };
    this.#open = open;
    this.#batches = open(null);
    this.#own = typeof step === 'function' ? { step } : step;
    this.#hooks = hooks;
    this.#tally = tally;
    this.#rng = new Rng(`${plan.seed}/steps`);
    this.#mark();
    trainer.onStats = (s) => {
      this.log.push(s);
      this.#hooks.onStats?.(s);
    };
  }

  /** Steps submitted so far. */
  get step(): number {
    return this.#step;
  }

  get phase(): SessionPhase {
    return this.#phase;
  }

  /**
   * Train to the end of the plan, or until stop(). While paused the promise stays open.
   * Throws LabError('non-finite') when a loss or gradient is not finite: weights and moments are then those after the
   * last good step, and checkpoint() still stores them.
   */
  async run(): Promise<'done' | 'stopped'> {
    if (this.#phase === 'running' || this.#phase === 'paused')
      throw new LabError('bad-input', 'This training run is already going on.');
    this.#wantStop = false;
    this.#setPhase('running');
    try {
      if (this.#step === 0) await this.#hooks.probe?.run(0);
      while (this.#step < this.plan.steps) {
        await this.#serveCheckpoints();
        await this.#waitWhilePaused();
        if (this.#wantStop) break;
        this.#tally?.go();
        await this.#one();
      }
      await this.trainer.flush();
      this.#tally?.stop();
      this.#setPhase(this.#step >= this.plan.steps ? 'done' : 'stopped');
      await this.#serveCheckpoints();
      return this.#phase === 'done' ? 'done' : 'stopped';
    } catch (error) {
      this.#tally?.stop();
      this.#setPhase('failed');
      for (const c of this.#checkpoints.splice(0)) c.reject(error);
      throw error;
    }
  }

  /**
   * Make the run longer: 20 steps and then 30 more are the same run as 50. Only where the schedule does not look at the
   * run's length.
   */
  extend(steps: number): void {
    if (this.plan.schedule.decay !== 'none')
      throw new LabError('bad-input', 'Only a run with a constant learning rate can be made longer.');
    this.plan.steps = Math.max(this.plan.steps, steps);
  }

  /** Halt before the next step; steps already submitted finish. */
  pause(): void {
    this.#wantPause = true;
  }

  resume(): void {
    this.#wantPause = false;
    this.#wakeUp();
  }

  /** While paused: run exactly one step and pause again. */
  stepOnce(): void {
    this.#wantPause = true;
    this.#allowance++;
    this.#wakeUp();
  }

  /** End the run early; run() resolves with 'stopped' and the weights are those after the last step. */
  stop(): void {
    this.#wantStop = true;
    this.#wakeUp();
  }

  /** The state at the next step boundary (at once when the loop is not running). */
  checkpoint(): Promise<SessionState> {
    if (this.#phase !== 'running' && this.#phase !== 'paused') return this.#read();
    const promise = new Promise<SessionState>((resolve, reject) =>
      this.#checkpoints.push({ resolve, reject }),
    );
    this.#wakeUp();
    return promise;
  }

  /** Continue from a stored state; the plan's schedule must be the stored one, or the run would not be the same run. */
  restore(state: SessionState): void {
    if (planKey(state.plan) !== planKey(this.plan))
      throw new LabError(
        'bad-input',
        'The checkpoint was made with another learning rate, schedule, length or seed.',
        {
          safe: 'The checkpoint itself is untouched.',
          next: 'Resume it with the settings it was made with, or start a new run.',
        },
      );
    this.trainer.model.trained.write(state.weights);
    this.trainer.restore({ step: state.step, m: state.m, v: state.v });
    this.#own.kept?.forEach((set, i) => set.write(state.kept![i]!));
    if (state.own !== undefined) this.#own.restore!(state.own);
    if (state.spent) this.#tally?.restore(state.spent);
    this.#batches = this.#open(state.batches);
    this.#rng = Rng.from(state.rng);
    this.#step = state.step;
    this.#trail = [];
    this.#mark();
    this.log.splice(0, this.log.length, ...state.log);
  }

  async #one(): Promise<void> {
    const { lr, schedule, steps } = this.plan;
    const step = this.#step;
    await this.#own.step({
      trainer: this.trainer,
      next: (stream) => this.#batches.next(stream),
      lr: lrAt(schedule, lr, step, steps),
      step,
      rng: this.#rng,
    });
    this.#step++;
    this.#mark();
    if (this.#trail.length > TRAIL) this.#trail.shift();
    const { probe, snapshot } = this.#hooks;
    const wantsProbe = probe !== undefined && (this.#step % probe.every === 0 || this.#step === steps);
    const wantsSnapshot = snapshot !== undefined && snapshot.at.includes(this.#step);
    if (!wantsProbe && !wantsSnapshot) return;
    await this.trainer.flush();
    this.#tally?.stop();
    if (wantsProbe) await probe.run(this.#step);
    if (wantsSnapshot) await snapshot.take(this.#step);
  }

  async #waitWhilePaused(): Promise<void> {
    while (this.#wantPause && !this.#wantStop) {
      if (this.#allowance > 0) {
        this.#allowance--;
        return;
      }
      await this.trainer.flush();
      this.#tally?.stop();
      if (this.#phase !== 'paused') this.#setPhase('paused');
      await this.#serveCheckpoints();
      if (this.#wantPause && !this.#wantStop && this.#allowance === 0 && this.#checkpoints.length === 0)
        await new Promise<void>((resolve) => (this.#wake = resolve));
      await this.#serveCheckpoints();
    }
    if (this.#phase === 'paused') this.#setPhase('running');
  }

  async #serveCheckpoints(): Promise<void> {
    if (this.#checkpoints.length === 0) return;
    const state = await this.#read();
    for (const c of this.#checkpoints.splice(0)) c.resolve(state);
  }

  async #read(): Promise<SessionState> {
    // After a non-finite step flush() throws for ever, and steps submitted behind it changed nothing: the GPU holds the
    // weights and moments of the last reported step, and they may be read as they are.
    const failed = this.#phase === 'failed';
    // and after another error the steps behind it still have to arrive
    await this.trainer.flush().catch((error: unknown) => {
      if (!failed) throw error;
    });
    const step = failed ? (this.log.at(-1)?.step ?? this.#trail[0]!.step) : this.#step;
    const at = this.#trail.find((t) => t.step === step)!;
    const own = this.#own.kept ?? [];
    this.#tally?.stop();
    const [weights, m, v, ...kept] = await Promise.all(
      [this.trainer.model.trained, this.trainer.m, this.trainer.v, ...own].map((set) => set.read()),
    );
    return {
      plan: { ...this.plan },
      step,
      weights: weights!,
      m: m!,
      v: v!,
      batches: at.batches,
      rng: at.rng,
      log: [...this.log],
      ...(at.own !== undefined && { own: at.own }),
      ...(kept.length > 0 && { kept }),
      ...(this.#tally && { spent: this.#tally.spent }),
    };
  }

  /** Remembers where data and rng stand after the steps so far. */
  #mark(): void {
    const own = this.#own.state?.();
    this.#trail.push({
      step: this.#step,
      batches: this.#batches.state(),
      rng: this.#rng.state(),
      ...(own !== undefined && { own }),
    });
  }

  #setPhase(phase: SessionPhase): void {
    this.#phase = phase;
    this.#hooks.onPhase?.(phase);
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = null;
  }
}

/** What of a plan decides the updates: the length only where the schedule depends on it. */
function planKey({ lr, schedule, steps, seed }: SessionPlan): string {
  return JSON.stringify([lr, schedule, schedule.decay === 'none' ? 0 : steps, seed]);
}
