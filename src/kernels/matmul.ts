import type { Gpu } from '../gpu/gpu.ts';
import { f32, type Binding, type Op } from '../gpu/program.ts';
import type { Layout, MatmulClass } from '../core/kernel-table.ts';
import { sizeOf, storedDefines, type Dims, type Matrix, type Size } from './common.ts';

/** Columns of a wider matrix: its first element and the distance of its rows, in floats. */
export interface View {
  first: number;
  stride: number;
}

export interface Matmul {
  layout: Layout;
  /** [M, K] ([K, M] in TN) */
  a: Binding;
  /** [N, K] in NT, else [K, N] */
  b: Matrix;
  /** [M, N] */
  c: Binding;
  M: Size;
  N: Size;
  K: Size;
  /** Add to C. */
  accumulate?: boolean;
  /** Where A, B or C are columns of a wider matrix. */
  views?: { a?: View; b?: View; c?: View };
  /** Multiplies the product before it is stored or added; 1 by default. */
  factor?: number;
}

/** Rows that a workgroup of the matrix-vector kernel makes. */
const GEMV_BLOCK = 4;

/** Numbers of a matrix of weights from which on it is large. */
const LARGE = 2 ** 18;

/** The two sizes that do not change from step to step: those of the weights, or of their gradient. */
function weightSizes(m: Matmul): [Size, Size] {
  return m.layout === 'TN' ? [m.M, m.N] : [m.N, m.K];
}

/** Which entry of the kernel table holds for a product. */
export function matmulClass(m: Matmul): MatmulClass {
  const [rows, columns] = weightSizes(m).map((size) => (typeof size === 'number' ? size : 0));
  return `${m.layout} ${rows! * columns! < LARGE ? 'small' : 'large'}`;
}

/** One of shaders/03_matmul_*.wgsl, as the kernel table says. */
export function matmul(gpu: Gpu, m: Matmul): Op<Dims> {
  switch (gpu.table.matmul[matmulClass(m)]) {
    case 'tile':
      return op(m, '03_matmul_tile', { VEC: fours(m), K_EDGE: true }, 64, 64);
    case 'plain':
      return op(m, '03_matmul_plain', { VEC: fours(m), HALVES: 2 }, 32, 64);
    case 'subgroup': {
      const sg = gpu.table.subgroupSize;
      const { parts, cols } = tileOf(sg);
      return op(m, '03_matmul_subgroup', { PARTS: parts, COLS: cols }, parts * sg, cols * sg);
    }
  }
}

/**
 * The same for a product that often has a few rows only, as in decoding (NT): up to as many as the table says by
 * shaders/03_matmul_gemv.wgsl, which reads the weights once, above that as `matmul`.
 */
export function matmulFew(gpu: Gpu, m: Matmul & { layout: 'NT' }): Op<Dims>[] {
  const few = gpu.table.gemv;
  const many = matmul(gpu, m);
  if (few === 0) return [many];
  return [onlyIf(gemv(gpu, m), (d) => sizeOf(m.M, d) <= few), onlyIf(many, (d) => sizeOf(m.M, d) > few)];
}

/** shaders/03_matmul_gemv.wgsl for any number of rows. */
export function gemv(gpu: Gpu, m: Matmul & { layout: 'NT' }): Op<Dims> {
  const sg = gpu.table.subgroupSize;
  const software = sg > 0 && sg <= 8;
  const [LANES, SPLIT, COLS] = software ? [sg, 1, 8] : [64, 16, 2];
  const own = { VEC: fours(m), ROWS: GEMV_BLOCK, COLS, LANES, SPLIT, PARTED: SPLIT > 1 };
  return op(m, '03_matmul_gemv', own, GEMV_BLOCK, (COLS * LANES) / SPLIT);
}

function onlyIf(op: Op<Dims>, wanted: (d: Dims) => boolean): Op<Dims> {
  return { ...op, workgroups: (d) => (wanted(d) ? op.workgroups(d) : [0, 0, 0]) };
}

/** @param rows of C that a workgroup makes, and columns */
function op(m: Matmul, shader: string, own: Op<Dims>['defines'], rows: number, columns: number): Op<Dims> {
  const viewed = m.views !== undefined || m.factor !== undefined;
  /** Adding a product of nothing is left out; replacing by it writes zeros. */
  const blank = (d: Dims): boolean => m.accumulate === true && sizeOf(m.K, d) === 0;
  return {
    shader,
    defines: {
      NT: m.layout === 'NT',
      TN: m.layout === 'TN',
      ACC: m.accumulate === true,
      VIEW: viewed,
      ...storedDefines(m.b),
      ...own,
    },
    access: 'rrw',
    bindings: [m.a, m.b, m.c],
    flops: (d: Dims) => 2 * sizeOf(m.M, d) * sizeOf(m.N, d) * sizeOf(m.K, d),
    uniforms: (d) => {
      const sizes = [sizeOf(m.M, d), sizeOf(m.N, d), sizeOf(m.K, d)] as const;
      return viewed ? [...sizes, ...viewWords(m, sizes)] : sizes;
    },
    workgroups: (d) =>
      blank(d) ? [0, 0, 0] : [Math.ceil(sizeOf(m.N, d) / columns), Math.ceil(sizeOf(m.M, d) / rows), 1],
  };
}

/** A and B of a product as columns of wider matrices. */
function operands(m: Matmul, [M, N, K]: readonly [number, number, number]): { a: View; b: View } {
  const whole = (stride: number): View => ({ first: 0, stride });
  return {
    a: m.views?.a ?? whole(m.layout === 'TN' ? M : K),
    b: m.views?.b ?? whole(m.layout === 'NT' ? K : N),
  };
}

/** Whether rows of A and B can be read four numbers at a time (VEC of lib/matmul_load), whatever the step's sizes. */
function fours(m: Matmul): boolean {
  const known = (size: Size): number => (typeof size === 'number' ? size : NaN);
  const { a, b } = operands(m, [known(m.M), known(m.N), known(m.K)]);
  const lengths = m.layout === 'NT' ? [m.K] : weightSizes(m);
  return [a.first, a.stride, b.first, b.stride, ...lengths].every((n) => known(n) % 4 === 0);
}

/** Uniform words of the VIEW variant after the sizes. */
function viewWords(m: Matmul, sizes: readonly [number, number, number]): number[] {
  const { a, b } = operands(m, sizes);
  const c = m.views?.c ?? { first: 0, stride: sizes[1] };
  return [...[a, b, c].flatMap(({ first, stride }) => [first, stride]), f32(m.factor ?? 1)];
}

/** Narrow subgroups are software adapters, where spilled sums cost less than loads; wide ones have registers for 64 sums. */
function tileOf(subgroupSize: number): { parts: number; cols: number } {
  if (subgroupSize <= 4) return { parts: 4, cols: 8 };
  if (subgroupSize <= 8) return { parts: 4, cols: 4 };
  return { parts: 1, cols: Math.max(1, 64 / subgroupSize) };
}
