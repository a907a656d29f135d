/** Smaller goes first. */
export const PRIORITY = { chat: 0, probe: 1, step: 2, evaluation: 2, estimate: 3 } as const;

interface Waiting {
  priority: number;
  enter(): void;
  leave(error: unknown): void;
  signal: AbortSignal | undefined;
}

/**
 * One piece of work on the GPU at a time. A question goes before the next training step; steps and batches of an
 * evaluation take turns. Work is cut so that a turn is short, and pausing never waits for more than one.
 */
export class Gate {
  #busy = false;
  #queue: Waiting[] = [];

  /** Runs `work` when its turn comes. An abort while waiting rejects with the signal's reason. */
  async run<T>(priority: number, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter(priority, signal);
    try {
      return await work();
    } finally {
      this.#busy = false;
      this.#admit();
    }
  }

  #enter(priority: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#abort(waiting);
      // An evaluation passes its one signal hundreds of times: nothing may be left on it.
      const enter = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const waiting: Waiting = { priority, enter, leave: reject, signal };
      const at = this.#queue.findIndex((w) => w.priority > priority);
      this.#queue.splice(at < 0 ? this.#queue.length : at, 0, waiting);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted) this.#abort(waiting);
      this.#admit();
    });
  }

  #abort(waiting: Waiting): void {
    const at = this.#queue.indexOf(waiting);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    waiting.leave(waiting.signal?.reason);
  }

  #admit(): void {
    if (this.#busy) return;
    const next = this.#queue.shift();
    if (!next) return;
    this.#busy = true;
    next.enter();
  }
}
