/** What a builder is doing. */
export type Stage = 'read' | 'compare' | 'vectors' | 'draw';

/** Who waits for a long piece of work: hears how far it is, and may stop it. */
export interface Watch {
  signal?: AbortSignal;
  progress?(stage: Stage, done: number, total: number): void;
}

/** Work between two looks at the messages that wait, a cancel among them. */
const TURN_MS = 40;

/** Lets a worker hear its messages now and then: called often, it gives way rarely. */
export class Breather {
  #watch: Watch;
  #last = performance.now();

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  /** @throws the signal's reason when the work was stopped */
  async at(stage: Stage, done: number, total: number): Promise<void> {
    if (performance.now() - this.#last < TURN_MS) return;
    this.#watch.progress?.(stage, done, total);
    await new Promise((resolve) => setTimeout(resolve));
    this.#watch.signal?.throwIfAborted();
    this.#last = performance.now();
  }
}
