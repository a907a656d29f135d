import type { Gpu } from './gpu.ts';

/** Times work on the GPU: by its own clock where it has one, else from submit to done. */
export class Stopwatch {
  private readonly gpu: Gpu;
  private readonly marks: { set: GPUQuerySet; resolved: GPUBuffer } | null;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    this.marks = gpu.device.features.has('timestamp-query')
      ? {
          set: gpu.device.createQuerySet({ type: 'timestamp', count: 2 }),
          resolved: gpu.buffer('timestamps', 16, GPUBufferUsage.QUERY_RESOLVE),
        }
      : null;
  }

  /** By which clock. */
  get clock(): 'timestamp' | 'wall' {
    return this.marks ? 'timestamp' : 'wall';
  }

  /** Milliseconds of what is recorded into one pass. */
  async time(record: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const { gpu, marks } = this;
    const { queue } = gpu.device;
    await gpu.patiently(queue.onSubmittedWorkDone());
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass(
      marks
        ? { timestampWrites: { querySet: marks.set, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } }
        : {},
    );
    record(pass);
    pass.end();
    if (marks) encoder.resolveQuerySet(marks.set, 0, 2, marks.resolved, 0);
    const begun = performance.now();
    gpu.submit(encoder);
    await gpu.patiently(queue.onSubmittedWorkDone());
    const wall = performance.now() - begun;
    if (!marks) return wall;
    const [start, end] = new BigUint64Array(await gpu.read(marks.resolved)) as unknown as [bigint, bigint];
    const nanoseconds = Number(end - start);
    // a browser may round its timestamps to nothing
    return nanoseconds > 0 ? nanoseconds / 1e6 : wall;
  }

  destroy(): void {
    if (!this.marks) return;
    this.marks.set.destroy();
    this.gpu.free(this.marks.resolved);
  }
}
