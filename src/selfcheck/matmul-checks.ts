import { MATMUL_FAMILIES } from '../core/kernel-table.ts';
import { gemv, matmul, type View } from '../kernels/matmul.ts';
import * as ref from '../reference/ops.ts';
import { dims, TOL, type Check } from './bench.ts';

/**
 * [M, N, K]: single elements, one more and one less than tiles and subgroups, long and short inner dimensions, and the same with
 * whole fours of numbers, which some families load at once.
 */
const SIZES = [
  [1, 1, 1],
  [3, 7, 33],
  [65, 33, 7],
  [33, 65, 66],
  [7, 130, 1],
  [17, 9, 129],
  [68, 4, 20],
  [4, 132, 36],
] as const;

type Shape = Omit<Check, 'kernel'>;

const LAYOUTS = ['NT', 'NN', 'TN'] as const;

const dense: Shape[] = LAYOUTS.flatMap((layout) =>
  SIZES.map(([M, N, K], i): Shape => {
    // Every layout meets adding and replacing, and sizes that come from the step's dims.
    const accumulate = i % 2 === 1;
    return {
      shape: `${layout}${accumulate ? ', added' : ''}: [${M}, ${N}] of ${K} products`,
      tolerance: TOL,
      async run(b) {
        const x = b.random(M * K);
        const y = b.random(K * N);
        const before = b.normal(M * N);
        const c = accumulate ? b.put(before) : b.room(M * N);
        const tokens = layout === 'TN' ? K : M;
        const sizes = layout === 'TN' ? { M, N, K: 'tokens' as const } : { M: 'tokens' as const, N, K };
        b.run(matmul(b.gpu, { layout, a: x, b: y, c, ...sizes, accumulate }), dims({ tokens }));
        const product = ref.matmul(layout, x.host, y.host, M, N, K);
        return b.error(c, accumulate ? ref.add(product, before) : product);
      },
    };
  }),
);

/** Values of a [rows, columns] matrix laid into columns first..first+columns of a wider one; the rest stays as it was. */
function lay(into: Float64Array, values: Float64Array, columns: number, view: View): void {
  for (let i = 0; i < values.length; i++)
    into[view.first + Math.floor(i / columns) * view.stride + (i % columns)] = values[i]!;
}

/** A, B and C as columns of wider matrices, times a factor: what is beside the columns of C must stay. */
const viewed: Shape[] = LAYOUTS.flatMap((layout) =>
  (
    [
      [9, 5, 17],
      [70, 33, 3],
      [12, 72, 20],
    ] as const
  ).map(([M, N, K], i): Shape => {
    const accumulate = i === 0;
    const even = i === 2;
    return {
      shape: `${layout}${accumulate ? ', added' : ''}, columns of wider matrices: [${M}, ${N}] of ${K} products`,
      tolerance: TOL,
      async run(b) {
        const [rowsA, colsA] = layout === 'TN' ? [K, M] : [M, K];
        const [rowsB, colsB] = layout === 'NT' ? [N, K] : [K, N];
        const wide = (rows: number, columns: number, before: number, after: number) => {
          const view = { first: before, stride: before + columns + after };
          const values = b.normal(rows * columns);
          const all = b.normal(rows * view.stride);
          lay(all, values, columns, view);
          return { view, values, slot: b.put(all), all };
        };
        const x = even ? wide(rowsA, colsA, 4, 8) : wide(rowsA, colsA, 3, 2);
        const y = even ? wide(rowsB, colsB, 8, 4) : wide(rowsB, colsB, 1, 6);
        const c = wide(M, N, 5, 4);
        const views = { a: x.view, b: y.view, c: c.view };
        const op = matmul(b.gpu, {
          layout,
          a: x.slot,
          b: y.slot,
          c: c.slot,
          M,
          N,
          K,
          accumulate,
          views,
          factor: 0.75,
        });
        b.run(op, dims({ tokens: 1 }));
        const product = ref.matmul(layout, x.values, y.values, M, N, K).map((p) => 0.75 * p);
        lay(c.all, accumulate ? ref.add(product, c.values) : product, N, c.view);
        return b.error(c.slot, c.all);
      },
    };
  }),
);

