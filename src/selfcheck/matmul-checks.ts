import { matmul, type View } from '../kernels/matmul.ts';
import * as ref from '../reference/ops.ts';
import { dims, TOL, type Check } from './bench.ts';

/** [M, N, K]: single elements, one more and one less than tiles and subgroups, long and short inner dimensions. */
const SIZES = [
  [1, 1, 1],
  [3, 7, 33],
  [65, 33, 7],
  [33, 65, 66],
  [7, 130, 1],
  [17, 9, 129],
] as const;

const LAYOUTS = ['NT', 'NN', 'TN'] as const;

const dense: Check[] = LAYOUTS.flatMap((layout) =>
  SIZES.map(([M, N, K], i): Check => {
    // Every layout meets adding and replacing, and sizes that come from the step's dims.
    const accumulate = i % 2 === 1;
    return {
      kernel: '03_matmul_*',
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
const viewed: Check[] = LAYOUTS.flatMap((layout) =>
  (
    [
      [9, 5, 17],
      [70, 33, 3],
    ] as const
  ).map(([M, N, K], i): Check => {
    const accumulate = i === 0;
    return {
      kernel: '03_matmul_*',
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
        const x = wide(rowsA, colsA, 3, 2);
        const y = wide(rowsB, colsB, 1, 6);
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
const halved: Check[] = (['f16', 'bf16'] as const).flatMap((stored) =>
  (['NT', 'NN'] as const).flatMap((layout) => [
    ...SIZES.map(([M, N, K], i): Check => {
      const accumulate = i % 2 === 0;
      return {
        kernel: '03_matmul_*',
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
      kernel: '03_matmul_*',
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

export const matmulChecks: Check[] = [...dense, ...viewed, ...halved];
