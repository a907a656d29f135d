import { LabError } from '../core/errors.ts';
import { Pipelines, refused, type Pipeline } from './pipelines.ts';
import type { Defines } from './wgsl.ts';
import { defaultTable, type KernelTable } from '../core/kernel-table.ts';
import { Meter } from './meter.ts';

export interface AdapterSummary {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
  features: string[];
  limits: {
    maxBufferSize: number;
    maxStorageBufferBindingSize: number;
    maxComputeInvocationsPerWorkgroup: number;
  };
}

/** Counters for the GPU page, the benchmark and the leak test. `bytes` and `buffers` are what is alive now. */
export interface GpuStats {
  buffers: number;
  bytes: number;
  peakBytes: number;
  bindGroups: number;
  pipelines: number;
  dispatches: number;
  submits: number;
}

export interface OpenOptions {
  /** Where adapters come from; the browser's own by default. */
  gpu?: GPU;
  /** Pretend that the adapter can do less, to test the other paths. */
  force?: { subgroups?: false; maxStorageBufferBindingSize?: number; maxBufferSize?: number };
  /** See Gpu.nap. */
  nap?: (ms: number) => Promise<void>;
}

/**
 * Asks for an adapter and a device with all the limits that help.
 * @throws LabError 'no-webgpu' or 'no-adapter', in words for the page
 */
export async function openGpu(options: OpenOptions = {}): Promise<Gpu> {
  const source = options.gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!source) {
    throw new LabError('no-webgpu', 'This browser has no WebGPU.', {
      safe: 'Nothing was started; saved checkpoints are untouched.',
      next: 'Open the lab in a current Chrome or Edge (or Firefox or Safari with WebGPU), over https or on localhost.',
    });
  }
  const adapter = await source.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    throw new LabError('no-adapter', 'WebGPU is there, but it offers no graphics adapter.', {
      safe: 'Nothing was started; saved checkpoints are untouched.',
      next: 'Turn on hardware acceleration in the browser settings, update the graphics driver, or start Chrome with --enable-unsafe-swiftshader to use the processor.',
    });
  }
  const info = adapter.info as GPUAdapterInfo & { subgroupMinSize?: number; subgroupMaxSize?: number };
  const subgroups = adapter.features.has('subgroups') && options.force?.subgroups !== false;
  const fixed = subgroups && info.subgroupMinSize === info.subgroupMaxSize ? (info.subgroupMinSize ?? 0) : 0;
  const wanted: GPUFeatureName[] = [];
  if (subgroups) wanted.push('subgroups' as GPUFeatureName);
  if (adapter.features.has('timestamp-query')) wanted.push('timestamp-query');
  const binding = options.force?.maxStorageBufferBindingSize ?? adapter.limits.maxStorageBufferBindingSize;
  const device = await adapter.requestDevice({
    requiredFeatures: wanted,
    requiredLimits: {
      maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
      maxBufferSize: adapter.limits.maxBufferSize,
    },
  });
  const usable = fixed >= 4 && fixed <= 64;
  const summary: AdapterSummary = {
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    features: [...adapter.features].sort(),
    limits: {
      maxBufferSize: options.force?.maxBufferSize ?? adapter.limits.maxBufferSize,
      maxStorageBufferBindingSize: binding,
      maxComputeInvocationsPerWorkgroup: adapter.limits.maxComputeInvocationsPerWorkgroup,
    },
  };
  return Gpu.of(device, summary, defaultTable(usable ? fixed : 0), options.nap);
}

/** Milliseconds of one nap. */
const LEAST_NAP = 0.25;
const MOST_NAP = 20;

/** What all views of one device share. */
interface Shared {
  device: GPUDevice;
  info: AdapterSummary;
  nap: ((ms: number) => Promise<void>) | undefined;
  lost: Promise<LabError>;
  stats: GpuStats;
  onError: ((error: LabError) => void) | undefined;
  alive: Set<GPUBuffer>;
  /** Buffers made since `allocate` was entered; null outside of it. */
  making: GPUBuffer[] | null;
  meters: Set<Meter>;
  submitFlops: number;
  pipelines: Pipelines;
}

/**
 * One device with its pipelines and its count of what is alive, and the table of the kernels to use on it. Every buffer of the
 * engine is made here.
 */
export class Gpu {
  readonly device: GPUDevice;
  readonly info: AdapterSummary;
  readonly table: KernelTable;
  readonly stats: GpuStats;
  /** Resolves with words for the user when the device is gone for another reason than destroy(). */
  readonly lost: Promise<LabError>;
  /**
   * Sleeps the calling thread, then lets pending results in. Given in Node only, where Dawn looks for a pending result in every
   * turn of the event loop and so takes a core from a software adapter.
   */
  readonly nap: ((ms: number) => Promise<void>) | undefined;

