import type { Gpu } from './gpu.ts';
import type { Replayable } from './program.ts';

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
  const clock = gpu.device.features.has('timestamp-query') ? new GpuClock(gpu) : new WallClock(gpu);
  const found = new Map<string, KernelTime>();
  try {
    for (const program of programs)
      for (let i = 0; i < program.length; i++) {
        const about = program.describe(i);
        if (!about) continue;
        const run = (times: number): Promise<number> =>
          clock.time((pass) => {
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
    clock.destroy();
  }
  return { kernels: [...found.values()].sort((a, b) => b.ms - a.ms), clock: clock.kind };
}

interface Clock {
  readonly kind: Profile['clock'];
  /** Milliseconds of what `record` puts into one pass. */
  time(record: (pass: GPUComputePassEncoder) => void): Promise<number>;
  destroy(): void;
}

class WallClock implements Clock {
  readonly kind = 'wall';
  readonly #gpu: Gpu;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  async time(record: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    record(pass);
    pass.end();
    const start = performance.now();
    this.#gpu.submit(encoder);
    await this.#gpu.patiently(device.queue.onSubmittedWorkDone());
    return performance.now() - start;
  }

  destroy(): void {
    // nothing is held
  }
}

class GpuClock implements Clock {
  readonly kind = 'timestamp';
  readonly #gpu: Gpu;
  readonly #set: GPUQuerySet;
  readonly #resolved: GPUBuffer;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#set = gpu.device.createQuerySet({ type: 'timestamp', count: 2 });
    this.#resolved = gpu.buffer('timestamps', 16, GPUBufferUsage.QUERY_RESOLVE);
  }

  async time(record: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const bytes = await this.#gpu.readRecorded(16, (encoder, staging) => {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet: this.#set, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
      });
      record(pass);
      pass.end();
      encoder.resolveQuerySet(this.#set, 0, 2, this.#resolved, 0);
      encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, 16);
    });
    const [begin, end] = new BigUint64Array(bytes);
    // A clock that was set back in between counts as no time.
    return Math.max(0, Number(end! - begin!) / 1e6);
  }

  destroy(): void {
    this.#set.destroy();
    this.#gpu.free(this.#resolved);
  }
}
