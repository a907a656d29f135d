import type { Gpu } from './gpu.ts';
import type { Replayable } from './program.ts';
import { Stopwatch } from './stopwatch.ts';

/** All dispatches of one kernel variant in a list of programs. */
export interface KernelTime {
  kernel: string;
  dispatches: number;
  /** Of all of them together, each timed alone. */
  ms: number;
  flops: number;
  bytes: number;
}

export interface Profile {
  kernels: KernelTime[];
  /** `timestamp`: the GPU's own clock; `wall`: from submit to done, so each dispatch carries the way there and back. */
  clock: 'timestamp' | 'wall';
}

/** Repeated within one submit where once is too short to be measured. */
const REPEATS = 16;
const SHORT_MS = 0.5;

/**
 * Times every dispatch of prepared programs alone, by replaying it. Kernels that add to their output do so again at each replay:
 * what the programs compute is worthless afterwards.
 */
export async function profile(gpu: Gpu, programs: readonly Replayable[]): Promise<Profile> {
  const watch = new Stopwatch(gpu);
  const found = new Map<string, KernelTime>();
  try {
    for (const program of programs)
      for (let i = 0; i < program.length; i++) {
        const about = program.describe(i);
        if (!about) continue;
        const run = (times: number): Promise<number> =>
          watch.time((pass) => {
            for (let n = 0; n < times; n++) program.encode(pass, i, i + 1);
          });
        await run(1);
        const once = await run(1);
        const ms = once < SHORT_MS ? (await run(REPEATS)) / REPEATS : once;
        const sum = found.get(about.kernel) ?? {
          kernel: about.kernel,
          dispatches: 0,
          ms: 0,
          flops: 0,
          bytes: 0,
        };
        sum.dispatches++;
        sum.ms += ms;
        sum.flops += about.flops;
        sum.bytes += about.bytes;
        found.set(about.kernel, sum);
      }
  } finally {
    watch.destroy();
  }
  return { kernels: [...found.values()].sort((a, b) => b.ms - a.ms), clock: watch.clock };
}
