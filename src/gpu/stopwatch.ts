import { quantile } from '../core/stats.ts';
import type { Gpu } from './gpu.ts';
import { atOnce, byOneClock, Timing, type Clock, type Turn } from './timing.ts';

/**
 * Measures by the adapter's own clock where it has one that moves, else from submit to done: `use` is begun anew then, so that
 * all its figures are of one clock.
 */
export function withStopwatch<T>(
  gpu: Gpu,
  use: (watch: Stopwatch) => Promise<T>,
  turn: Turn = atOnce,
): Promise<T> {
  const clocks: Clock[] = gpu.device.features.has('timestamp-query') ? ['timestamp', 'wall'] : ['wall'];
  return byOneClock(clocks, async (clock) => {
    const watch = await turn(() => Stopwatch.open(gpu, clock));
    try {
      return await use(watch);
    } finally {
      watch.destroy();
    }
  });
}

/** Reads what work on the GPU takes, by one clock throughout. */
export class Stopwatch {
  readonly timing: Timing;
  private readonly gpu: Gpu;
  private readonly marks: { set: GPUQuerySet; resolved: GPUBuffer } | null;
  /** Milliseconds from submit to done of nothing at all; taken off what is timed by `wall`. */
  private readonly empty: number;

  private constructor(gpu: Gpu, clock: Clock, empty: number) {
    this.gpu = gpu;
    this.empty = empty;
    // the way there and back varies by a part of itself, and a page's clock is as coarse as its timestamps
    this.timing = clock === 'wall' ? new Timing('wall', Math.max(0.1, empty / 4)) : new Timing('timestamp');
    this.marks =
      clock === 'timestamp'
        ? {
            set: gpu.device.createQuerySet({ type: 'timestamp', count: 2 }),
            resolved: gpu.buffer('timestamps', 16, GPUBufferUsage.QUERY_RESOLVE),
          }
        : null;
  }

  static async open(gpu: Gpu, clock: Clock): Promise<Stopwatch> {
    const empty: number[] = [];
    if (clock === 'wall') for (let i = 0; i < 5; i++) empty.push(await wall(gpu, () => undefined));
    return new Stopwatch(gpu, clock, empty.length > 0 ? quantile(empty, 0.5) : 0);
  }

  /**
   * Milliseconds of what is recorded into one pass, as the clock shows them: nothing where that is less than a step of it. Use
   * `timing` to repeat what is too short.
   */
  async time(record: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const { gpu, marks } = this;
    if (!marks) return Math.max(0, (await wall(gpu, record)) - this.empty);
    const bytes = await gpu.readRecorded(16, (encoder, staging) => {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet: marks.set, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
      });
      record(pass);
      pass.end();
      encoder.resolveQuerySet(marks.set, 0, 2, marks.resolved, 0);
      encoder.copyBufferToBuffer(marks.resolved, 0, staging, 0, 16);
    });
    const [start, end] = new BigUint64Array(bytes) as unknown as [bigint, bigint];
    return Math.max(0, Number(end - start) / 1e6);
  }

  destroy(): void {
    if (!this.marks) return;
    this.marks.set.destroy();
    this.gpu.free(this.marks.resolved);
  }
}

/** From submit to done, when nothing else was under way. */
async function wall(gpu: Gpu, record: (pass: GPUComputePassEncoder) => void): Promise<number> {
  const { device } = gpu;
  await gpu.patiently(device.queue.onSubmittedWorkDone());
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  record(pass);
  pass.end();
  const begun = performance.now();
  gpu.submit(encoder);
  await gpu.patiently(device.queue.onSubmittedWorkDone());
  return performance.now() - begun;
}
