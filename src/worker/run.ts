/**
 * One training run in the worker: drives a TrainSession, reports to the page, probes, saves nodes at its stations and
 * keeps a checkpoint on disk, so that a closed tab loses at most the steps since then.
 */
import { LabError } from '../core/errors.ts';
import type { SessionPhase } from '../train/session.ts';
import type { StepStats } from '../train/trainer.ts';
import type { Context } from './context.ts';
import { toErrorInfo } from './error-info.ts';
import { PRIORITY } from './gate.ts';
import { Keeper } from './keeper.ts';
import type { Tasks } from './tasks.ts';
import type { Models } from './models.ts';
import { Pace } from './pace.ts';
import type { LabNode, RunControl, RunEvent, RunInfo, RunState, StepPoint } from './protocol.ts';
import { arithmetic, buildRun, nodeOf, stations, type RunParts } from './run-setup.ts';
import { STATES, type StoredPlain } from './run-state.ts';
import { trainedWeights } from './stored-model.ts';

/** Between two automatic checkpoints. */
const CHECKPOINT_MS = 10_000;
/** Between two messages with the latest steps. */
const REPORT_MS = 150;

export class Run {
  readonly info: RunInfo;
  #ctx: Context;
  #parts!: RunParts;
  #keeper: Keeper;
  #probeEvery: number;
  #pace = new Pace();
  #unsent: StepPoint[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #driving: Promise<void> | null = null;
  #saving: Promise<void> | null = null;
  #saveAgain = false;
  #discarded = false;
  /** The error shown is that of the last automatic checkpoint; the next one that succeeds takes it back. */
  #saveFailed = false;
  /** Nodes that could not be written (full disk); `resume` tries again before it trains on. */
  #unsaved: { step: number; weights: Float32Array }[] = [];

  private constructor(ctx: Context, models: Models, info: RunInfo, probeEvery: number) {
    this.#ctx = ctx;
    this.#keeper = new Keeper(ctx, models, info);
    this.info = info;
    this.#probeEvery = probeEvery;
  }

