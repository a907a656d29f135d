import type { Defines } from './wgsl.ts';
import type { Gpu } from './gpu.ts';
import type { Pipeline } from './pipelines.ts';

/** A buffer or a range of one (bytes), and how the kernel uses it. */
export interface Binding {
  buffer: GPUBuffer;
  offset?: number;
  size?: number;
}

/**
 * One dispatch, described once and replayed. `D` are the sizes that change from step to step; the numbers that depend
 * on them reach the kernel through its uniform at binding 0.
 */
export interface Op<D> {
  shader: string;
  defines: Defines;
  /** Storage bindings 1, 2, ... with `r` or `w` each, e.g. 'rrw'. */
  access: string;
  bindings: readonly Binding[];
  /** Words of the uniform, at most 16: integers as they are, floats through `f32`. */
  uniforms(dims: D): readonly number[];
  /** Workgroups; a zero skips the dispatch. */
  workgroups(dims: D): readonly [number, number, number];
  /** Floating-point operations, for profiles and for cutting submits; absent where moving numbers is the work. */
  flops?(dims: D): number;
  /** Bytes that are read and written, where that is not every bound range once. */
  bytes?(dims: D): number;
}

/** What a dispatch of a prepared program does, for profiles. */
export interface Described {
  /** The shader, and the variants of it that are on. */
  kernel: string;
  flops: number;
  /** Read and written, each number once. */
  bytes: number;
}

const floats = new Float32Array(1);
const words = new Uint32Array(floats.buffer);

/** The bits of a float, to stand among a uniform's integer words. */
export function f32(value: number): number {
  floats[0] = value;
  return words[0]!;
}

/** Workgroups for `n` invocations in groups of `width`, over two dimensions where one is too short. */
export function grid1d(n: number, width: number): [number, number, number] {
  const groups = Math.ceil(n / width);
  if (groups <= 65535) return [groups, 1, 1];
  const y = Math.ceil(groups / 65535);
  return [Math.ceil(groups / y), y, 1];
}

const SLOT = 256; // minUniformBufferOffsetAlignment of every adapter, and minStorageBufferOffsetAlignment
const SLOT_WORDS = SLOT / 4;

const sizeOf = ({ buffer, offset = 0, size }: Binding): number => size ?? buffer.size - offset;
const aligned = (bytes: number): number => Math.ceil(bytes / SLOT) * SLOT;

/** A prepared program, whatever its sizes are. */
export type Replayable = Pick<
  Program<unknown>,
  'length' | 'work' | 'encode' | 'describe' | 'writes' | 'aside'
>;

/**
 * Records prepared programs one after the other and submits all but the last piece, in pieces of about
 * `gpu.submitFlops`.
 * @param encoder what stands in it already comes first
 * @returns the encoder with the last piece, which the caller ends and submits
 */
export function encodeInPieces(
  gpu: Gpu,
  encoder: GPUCommandEncoder,
  programs: readonly Replayable[],
): GPUCommandEncoder {
  let into = encoder;
  let pass = into.beginComputePass();
  let sum = 0;
  for (const program of programs) {
    let first = 0;
    for (let i = 0; i < program.length; i++) {
      sum += program.work[i]!;
      if (sum < gpu.submitFlops) continue;
      program.encode(pass, first, i + 1);
      first = i + 1;
      sum = 0;
      pass.end();
      gpu.submit(into);
      into = gpu.device.createCommandEncoder();
      pass = into.beginComputePass();
    }
    program.encode(pass, first);
  }
  pass.end();
  return into;
}

/**
 * A fixed list of dispatches: pipelines (see Gpu.allocate), bind groups and one uniform buffer are made here, once; running it
 * creates nothing but the command encoder that WebGPU asks for.
 */
export class Program<D> {
  private readonly gpu: Gpu;
  private readonly ops: readonly Op<D>[];
  private readonly pipelines: Pipeline[];
  private readonly groups: GPUBindGroup[];
  private readonly uniforms: GPUBuffer;
  private readonly staging: Uint32Array<ArrayBuffer>;
  private grids: (readonly [number, number, number])[] = [];
  private moved: readonly number[] = [];
  /** Floating-point operations of each dispatch at the prepared sizes. */
  work: readonly number[] = [];

