/**
 * How to time short work by a coarse clock: repeat it within one submit until the difference spans many steps of the clock.
 * Browsers and Dawn round the GPU's timestamps, Chrome to 100 us, which is longer than most kernels take. Readings come from
 * outside: nothing here knows a GPU.
 */

/** `timestamp`: the GPU's own; `wall`: from submit to done, with the way there and back. */
export type Clock = 'timestamp' | 'wall';

/** Milliseconds that so many repetitions in a row take, read once. */
export type Run = (repeats: number) => Promise<number>;

/** Runs each piece of a measurement when the GPU has nothing else to do. */
export type Turn = <T>(work: () => Promise<T>) => Promise<T>;

/** Where nobody else uses the GPU. */
export const atOnce: Turn = (work) => work();

/** The step of timestamps is taken to lie between these: the least difference ever seen says where. */
const STEP_MS = { least: 0.001, most: 0.1 };
/** Steps that a reading has to span: its error is below a twentieth, and half of that in most. */
const SPAN = 20;
/** A reading has to last so long in any case: what opens and closes a pass costs some microseconds. */
const SAMPLE_MS = 0.5;
const MOST_REPEATS = 2 ** 12;
/** Of the repeats from one try to the next. */
const MOST_GROWTH = 16;

/** The clock shows the same before and after whatever is done. */
export class ClockStandsStill extends Error {}

/** What is known about one clock. */
export class Timing {
  readonly clock: Clock;
  #step: number;

  /** @param step milliseconds by which readings are off; of timestamps it is found out */
  constructor(clock: Clock, step: number = STEP_MS.most) {
    this.clock = clock;
    this.#step = step;
  }

  /** Finds how many repetitions can be told from none. @param from known to be needed for something alike */
  async measure(run: Run, from = 1): Promise<{ repeats: number; ms: number }> {
    for (let repeats = from; ;) {
      const all = await this.#read(run, repeats);
      const wanted = Math.max(SPAN * this.#step, SAMPLE_MS);
      if (all >= wanted || repeats >= MOST_REPEATS) {
        if (!(all > 0)) throw new ClockStandsStill(`${repeats} repetitions took nothing`);
        return { repeats, ms: all / repeats };
      }
      // a reading of a step or two says little about the next one
      const growth = all > 2 * this.#step ? (1.1 * wanted) / all : MOST_GROWTH;
      repeats = Math.min(MOST_REPEATS, Math.ceil(repeats * Math.min(MOST_GROWTH, Math.max(2, growth))));
    }
  }

  /** Milliseconds of one repetition. */
  async sample(run: Run, repeats: number): Promise<number> {
    const all = await this.#read(run, repeats);
    if (!(all > 0)) throw new ClockStandsStill(`${repeats} repetitions took nothing`);
    return all / repeats;
  }

  async #read(run: Run, repeats: number): Promise<number> {
    const ms = await run(repeats);
    if (this.clock === 'timestamp' && ms > 0) this.#step = Math.min(this.#step, Math.max(ms, STEP_MS.least));
    return ms;
  }
}

/** Everything by the first clock that moves: figures of two clocks never stand side by side. */
export async function byOneClock<T>(
  clocks: readonly Clock[],
  measure: (clock: Clock) => Promise<T>,
): Promise<T> {
  for (const [i, clock] of clocks.entries()) {
    try {
      return await measure(clock);
    } catch (e) {
      if (!(e instanceof ClockStandsStill) || i + 1 === clocks.length) throw e;
    }
  }
  throw new Error('no clock to measure by');
}