  /** A run ready for its first step, or (with `stored`) where its checkpoint left it, paused. */
  static async open(
    ctx: Context,
    models: Models,
    tasks: Tasks,
    info: RunInfo,
    options: { probeEvery: number; stored?: { plain: StoredPlain; arrays: Float32Array[] } },
  ): Promise<Run> {
    const run = new Run(ctx, models, info, options.probeEvery);
    run.#parts = await buildRun(
      ctx,
      models,
      tasks,
      info,
      {
        onStats: (stats) => run.#onStats(stats),
        onPhase: (phase) => run.#onPhase(phase),
        ...(options.probeEvery > 0 && {
          probe: { every: options.probeEvery, run: (step) => run.#probe(step) },
        }),
        snapshot: { at: run.#keeper.stops, take: (step) => run.#halt(step) },
      },
      options.stored?.plain.answers,
    );
    info.kernelTable = run.#parts.model.gpu.table;
    try {
      if (options.stored) await run.#restore(options.stored);
    } catch (e) {
      run.#parts.destroy();
      throw e;
    }
    return run;
  }

  async #restore({ plain, arrays }: { plain: StoredPlain; arrays: Float32Array[] }): Promise<void> {
    if (plain.dataDigest !== this.#parts.dataDigest) {
      throw new LabError('bad-input', 'The lab was updated; this run would go on with other data.', {
        safe: 'The checkpoints that it saved are in the family tree.',
        next: 'Forget this run and start it anew.',
      });
    }
    const [weights, m, v, ...kept] = arrays as [Float32Array, Float32Array, Float32Array];
    this.#parts.session.restore({ ...plain.session, weights, m, v, kept });
    const { info } = this;
    const { step } = plain.session;
    // A node may have been saved after the last checkpoint: its step is not saved a second time.
    const nodes = (await this.#ctx.store.nodes()).filter((n) => n.runId === info.id);
    info.saved = nodes.map((n) => ({ step: n.steps, nodeId: n.id })).sort((a, b) => a.step - b.step);
    info.step = step;
    this.#keeper.place();
    info.log = info.log.filter((p) => p.step <= step);
    info.probes = info.probes.filter((p) => p.step <= step);
    info.state = step >= info.total ? 'finished' : 'paused';
    info.error = null;
    info.notBitComparable ||= plain.arithmetic !== arithmetic(this.#ctx, this.#parts);
  }

  /** Holds the trainer: another run cannot start. */
  get active(): boolean {
    return this.info.state === 'starting' || this.info.state === 'running' || this.info.state === 'paused';
  }

  start(): void {
    this.#driving ??= this.#drive().finally(() => (this.#driving = null));
  }

  async control(control: RunControl): Promise<void> {
    const { session } = this.#parts;
    switch (control.action) {
      case 'pause':
        session.pause();
        break;
      case 'resume':
        await this.#retrySaving();
        session.resume();
        await this.#goOn();
        break;
      case 'step':
        await this.#retrySaving();
        session.stepOnce();
        await this.#goOn();
        break;
      case 'continueTo':
        await this.#continueTo(control.saveAt);
        break;
      case 'stop':
        await this.#stop(control.discard ?? false);
        break;
    }
  }

  /**
   * Writes where the run stands to disk; resolves when a state not older than this call is there. Failures are shown in
   * the run, which goes on.
   */
  checkpoint(): Promise<void> {
    this.#saveAgain = true;
    this.#saving ??= this.#saveAll().finally(() => (this.#saving = null));
    return this.#saving;
  }

  async #saveAll(): Promise<void> {
    while (this.#saveAgain && !this.#discarded) {
      this.#saveAgain = false;
      await this.#save();
    }
  }

  /** Pauses, writes a checkpoint and frees the GPU. */
  async close(): Promise<void> {
    const { session } = this.#parts;
    if (this.active && session.phase !== 'ready') await this.checkpoint();
    else await this.#driving; // it may still be writing its last checkpoint
    this.#discarded = true;
    session.stop();
    await this.#driving;
    this.#flush();
    this.#parts.destroy();
  }

  /** The device is gone: nothing can be read any more. What is on disk stays. */
  abandon(error: LabError): void {
    if (this.#discarded) return;
    this.#discarded = true;
    if (!this.active) return;
    this.info.error = toErrorInfo(error);
    this.#setState(this.info.checkpointAt > 0 ? 'stopped' : 'failed');
  }

  // ------------------------------------------------------------------------------------------------------------ loop

  async #drive(): Promise<void> {
    const { session } = this.#parts;
    try {
      await session.run();
      if (this.#discarded) return;
      if (this.#unsaved.length > 0) this.#setState('failed');
      else if (session.phase === 'done') await this.#keepOrForget();
    } catch (e) {
      if (this.#discarded) return;
      this.info.error = toErrorInfo(e);
      this.#setState('failed');
      // The last good state is still there: weights and moments of the step before.
      await this.checkpoint();
    }
  }

  /** A finished run that can be made longer keeps its optimizer state; of others the node is all that matters. */
  async #keepOrForget(): Promise<void> {
    if (this.info.continuable) await this.checkpoint();
    else {
      await this.#saving;
      await this.#ctx.store.deleteRun(this.info.id);
    }
  }

  /** Lets a run go on that stands paused, failed to save, or was loaded from disk. */
  async #goOn(): Promise<void> {
    const { session } = this.#parts;
    this.info.error = null;
    if (session.phase !== 'done') return this.start();
    this.#setState('finished');
    await this.#keepOrForget();
  }

  async #continueTo(saveAt: readonly number[]): Promise<void> {
    const { session } = this.#parts;
    if (!this.info.continuable) {
      throw new LabError(
        'bad-input',
        'This run cannot be made longer: its learning rate depends on its length.',
        {
          safe: 'The checkpoint that it made is untouched.',
          next: 'Start a new run with more steps.',
        },
      );
    }
    const more = stations(saveAt).filter((s) => s > this.info.step);
    if (more.length === 0) throw new LabError('bad-input', `This run is already at step ${this.info.step}.`);
    this.info.saveAt.splice(0, Infinity, ...stations([...this.info.saveAt, ...more]));
    this.info.total = this.info.saveAt.at(-1)!;
    this.#keeper.place();
    this.info.settings = { ...this.info.settings, steps: this.info.total };
    session.extend(this.info.total);
    if (this.active) {
      session.resume(); // it is on its way, or paused: the loop simply finds more steps to do
      this.announce();
      return;
    }
    await this.#driving; // a run that has just reached its end is still writing its checkpoint
    session.resume();
    this.info.error = null;
    this.start();
  }

  async #stop(discard: boolean): Promise<void> {
    const { session } = this.#parts;
    if (discard) this.#discarded = true;
    session.stop();
    await this.#driving;
    await this.#saving;
    this.#flush();
    this.info.step = Math.min(session.step, this.info.log.at(-1)?.step ?? session.step);
    if (!discard) {
      await this.#retrySaving();
      const { step } = this.info;
      if (step > 0) await this.#station(step);
      if (this.#unsaved.length > 0) return;
      this.info.saveAt.splice(0, Infinity, ...this.info.saveAt.filter((s) => s <= step));
    }
    this.info.total = this.info.step;
    this.info.checkpointStep = this.info.step;
    this.#discarded = true;
    await this.#ctx.store.deleteRun(this.info.id);
    this.#setState('stopped');
  }

  // ------------------------------------------------------------------------------------------------------- reporting

  #onPhase(phase: SessionPhase): void {
    this.#pace.interrupt();
    if (this.#discarded) return;
    this.info.step = phase === 'failed' ? (this.info.log.at(-1)?.step ?? 0) : this.#parts.session.step;
    // Stopping ends in a state of its own, after the node is saved.
    if (phase !== 'stopped') this.#setState(STATES[phase]);
    if (phase === 'paused') void this.checkpoint();
  }

  #onStats({ step, lr, loss, gradNorm, tokens }: StepStats): void {
    const point = { step, lr, loss, gradNorm, tokens };
    this.info.log.push(point);
    this.#unsent.push(point);
    this.info.step = step;
    this.#pace.step(tokens);
    this.info.tokensPerSecond = this.#pace.tokensPerSecond;
    const left = this.info.total - step;
    const probes = this.#probeEvery > 0 ? Math.ceil(left / this.#probeEvery) : 0;
    this.info.secondsLeft = this.#pace.secondsLeft(left, probes);
    this.#timer ??= setTimeout(() => this.#flush(), REPORT_MS);
    const since = Math.max(this.info.checkpointAt, this.info.startedAt);
    // A single step while paused changes no phase: it is written at once as well.
    if (this.#parts.session.phase === 'paused') {
      this.#flush();
      void this.checkpoint();
    } else if (!this.#saving && Date.now() - since > CHECKPOINT_MS) void this.checkpoint();
  }

  #flush(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#unsent.length === 0) return;
    const { step, total, tokensPerSecond, secondsLeft } = this.info;
    this.#emit({ type: 'steps', points: this.#unsent.splice(0), step, total, tokensPerSecond, secondsLeft });
  }