  constructor(gpu: Gpu, label: string, ops: readonly Op<D>[]) {
    this.gpu = gpu;
    this.ops = ops;
    this.uniforms = gpu.buffer(`${label} uniforms`, ops.length * SLOT, GPUBufferUsage.UNIFORM);
    this.staging = new Uint32Array(ops.length * SLOT_WORDS);
    this.pipelines = ops.map((op) => gpu.pipeline(op.shader, op.defines, `u${op.access}`));
    this.groups = ops.map((op, i) => this.group(i, op.bindings));
  }

  get length(): number {
    return this.ops.length;
  }

  /** Sets the sizes for the submits that follow. */
  prepare(dims: D): void {
    this.ops.forEach((op, i) => this.staging.set(op.uniforms(dims), i * SLOT_WORDS));
    this.gpu.device.queue.writeBuffer(this.uniforms, 0, this.staging);
    this.grids = this.ops.map((op) => op.workgroups(dims));
    this.work = this.ops.map((op, i) => (this.grids[i]!.includes(0) ? 0 : (op.flops?.(dims) ?? 0)));
    this.moved = this.ops.map((op) => op.bytes?.(dims) ?? op.bindings.reduce((n, b) => n + sizeOf(b), 0));
  }

  /** The dispatches that `encode` records, by their place; undefined: skipped at the prepared sizes, or nothing is prepared. */
  describe(i: number): Described | undefined {
    const op = this.ops[i]!;
    if (!this.grids[i] || this.grids[i].includes(0)) return undefined;
    const on = Object.entries(op.defines).filter(([, value]) => value === true);
    return {
      kernel: [op.shader, ...on.map(([name]) => name)].join(' '),
      flops: this.work[i]!,
      bytes: this.moved[i]!,
    };
  }

  /** Bytes that `aside` needs for what a dispatch writes. */
  writes(i: number): number {
    return this.written(this.ops[i]!).reduce((n, binding) => n + aligned(sizeOf(binding)), 0);
  }

  /**
   * A dispatch with a scratch buffer in the place of everything that it writes: it can be repeated, and what the program computes
   * stays as it is.
   * @param scratch of at least `writes` bytes
   * @returns records it into a pass
   */
  aside(i: number, scratch: GPUBuffer): (pass: GPUComputePassEncoder) => void {
    const op = this.ops[i]!;
    let at = 0;
    const bindings = op.bindings.map((binding, b) => {
      if (op.access[b] !== 'w') return binding;
      const size = sizeOf(binding);
      const offset = at;
      at += aligned(size);
      return { buffer: scratch, offset, size };
    });
    const group = this.group(i, bindings);
    return (pass) => this.dispatch(pass, i, group);
  }

  private written({ access, bindings }: Op<D>): Binding[] {
    return bindings.filter((_, b) => access[b] === 'w');
  }

  private group(i: number, bindings: readonly Binding[]): GPUBindGroup {
    const own = { buffer: this.uniforms, offset: i * SLOT, size: 64 };
    return this.gpu.bindGroup(`u${this.ops[i]!.access}`, [own, ...bindings]);
  }

  /** Records the dispatches from `first` up to `end` into a pass; all by default. */
  encode(pass: GPUComputePassEncoder, first = 0, end = this.ops.length): void {
    for (let i = first; i < end; i++) this.dispatch(pass, i, this.groups[i]!);
  }

  private dispatch(pass: GPUComputePassEncoder, i: number, group: GPUBindGroup): void {
    const [x, y, z] = this.grids[i]!;
    if (x === 0 || y === 0 || z === 0) return;
    pass.setPipeline(this.pipelines[i]!.get());
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(x, y, z);
    this.gpu.stats.dispatches++;
  }

  /** prepare, encode in one pass, submit. */
  run(dims: D): void {
    this.prepare(dims);
    const encoder = this.gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    this.encode(pass);
    pass.end();
    this.gpu.submit(encoder);
  }

  destroy(): void {
    this.gpu.free(this.uniforms);
  }
}
