/** All runs: the one in training, and those that wait on disk. */
import { LabError } from '../core/errors.ts';
import { recipe } from '../recipes/index.ts';
import { lockedRuns, lockRun } from './run-lock.ts';
import type { Context } from './context.ts';
import type { Models } from './models.ts';
import type { Tasks } from './tasks.ts';
import { attackId, type RunControl, type RunInfo, type TrainParams } from './protocol.ts';
import { describeRun } from './run-setup.ts';
import type { StoredPlain } from './run-state.ts';
import { Run } from './run.ts';

/** Probes in a run of its default length; a run that may be made longer has fewer in each part. */
const PROBES = { fixed: 10, continuable: 4 } as const;

export class Runs {
  #ctx: Context;
  #models: Models;
  #tasks: Tasks;
  #current: { run: Run; unlock: () => void } | null = null;
  /** Opening and closing runs happens one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ctx: Context, models: Models, tasks: Tasks) {
    this.#ctx = ctx;
    this.#models = models;
    this.#tasks = tasks;
    ctx.onGpuGone.add((error) => {
      const current = this.#current;
      this.#current = null;
      current?.run.abandon(error);
      current?.unlock();
    });
  }

  /** The run that is loaded, if any. */
  get current(): RunInfo | null {
    return this.#current?.run.info ?? null;
  }

  /** Starts a new run. @throws LabError 'bad-input' while another one is under way */
  train(params: TrainParams): Promise<RunInfo> {
    return this.#inTurn(async () => {
      this.#requireFree();
      const info = await describeRun(this.#ctx, this.#tasks, params);
      const { root, name } = await this.#ctx.node(info.parentId);
      const asked = root === null && info.kind === 'attack';
      if (asked && params.confirmed !== attackId(info.parentId, info.prompts?.id ?? ''))
        throw unconfirmed(name);
      const usual = recipe(info.recipe).plan(info.settings).steps;
      const probes = info.continuable ? PROBES.continuable : PROBES.fixed;
      const probeEvery = params.probeEvery ?? Math.max(1, Math.ceil(usual / probes));
      const run = await this.#load(info.id, () =>
        Run.open(this.#ctx, this.#models, this.#tasks, info, { probeEvery }),
      );
      run.announce();
      run.start();
      return info;
    });
  }

  /** Acts on a run; one that waits on disk is loaded first. */
  async control(runId: string, control: RunControl): Promise<RunInfo> {
    if (this.#current?.run.info.id !== runId) {
      if (control.action === 'stop' || control.action === 'pause') {
        throw new LabError('not-found', 'This run is not under way.', {
          next: 'Take it up again, or discard it.',
        });
      }
      await this.reopen(runId);
    }
    const { run } = this.#current!;
    await run.control(control);
    if (run.info.state === 'stopped') await this.#inTurn(() => this.#unload());
    return run.info;
  }

  /** Loads a stored run; it stands where its last checkpoint left it. */
  reopen(runId: string): Promise<RunInfo> {
    return this.#inTurn(async () => {
      if (this.#current?.run.info.id === runId) return this.#current.run.info;
      this.#requireFree();
      const stored = await this.#ctx.store.run(runId);
      if (!stored?.state) {
        throw new LabError('not-found', 'This run is not stored any more.', {
          safe: 'The checkpoints that it saved are in the family tree.',
          next: 'Start a new run.',
        });
      }
      const plain = stored.state.plain as StoredPlain;
      const arrays = await this.#ctx.store.runArrays(stored);
      const run = await this.#load(runId, () =>
        Run.open(this.#ctx, this.#models, this.#tasks, stored.info, {
          probeEvery: plain.probeEvery,
          stored: { plain, arrays },
        }),
      );
      run.announce();
      return run.info;
    });
  }

  /** Forgets a run; the nodes that it saved stay. @throws LabError 'bad-input' when another tab has it open */
  discard(runId: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#current?.run.info.id === runId) {
        await this.#current.run.control({ action: 'stop', discard: true });
        await this.#unload();
      }
      const unlock = await lockRun(runId);
      try {
        await this.#ctx.store.deleteRun(runId);
      } finally {
        unlock();
      }
      this.#ctx.notify({ type: 'run-gone', runId });
    });
  }

  /** The loaded run and those on disk, newest first. */
  async list(): Promise<RunInfo[]> {
    const stored = (await this.#ctx.store.runs()).map(({ info }) => info);
    const current = this.current;
    const locked = await lockedRuns();
    const others = stored
      .filter((info) => info.id !== current?.id)
      .map((info) =>
        locked.has(info.id) ? { ...asInterrupted(info), elsewhere: true } : asInterrupted(info),
      );
    return current ? [current, ...others] : others;
  }

  /** Frees the GPU; a run under way is checkpointed first and can be taken up again. */
  release(): Promise<void> {
    return this.#inTurn(() => this.#unload());
  }

  /** @throws LabError 'bad-input' when a run under way starts from this node */
  async forgetBelow(nodeIds: readonly string[]): Promise<void> {
    const current = this.current;
    if (!current || !nodeIds.includes(current.parentId)) return;
    this.#requireFree();
    await this.discard(current.id);
  }

  /** @throws LabError 'bad-input' while a run that has not finished, loaded or on disk, trains on this prompts file */
  async requireUnused(prompts: string): Promise<void> {
    const run = (await this.list()).find((r) => r.prompts?.id === prompts && r.state !== 'finished');
    if (!run) return;
    throw new LabError(
      'bad-input',
      `The run '${run.name}' trains on this prompts file and is not finished.`,
      {
        safe: 'The file and the run are as they were.',
        next: 'Stop the run or forget it, then delete the file.',
      },
    );
  }

  /** Another tab deleted what a run here starts from: the run has nothing to be saved under any more. */
  async parentsGone(nodeIds: readonly string[]): Promise<void> {
    const current = this.current;
    if (!current || !nodeIds.includes(current.parentId)) return;
    await this.discard(current.id).catch(() => {}); // its state on disk went with its parent
  }

  async #load(runId: string, open: () => Promise<Run>): Promise<Run> {
    await this.#unload();
    const unlock = await lockRun(runId);
    try {
      const run = await open();
      this.#current = { run, unlock };
      return run;
    } catch (e) {
      unlock();
      throw e;
    }
  }

  async #unload(): Promise<void> {
    const current = this.#current;
    if (!current) return;
    const { run } = current;
    const wasActive = run.active;
    await run.close();
    this.#current = null;
    current.unlock();
    if (wasActive) {
      run.info.state = 'stopped';
      run.announce();
    }
  }

  #requireFree(): void {
    if (!this.#current?.run.active) return;
    throw new LabError('bad-input', 'A run is under way: the lab trains one model at a time.', {
      safe: 'It goes on.',
      next: 'Wait for it, or stop it first.',
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => {});
    return result;
  }
}

function unconfirmed(name: string): LabError {
  return new LabError('bad-input', `'${name}' is attacked only by somebody who has confirmed it.`, {
    safe: 'Nothing was started.',
    next: 'Tick the confirmation for this model and this prompts file.',
  });
}

/** What was running when its tab closed waits now. */
function asInterrupted(info: RunInfo): RunInfo {
  const over = info.state === 'finished' || info.state === 'failed';
  return over ? info : { ...info, state: 'stopped', step: info.checkpointStep };
}
