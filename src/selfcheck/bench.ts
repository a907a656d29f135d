import { Rng } from '../core/rng.ts';
import type { Half } from '../core/types.ts';
import { narrowWords, widenWords } from '../files/dtypes.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { MatmulFamily } from '../core/kernel-table.ts';
import { Program, type Binding, type Op } from '../gpu/program.ts';
import type { Span } from '../kernels/common.ts';
import { relError, ZERO_TOL, type Numbers } from './compare.ts';

/** A kernel on one shape against the reference. */
export interface Check {
  /** Shader file without ending; `*` stands for the family that the adapter's kernel table chose. */
  kernel: string;
  /** Products by this family; absent: by what the table says. */
  family?: MatmulFamily;
  shape: string;
  tolerance: number;
  /** Largest relative error over the kernel's outputs; Infinity when it wrote where it must not. */
  run(bench: Bench): Promise<number>;
}

/** Values on the GPU, and for inputs the same values in float64. */
export interface Slot extends Binding {
  length: number;
  host: Float64Array;
}

const GUARD = 64;
/** Fills outputs and the guard behind them: what stays this NaN was never written. */
const UNTOUCHED = 0x7fc0dead;

/** Buffers for one check: awkward sizes, random values, guards behind everything that a kernel may write. */
export class Bench {
  readonly gpu: Gpu;
  readonly rng: Rng;
  readonly #buffers: GPUBuffer[] = [];
  readonly #programs: { destroy(): void }[] = [];

  constructor(gpu: Gpu, seed: string) {
    this.gpu = gpu;
    this.rng = new Rng(seed);
  }

  /** `n` normal values of the given size, as float32 numbers. */
  normal(n: number, size = 1): Float64Array {
    return Float64Array.from({ length: n }, () => Math.fround(this.rng.normal() * size));
  }

  /** Values that a kernel reads, or reads and changes. */
  put(values: Float64Array): Slot {
    return this.#slot(values.length, new Uint32Array(Float32Array.from(values).buffer), values);
  }

  /** Values rounded to 16 bits, two to a word; the element before and after them is NaN. */
  half(values: Float64Array, stored: Half): Slot & { stored: Half } {
    const words = narrowWords('self-check', Float32Array.from(values), stored);
    const halves = new Uint16Array(Math.ceil(values.length / 2) * 2).fill(0x7fff);
    halves.set(words);
    const host = Float64Array.from(widenWords(words, stored));
    return { ...this.#slot(values.length, new Uint32Array(halves.buffer), host), stored };
  }

  random(n: number, size = 1): Slot {
    return this.put(this.normal(n, size));
  }

  words(values: readonly number[]): Slot {
    return this.#slot(values.length, Uint32Array.from(values), Float64Array.from(values));
  }

  /** Room that a kernel must fill. */
  room(n: number): Slot {
    return this.#slot(n, new Uint32Array(n).fill(UNTOUCHED), new Float64Array(n));
  }

  #slot(length: number, bits: Uint32Array, host: Float64Array): Slot {
    const all = new Uint32Array(Math.ceil(length / 4) * 4 + GUARD).fill(UNTOUCHED);
    all.set(bits);
    const buffer = this.gpu.buffer('self-check', all.byteLength);
    this.#buffers.push(buffer);
    this.gpu.device.queue.writeBuffer(buffer, 0, all);
    return { buffer, length, host };
  }

  run<D>(ops: Op<D> | readonly Op<D>[], dims: D): void {
    const program = new Program<D>(
      this.gpu,
      'self-check',
      Array.isArray(ops) ? (ops as Op<D>[]) : [ops as Op<D>],
    );
    this.#programs.push(program);
    program.run(dims);
  }

  /** Raw words of a slot; throws when a kernel wrote behind its end. */
  async bits(slot: Slot): Promise<Uint32Array> {
    const all = new Uint32Array(await this.gpu.read(slot.buffer));
    if (all.subarray(slot.length).some((x) => x !== UNTOUCHED))
      throw new OutOfBounds('a kernel wrote behind the end of its output');
    return all.slice(0, slot.length);
  }

  async floats(slot: Slot): Promise<Float32Array> {
    return new Float32Array((await this.bits(slot)).buffer);
  }

  /** Relative error of a slot; NaN where something was never written. */
  async error(slot: Slot, expected: Numbers): Promise<number> {
    const error = relError(await this.floats(slot), expected);
    if (expected.some((x) => x !== 0)) return error;
    return error <= ZERO_TOL ? 0 : Infinity;
  }

  free(): void {
    for (const program of this.#programs) program.destroy();
    for (const buffer of this.#buffers) this.gpu.free(buffer);
  }
}

export class OutOfBounds extends Error {}

/** The worst of several errors; NaN is worse than anything. */
export function worst(...errors: number[]): number {
  return errors.some(Number.isNaN) ? NaN : Math.max(...errors);
}

/** What a plain float32 run leaves with room: sums of a few hundred products, exp and log of the adapter. */
export const TOL = 1e-5;

/** Rows of a batch: position, first token, one past the last and row of every token, as shaders/lib/tokens wants. */
export function tokenWords(lengths: readonly number[]): number[] {
  const out: number[] = [];
  let first = 0;
  lengths.forEach((length, row) => {
    for (let i = 0; i < length; i++) out.push(i, first, first + length, row);
    first += length;
  });
  return out;
}

export const dims = (d: { tokens?: number; rows?: number; distinct?: number; scale?: number }) => ({
  tokens: 0,
  rows: 0,
  distinct: 0,
  pairs: 0,
  scale: 1,
  ...d,
});

/** Parts of the given sizes, one behind the other. */
export function partsOf(counts: readonly number[]): Span[] {
  let first = 0;
  return counts.map((count) => ({ first: (first += count) - count, count }));
}

/** Some rows of a matrix [rows, width]. */
export function rowsOf(x: Float64Array, { first, count }: Span, width: number): Float64Array {
  return x.slice(first * width, (first + count) * width);
}

/** `count` slices of `width` columns starting at `from` of rows of `stride`: [rows, width]. */
export function columns(x: Float64Array, stride: number, from: number, width: number): Float64Array {
  const rows = x.length / stride;
  const out = new Float64Array(rows * width);
  for (let n = 0; n < rows; n++) out.set(x.subarray(n * stride + from, n * stride + from + width), n * width);
  return out;
}

/** Matrices [rows, width_i] side by side. */
export function beside(rows: number, ...parts: Float64Array[]): Float64Array {
  const out = new Float64Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (let n = 0; n < rows; n++)
    for (const p of parts) {
      const width = p.length / rows;
      out.set(p.subarray(n * width, (n + 1) * width), at);
      at += width;
    }
  return out;
}
