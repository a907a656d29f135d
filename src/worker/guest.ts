/**
 * Who has the GPU's memory: the lab's own engine, or a guest, an engine beside it that makes a device of its own. Never both. The
 * lab's engine gives up all of its buffers before a guest comes; a paused run is written to disk first and stands paused again, at
 * the same step, after the guest went. What cannot be put off, a run that trains or an answer under way, is not disturbed: the
 * guest is refused in words.
 */
import { LabError } from '../core/errors.ts';
import type { RunInfo } from './protocol.ts';

/** The lab's own engine, as far as it has to make room. */
export interface Host {
  /** The run that holds a trainer, if any. */
  run(): RunInfo | null;
  /** Checkpoints that run, frees every buffer; the bytes that are still in use afterwards. */
  release(): Promise<number>;
  /** Loads a stored run again, paused. */
  reopen(runId: string): Promise<unknown>;
}

/** The engine that comes. */
export interface Visitor {
  /** Whose turn it is, in words. */
  name: string;
  /** Gives the GPU back. */
  leave(): Promise<void>;
}

export class Guest {
  #host: Host;
  #visitor: Visitor | null = null;
  /** Pieces of work of the visitor, and of the lab, under way. */
  #visiting = 0;
  #own = 0;
  /** The run that was put on disk for the visitor. */
  #paused: string | null = null;
  /** Coming and going happen one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(host: Host) {
    this.#host = host;
  }

  /** Who has the GPU; null: the lab. */
  get present(): string | null {
    return this.#visitor?.name ?? null;
  }

  /** Work of the lab's own engine; an idle guest is sent away first. @throws LabError while a guest is at work */
  async own<T>(work: () => Promise<T>): Promise<T> {
    this.#own++;
    try {
      await this.#makeWay();
      return await work();
    } finally {
      this.#own--;
    }
  }

  async #makeWay(): Promise<void> {
    if (!this.#visitor && this.#visiting === 0) return;
    if (this.#visiting > 0)
      throw new LabError(
        'bad-input',
        `${this.#visitor?.name ?? 'A WebLLM model'} has the GPU and is at work.`,
        {
          safe: 'Nothing was started, and nothing is lost.',
          next: 'Wait until it is done, or stop it.',
        },
      );
    await this.leave();
  }

  /**
   * Work of the visitor, who stays afterwards until `leave` or until the lab needs the GPU.
   * @throws LabError where the lab's engine is at work
   */
  async lend<T>(visitor: Visitor, work: () => Promise<T>): Promise<T> {
    this.#visiting++;
    try {
      await this.#inTurn(() => this.#enter(visitor));
      return await work();
    } finally {
      this.#visiting--;
    }
  }

  async #enter(visitor: Visitor): Promise<void> {
    if (this.#visitor === visitor) return;
    const run = this.#host.run();
    if (this.#own > 0 || run?.state === 'running' || run?.state === 'starting')
      throw busy(
        run?.state === 'running' || run?.state === 'starting'
          ? `The run '${run.name}' is training`
          : 'The lab’s own engine is at work',
        'Pause the run, or wait until it is done, and try again.',
      );
    // what it could not write is in memory alone
    if (run && (run.state === 'failed' || run.error))
      throw busy(`The run '${run.name}' has something to save`, 'Resume, stop or forget it first.');
    await this.#visitor?.leave();
    this.#visitor = null;
    // looked at before: once released, it says of itself that it is stopped
    this.#paused = run?.state === 'paused' ? run.id : null;
    const bytes = await this.#host.release();
    if (bytes > 0) {
      await this.#restore();
      throw busy('The lab’s own engine is at work', 'Wait until it is done, or stop it, and try again.');
    }
    this.#visitor = visitor;
  }

  /** Sends the visitor away, who stops what is under way; the run that was paused stands paused again. */
  leave(): Promise<void> {
    return this.#inTurn(async () => {
      const visitor = this.#visitor;
      if (!visitor) return;
      await visitor.leave();
      this.#visitor = null;
      await this.#restore();
    });
  }

  async #restore(): Promise<void> {
    const run = this.#paused;
    this.#paused = null;
    // it may have been forgotten since; on disk it is as it was in any case
    if (run !== null) await this.#host.reopen(run).catch(() => {});
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work);
    this.#turn = mine.catch(() => {});
    return mine;
  }
}

const busy = (what: string, next: string): LabError =>
  new LabError('bad-input', `${what}, and two engines do not share the GPU.`, {
    safe: 'Nothing was started, and nothing is lost.',
    next,
  });