  #setState(state: RunState): void {
    this.#flush();
    this.info.state = state;
    this.announce();
  }

  /** Tells the page everything but the lists. */
  announce(): void {
    const { log: _log, probes: _probes, ...head } = this.info;
    this.#emit({ type: 'state', run: structuredClone(head) });
  }

  #emit(event: RunEvent): void {
    this.#ctx.notify({ type: 'run', runId: this.info.id, event });
  }

  // ---------------------------------------------------------------------------------------------- probes, nodes, disk

  async #probe(step: number): Promise<void> {
    const { probes, generator, trainer, cap } = this.#parts;
    if (this.#discarded || !generator) return;
    const begun = performance.now();
    const point = await this.#ctx.gate.run(PRIORITY.probe, () => probes.look(step, generator, trainer, cap));
    this.#pace.probe(performance.now() - begun);
    this.info.probes = [...this.info.probes.filter((p) => p.step !== step), point];
    this.#flush();
    this.#emit({ type: 'probe', point });
  }

  async #halt(step: number): Promise<void> {
    if (this.#discarded) return;
    if (this.info.saveAt.includes(step)) await this.#station(step);
    else await this.#keeper.take(step, this.#parts.model);
  }

  /** Saves the node of a station; when that fails, the weights are kept and the run pauses. */
  async #station(step: number): Promise<void> {
    if (this.#discarded || this.info.saved.some((s) => s.step === step)) return;
    const weights = await trainedWeights(this.#parts.model);
    try {
      await this.#saveNode(step, weights);
    } catch (e) {
      this.#unsaved.push({ step, weights });
      this.#parts.session.pause();
      this.info.error = toErrorInfo(e);
      this.announce();
    }
  }

  async #retrySaving(): Promise<void> {
    for (const { step, weights } of [...this.#unsaved]) {
      await this.#saveNode(step, weights);
      this.#unsaved.shift();
    }
  }

  async #saveNode(step: number, weights: Float32Array): Promise<void> {
    const { info } = this;
    const cost = { ...this.#parts.cost(), steps: step };
    const made = nodeOf(this.#ctx, info, this.#parts, step, cost);
    const node: LabNode = await this.#ctx.store.addNode(made, weights);
    await this.#keeper.hand(node.id);
    info.saved.push({ step, nodeId: node.id });
    this.#emit({ type: 'node', step, node });
  }

  async #save(): Promise<void> {
    const { info } = this;
    try {
      const { weights, m, v, kept = [], ...session } = await this.#parts.session.checkpoint();
      if (this.#discarded) return;
      const { dataDigest, answers } = this.#parts;
      const plain: StoredPlain = {
        session,
        arithmetic: arithmetic(this.#ctx, this.#parts),
        dataDigest,
        probeEvery: this.#probeEvery,
        ...(answers && { answers }),
      };
      const at = Date.now();
      const stored = { ...structuredClone(info), checkpointStep: session.step, checkpointAt: at };
      const run = { id: info.id, parentId: info.parentId, info: stored };
      await this.#ctx.store.saveRun(run, { plain, arrays: [weights, m, v, ...kept] });
      if (this.#discarded) return;
      info.checkpointStep = session.step;
      info.checkpointAt = at;
      if (info.error && this.#saveFailed) info.error = null;
      this.#saveFailed = false;
      this.#emit({ type: 'checkpoint', step: session.step, at });
    } catch (e) {
      if (this.#discarded || (info.error && !this.#saveFailed)) return;
      info.checkpointAt = Date.now(); // try again after the usual while
      info.error = toErrorInfo(e);
      this.#saveFailed = true;
      this.announce();
    }
  }
}
