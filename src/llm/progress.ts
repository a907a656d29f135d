import type { LoadProgress } from './ports.ts';

/** Files, then weights on the GPU, then shaders: each reports from 0 to 1 again. */
const PHASES = 3;
/** A fall of more than this begins the next phase; smaller ones are noise of parallel downloads. */
const FALL = 0.2;

/** One progress that never falls, of a load that reports its phases one after the other. */
export class Progress {
  #phase = 0;
  #last = 0;
  #share = 0;

  /** @param raw of the phase, as the engine reports it */
  next(raw: number, text: string): LoadProgress {
    const within = Number.isFinite(raw) ? Math.min(1, Math.max(0, raw)) : this.#last;
    if (within < this.#last - FALL) this.#phase = Math.min(PHASES - 1, this.#phase + 1);
    this.#last = within;
    this.#share = Math.max(this.#share, (this.#phase + within) / PHASES);
    return { share: this.#share, text };
  }
}
