import { matmul } from '../kernels/matmul.ts';
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

export const matmulChecks: Check[] = (['NT', 'NN', 'TN'] as const).flatMap((layout) =>
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