  private readonly shared: Shared;

  private constructor(shared: Shared, table: KernelTable) {
    this.shared = shared;
    this.table = table;
    this.device = shared.device;
    this.info = shared.info;
    this.stats = shared.stats;
    this.lost = shared.lost;
    this.nap = shared.nap;
  }

  static of(
    device: GPUDevice,
    info: AdapterSummary,
    table: KernelTable,
    nap?: (ms: number) => Promise<void>,
  ): Gpu {
    const lost = device.lost.then((reason) => {
      const why =
        reason.reason === 'destroyed' ? 'was closed' : `was lost (${reason.message || 'no reason given'})`;
      return new LabError('device-lost', `The graphics device ${why}.`, {
        safe: 'Every saved checkpoint is whole.',
        next: 'Start the engine again; a run in progress goes on from its last checkpoint.',
      });
    });
    const stats = {
      buffers: 0,
      bytes: 0,
      peakBytes: 0,
      bindGroups: 0,
      pipelines: 0,
      dispatches: 0,
      submits: 0,
    };
    const shared: Shared = {
      device,
      info,
      nap,
      lost,
      stats,
      onError: undefined,
      alive: new Set(),
      making: null,
      meters: new Set(),
      submitFlops: 2e10,
      pipelines: new Pipelines(device),
    };
    device.addEventListener('uncapturederror', (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      const memory = typeof GPUOutOfMemoryError !== 'undefined' && error instanceof GPUOutOfMemoryError;
      const labError = memory ? outOfMemory() : refused(error.message);
      if (shared.onError) shared.onError(labError);
      else console.error(labError);
    });
    return new Gpu(shared, table);
  }

  /** The same device, with its buffers, pipelines and counters, computing with other kernels. */
  with(table: KernelTable): Gpu {
    return new Gpu(this.shared, table);
  }

  /**
   * Floating-point operations of one submit: a tenth of a second at 200 GFLOP/s, as integrated GPUs reach. Longer ones freeze the
   * desktop, and after some seconds the system resets the GPU.
   */
  get submitFlops(): number {
    return this.shared.submitFlops;
  }

  set submitFlops(most: number) {
    this.shared.submitFlops = most;
  }

  /** Told while pipelines compile in the background: how many are done, of how many. */
  set onCompiling(tell: ((done: number, total: number) => void) | undefined) {
    this.shared.pipelines.onProgress = tell;
  }

  /** Told of the first validation or memory error that no caller caught. */
  set onError(tell: ((error: LabError) => void) | undefined) {
    this.shared.onError = tell;
  }

