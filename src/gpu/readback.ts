import type { Gpu } from './gpu.ts';

interface Slot {
  buffer: GPUBuffer;
  pending: Promise<void> | undefined;
}

/**
 * Small results that come back some steps later: a copy into one of a few staging buffers, mapped when the GPU is done.
 * Taking a slot waits while all are in flight, which is the only back-pressure of the training loop.
 */
export class ReadbackRing {
  private readonly gpu: Gpu;
  private readonly slots: Slot[];
  private next = 0;

  /** @param depth submits in flight at most */
  constructor(gpu: Gpu, bytes: number, depth: number) {
    this.gpu = gpu;
    this.slots = Array.from({ length: depth }, () => ({
      buffer: gpu.buffer('readback ring', bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST),
      pending: undefined,
    }));
  }

  /** Waits for a free slot. */
  async ready(): Promise<void> {
    const { pending } = this.slots[this.next]!;
    if (pending) await this.gpu.patiently(pending);
  }

  /**
   * Records the copy of `source`'s start; after the submit call the returned function.
   * @param done receives the bytes; the view is gone when it returns
   */
  record(encoder: GPUCommandEncoder, source: GPUBuffer, done: (bytes: ArrayBuffer) => void): () => void {
    const slot = this.slots[this.next]!;
    this.next = (this.next + 1) % this.slots.length;
    encoder.copyBufferToBuffer(source, 0, slot.buffer, 0, Math.min(source.size, slot.buffer.size));
    return () => {
      slot.pending = slot.buffer.mapAsync(GPUMapMode.READ).then(() => {
        done(slot.buffer.getMappedRange());
        slot.buffer.unmap();
        slot.pending = undefined;
      });
      // a lost device rejects here before anybody waits; whoever waits next gets the same rejection
      slot.pending.catch(() => undefined);
    };
  }

  /** Waits for everything recorded so far. */
  async drain(): Promise<void> {
    for (let i = 0; i < this.slots.length; i++) {
      const { pending } = this.slots[(this.next + i) % this.slots.length]!;
      if (pending) await this.gpu.patiently(pending);
    }
  }

  destroy(): void {
    for (const slot of this.slots) this.gpu.free(slot.buffer);
  }
}
