import { describe, expect, it } from 'vitest';
import { MATMUL_CLASSES, type KernelTime, type MatmulFamily } from '../../src/core/kernel-table.ts';
import { Rng } from '../../src/core/rng.ts';
import { byOneClock, ClockStandsStill, Timing, type Clock, type Run } from '../../src/gpu/timing.ts';
import { race, type Track } from '../../src/kernels/choose.ts';

type Times = Record<KernelTime['family'], number>;

/** A GPU whose kernels take known microseconds, and whose clock shows whole steps of milliseconds only. */
class Simulated implements Track {
  readonly timing: Timing;
  milliseconds = 0;
  readonly readings: number[] = [];
  #rng: Rng;
  #step: number;
  #times: (what: KernelTime['what']) => Times;

  constructor(
    seed: string,
    step: number,
    times: (what: KernelTime['what']) => Times,
    clock: Clock = 'timestamp',
  ) {
    this.timing = new Timing(clock);
    this.#rng = new Rng(seed);
    this.#step = step;
    this.#times = times;
  }

  async enter(what: KernelTime['what'], family: KernelTime['family']): Promise<Run> {
    const microseconds = this.#times(what)[family];
    const shown = (): number => Math.floor(this.milliseconds / this.#step) * this.#step;
    return async (repeats) => {
      // the way to the GPU and back
      this.milliseconds += 1.5 + this.#rng.next();
      const begun = shown();
      this.milliseconds += 0.004 + (repeats * microseconds * (1 + 0.01 * this.#rng.normal())) / 1000;
      const reading = Math.max(0, shown() - begun);
      this.readings.push(reading);
      return reading;
    };
  }
}

const now = (work: () => Promise<unknown>): never => work() as never;
const choose = (track: Simulated) => race(track, 32, now, () => track.milliseconds);

/** Steps of a clock: none worth speaking of, Dawn's, Chrome's. */
const STEPS = [1e-6, 0.065536, 0.1];
const SEEDS = Array.from({ length: 12 }, (_, i) => `seed ${i}`);

describe.each(STEPS)('the choice of kernels by a clock with steps of %d ms', (step) => {
  it.each([2, 15, 300])('takes the faster family of products of about %d us, whichever it is', async (us) => {
    for (const seed of SEEDS) {
      const rng = new Rng(`${seed} times`);
      const best = Object.fromEntries(
        MATMUL_CLASSES.map((c) => [c, (['subgroup', 'tile', 'plain'] as const)[rng.int(3)]!]),
      ) as Record<string, MatmulFamily>;
      const times = (what: string): Times => {
        const all: Times = { subgroup: us, tile: us, plain: us, gemv: us };
        if (what in best) all[best[what]!] *= 0.8;
        else all.gemv *= what === 'decode 8' ? 1.25 : 0.8;
        return all;
      };
      const track = new Simulated(seed, step, times);
      const { table, measured } = await choose(track);
      expect(measured.complete).toBe(true);
      expect(table.matmul).toEqual(best);
      // of eight rows by the tile, of one by the kernel for few
      expect(table.gemv).toBe(4);
      expect(track.milliseconds).toBeLessThan(1000);
      for (const t of measured.times)
        expect(Math.abs(t.microseconds / times(t.what)[t.family] - 1)).toBeLessThan(0.1);
    }
  });

  it('keeps the default where another family is not faster by the margin', async () => {
    for (const seed of SEEDS) {
      const times = { subgroup: 4, tile: 4 * 0.96, plain: 4 * 1.04, gemv: 4 };
      const { table } = await choose(new Simulated(seed, step, () => times));
      expect(Object.values(table.matmul)).toEqual(MATMUL_CLASSES.map(() => 'subgroup'));
      expect(table.gemv).toBe(8);
    }
  });
});

describe('a clock', () => {
  it('that stands still is left for the other one, from the start', async () => {
    const tracks: Simulated[] = [];
    const { measured, table } = await byOneClock(['timestamp', 'wall'], (clock) => {
      const times = { subgroup: 9, tile: 5, plain: 9, gemv: 5 };
      const track = new Simulated('still', clock === 'timestamp' ? 1e9 : 1e-6, () => times, clock);
      tracks.push(track);
      return choose(track);
    });
    expect(measured.clock).toBe('wall');
    expect(table.matmul['TN large']).toBe('tile');
    expect(tracks).toHaveLength(2);
    await expect(byOneClock(['wall'], () => choose(tracks[0]!))).rejects.toThrow(ClockStandsStill);
  });

  it('is given as many repetitions as its steps need, and no more', async () => {
    const of = async (ms: number, step: number): Promise<number> => {
      const timing = new Timing('timestamp');
      let t = 0.00037;
      const shown = (): number => Math.floor(t / step) * step;
      const { repeats } = await timing.measure(async (n) => {
        const begun = shown();
        t += n * ms;
        return shown() - begun;
      });
      return repeats;
    };
    expect(await of(5, 0.1)).toBe(1);
    const coarse = await of(0.002, 0.1);
    expect(coarse * 0.002).toBeGreaterThan(1.9);
    expect(coarse * 0.002).toBeLessThan(8);
    const fine = await of(0.002, 1e-6);
    expect(fine * 0.002).toBeGreaterThan(0.45);
    expect(fine * 0.002).toBeLessThan(2);
  });
});
