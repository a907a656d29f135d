import type { Gpu } from '../gpu/gpu.ts';
import { f32, type Binding, type Op } from '../gpu/program.ts';
import { sizeOf, storedDefines, type Dims, type Matrix, type Size } from './common.ts';

/** NT: C = A Bᵀ (y = x Wᵀ); NN: C = A B (dx = dy W); TN: C = Aᵀ B (dW = dyᵀ x). */
export type Layout = 'NT' | 'NN' | 'TN';

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

/** shaders/03_matmul_subgroup.wgsl or 03_matmul_tile.wgsl, as the adapter's kernel table says. */
export function matmul(gpu: Gpu, m: Matmul): Op<Dims> {
  const viewed = m.views !== undefined || m.factor !== undefined;
  const flags = {
    NT: m.layout === 'NT',
    TN: m.layout === 'TN',
    ACC: m.accumulate === true,
    VIEW: viewed,
    ...storedDefines(m.b),
  };
  /** Adding a product of nothing is left out; replacing by it writes zeros. */
  const blank = (d: Dims): boolean => m.accumulate === true && sizeOf(m.K, d) === 0;
  const shared = {
    access: 'rrw',
    bindings: [m.a, m.b, m.c],
    flops: (d: Dims) => 2 * sizeOf(m.M, d) * sizeOf(m.N, d) * sizeOf(m.K, d),
    uniforms: (d: Dims) => {
      const sizes = [sizeOf(m.M, d), sizeOf(m.N, d), sizeOf(m.K, d)] as const;
      return viewed ? [...sizes, ...viewWords(m, sizes)] : sizes;
    },
  };
  if (gpu.table.matmul === 'tile') {
    return {
      ...shared,
      shader: '03_matmul_tile',
      defines: flags,
      workgroups: (d) =>
        blank(d) ? [0, 0, 0] : [Math.ceil(sizeOf(m.N, d) / 64), Math.ceil(sizeOf(m.M, d) / 64), 1],
    };
  }
  const sg = gpu.table.subgroupSize;
  const { parts, cols } = tileOf(sg);
  return {
    ...shared,
    shader: '03_matmul_subgroup',
    defines: { ...flags, PARTS: parts, COLS: cols },
    workgroups: (d) =>
      blank(d)
        ? [0, 0, 0]
        : [Math.ceil(sizeOf(m.N, d) / (cols * sg)), Math.ceil(sizeOf(m.M, d) / (parts * sg)), 1],
  };
}

/** Uniform words of the VIEW variant after the sizes. */
function viewWords(m: Matmul, [M, N, K]: readonly [number, number, number]): number[] {
  const whole = (stride: number): View => ({ first: 0, stride });
  const { a, b, c } = m.views ?? {};
  const words = [
    a ?? whole(m.layout === 'TN' ? M : K),
    b ?? whole(m.layout === 'NT' ? K : N),
    c ?? whole(N),
  ].flatMap(({ first, stride }) => [first, stride]);
  return [...words, f32(m.factor ?? 1)];
}

/** Narrow subgroups are software adapters, where spilled sums cost less than loads; wide ones have registers for 64 sums. */
function tileOf(subgroupSize: number): { parts: number; cols: number } {
  if (subgroupSize <= 4) return { parts: 4, cols: 8 };
  if (subgroupSize <= 8) return { parts: 4, cols: 4 };
  return { parts: 1, cols: Math.max(1, 64 / subgroupSize) };
}