/** B stored in 16 bits: rows of odd length and columns that begin at an odd element, so that words straddle rows. */
const halved: Shape[] = (['f16', 'bf16'] as const).flatMap((stored) =>
  (['NT', 'NN'] as const).flatMap((layout) => [
    ...SIZES.map(([M, N, K], i): Shape => {
      const accumulate = i % 2 === 0;
      return {
        shape: `${layout}${accumulate ? ', added' : ''}, B in ${stored}: [${M}, ${N}] of ${K} products`,
        tolerance: TOL,
        async run(b) {
          const x = b.random(M * K);
          const y = b.half(b.normal(K * N), stored);
          const before = b.normal(M * N);
          const c = accumulate ? b.put(before) : b.room(M * N);
          b.run(matmul(b.gpu, { layout, a: x, b: y, c, M: 'tokens', N, K, accumulate }), dims({ tokens: M }));
          const product = ref.matmul(layout, x.host, y.host, M, N, K);
          return b.error(c, accumulate ? ref.add(product, before) : product);
        },
      };
    }),
    {
      shape: `${layout}, columns of a wider B in ${stored}: [9, 33] of 17 products`,
      tolerance: TOL,
      async run(b) {
        const [M, N, K] = [9, 33, 17];
        const columns = layout === 'NT' ? K : N;
        const view = { first: 3, stride: columns + 6 };
        const values = b.normal(N * K);
        const all = b.normal(((N * K) / columns) * view.stride);
        lay(all, values, columns, view);
        const x = b.random(M * K);
        const y = b.half(all, stored);
        const c = b.room(M * N);
        b.run(matmul(b.gpu, { layout, a: x, b: y, c, M, N, K, views: { b: view } }), dims({}));
        const rounded = Float64Array.from(
          values,
          (_, i) => y.host[view.first + Math.floor(i / columns) * view.stride + (i % columns)]!,
        );
        return b.error(c, ref.matmul(layout, x.host, rounded, M, N, K));
      },
    },
  ]),
);

/** Rows up to more than one workgroup has, [M, N, K] as above; B in 16 bits and columns of wider matrices. */
const few: Check[] = (
  [
    [1, 1, 1],
    [3, 7, 33],
    [5, 65, 68],
    [8, 130, 36],
  ] as const
).flatMap(([M, N, K], i) =>
  ([undefined, 'f16', 'bf16'] as const).map((stored): Check => {
    const accumulate = i % 2 === 1;
    return {
      kernel: '03_matmul_gemv',
      shape: `${accumulate ? 'added, ' : ''}W in ${stored ?? 'f32'}: [${M}, ${N}] of ${K} products`,
      tolerance: TOL,
      async run(b) {
        const view = { first: 4 * i, stride: K + (i === 1 ? 3 : 4) };
        const values = b.normal(M * K);
        const wide = b.normal(M * view.stride + view.first);
        lay(wide, values, K, view);
        const x = b.put(wide);
        const w = stored ? b.half(b.normal(N * K), stored) : b.random(N * K);
        const before = b.normal(M * N);
        const c = accumulate ? b.put(before) : b.room(M * N);
        const op = gemv(b.gpu, {
          layout: 'NT',
          a: x,
          b: w,
          c,
          M: 'tokens',
          N,
          K,
          accumulate,
          views: { a: view },
          factor: 0.5,
        });
        b.run(op, dims({ tokens: M }));
        const product = ref.matmul('NT', values, w.host, M, N, K).map((p) => 0.5 * p);
        return b.error(c, accumulate ? ref.add(product, before) : product);
      },
    };
  }),
);

/** Each family on all of it, whatever the kernel table says. */
export const matmulChecks: Check[] = [
  ...MATMUL_FAMILIES.flatMap((family) =>
    [...dense, ...viewed, ...halved].map((check) => ({ ...check, kernel: `03_matmul_${family}`, family })),
  ),
  ...few,
];