  /** A buffer that this Gpu counts; `bytes` is rounded up to 16. Free it with `free`. */
  buffer(label: string, bytes: number, usage: number = GPUBufferUsage.STORAGE): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    if (size > this.info.limits.maxBufferSize) {
      throw new LabError(
        'out-of-memory',
        `'${label}' needs ${size} bytes, more than one buffer of this adapter holds.`,
        {
          safe: 'Nothing was changed.',
          next: 'Choose a smaller model or batch.',
        },
      );
    }
    const mappable = usage & GPUBufferUsage.MAP_READ;
    const buffer = this.device.createBuffer({
      label,
      size,
      usage: mappable ? usage : usage | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
    });
    this.shared.alive.add(buffer);
    this.shared.making?.push(buffer);
    this.stats.buffers++;
    this.stats.bytes += size;
    this.stats.peakBytes = Math.max(this.stats.peakBytes, this.stats.bytes);
    for (const meter of this.shared.meters) meter.count(size);
    return buffer;
  }

  /**
   * Makes GPU objects, all of them or none: when `make` throws or the adapter has no memory for what it made, every
   * buffer made in it is freed again and the device lives on. What does not go through here is reported to `onError`. Pipelines
   * that `make` needs are compiled meanwhile, all at the same time; elsewhere each is compiled where it is first asked for.
   * @throws what `make` threw, or LabError 'out-of-memory' or 'gpu-error'
   */
  async allocate<T>(make: () => T): Promise<T> {
    const made: GPUBuffer[] = [];
    this.device.pushErrorScope('out-of-memory');
    this.shared.making = made;
    let begun: { result: T; compiled: Promise<unknown> } | { thrown: unknown };
    try {
      begun = this.shared.pipelines.collect(make);
    } catch (thrown) {
      begun = { thrown };
    } finally {
      this.shared.making = null;
    }
    const scope = this.device.popErrorScope();
    try {
      if ('thrown' in begun) throw begun.thrown;
      const [full] = await this.patiently(Promise.all([scope, begun.compiled]));
      if (full) throw outOfMemory();
      return begun.result;
    } catch (error) {
      for (const buffer of made) this.free(buffer);
      throw error;
    }
  }

  /** Counts the bytes of buffers made and freed from now on. */
  meter(): Meter {
    return new Meter(this.shared.meters);
  }

  /** Gives a buffer back; a second call for the same buffer does nothing. */
  free(buffer: GPUBuffer): void {
    if (!this.shared.alive.delete(buffer)) return;
    this.stats.buffers--;
    this.stats.bytes -= buffer.size;
    for (const meter of this.shared.meters) meter.count(-buffer.size);
    buffer.destroy();
  }

  /** The compute pipeline of shaders/<shader>.wgsl with these defines, compiled once; see `allocate` for when. */
  pipeline(shader: string, defines: Defines, access: string): Pipeline {
    const pipeline = this.shared.pipelines.of(shader, this.definesOf(defines), access);
    this.stats.pipelines = this.shared.pipelines.count;
    return pipeline;
  }

  /** With what the kernel table adds. */
  private definesOf(defines: Defines): Defines {
    return { SG: this.table.subgroupSize, REDUCE_SUBGROUP: this.table.reduce === 'subgroup', ...defines };
  }

  /** @throws LabError 'out-of-memory' naming a storage buffer that is longer than this adapter's kernels reach */
  bindGroup(access: string, entries: readonly GPUBufferBinding[]): GPUBindGroup {
    const most = this.info.limits.maxStorageBufferBindingSize;
    entries.forEach(({ buffer, offset = 0, size = buffer.size - offset }, i) => {
      if (access[i] !== 'u' && size > most) throw bindingTooLarge(buffer.label, size, most);
    });
    this.stats.bindGroups++;
    return this.device.createBindGroup({
      layout: this.shared.pipelines.layout(access),
      entries: entries.map((resource, binding) => ({ binding, resource })),
    });
  }

  submit(encoder: GPUCommandEncoder): void {
    this.device.queue.submit([encoder.finish()]);
    this.stats.submits++;
  }

  /** Copies a buffer's range to the host. Bytes; both multiples of 4. */
  read(buffer: GPUBuffer, offset = 0, bytes = buffer.size - offset): Promise<ArrayBuffer> {
    return this.readRecorded(bytes, (encoder, staging) =>
      encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes),
    );
  }

  /** Submits what `record` encodes and copies the bytes that it put into `staging` to the host. */
  async readRecorded(
    bytes: number,
    record: (encoder: GPUCommandEncoder, staging: GPUBuffer) => void,
  ): Promise<ArrayBuffer> {
    const staging = this.buffer('readback', bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    try {
      const encoder = this.device.createCommandEncoder();
      record(encoder, staging);
      this.submit(encoder);
      await this.patiently(staging.mapAsync(GPUMapMode.READ));
      return staging.getMappedRange(0, bytes).slice(0);
    } finally {
      this.free(staging);
    }
  }

  async readFloats(buffer: GPUBuffer, offset = 0, count = (buffer.size - offset) / 4): Promise<Float32Array> {
    return new Float32Array(await this.read(buffer, offset, count * 4));
  }

  /**
   * Awaits a result of the GPU; with `nap`, in naps that grow with the time waited, so that they cost a tenth of it at most.
   *
   * Tried and lost: one nap of most of the time that such results took lately. Their times differ too much, and an evaluation of
   * 4 CPU seconds took 14.
   */
  async patiently<T>(result: Promise<T>): Promise<T> {
    if (!this.nap) return result;
    let pending = true;
    const settled = (): void => void (pending = false);
    result.then(settled, settled);
    const start = performance.now();
    while (pending) await this.nap(Math.min(MOST_NAP, Math.max(LEAST_NAP, (performance.now() - start) / 10)));
    return result;
  }

  /** Lanes of a reducing workgroup: one subgroup, or 64 with shared memory. */
  get reduceWidth(): number {
    return this.table.reduce === 'subgroup' ? this.table.subgroupSize : 64;
  }

  destroy(): void {
    this.device.destroy();
  }
}

function bindingTooLarge(label: string, bytes: number, most: number): LabError {
  return new LabError(
    'out-of-memory',
    `'${label}' takes ${bytes} bytes, and this adapter's kernels reach ${most} at once.`,
    {
      safe: 'Nothing was changed.',
      next: 'Choose fewer or shorter rows at once, a smaller model, or another adapter.',
    },
  );
}

function outOfMemory(): LabError {
  return new LabError('out-of-memory', 'The graphics adapter has no memory left.', {
    safe: 'Saved checkpoints are whole, and nothing else was stopped.',
    next: 'Close other tabs that use the GPU, or choose a smaller batch.',
  });
}
