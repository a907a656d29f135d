import type { Gpu } from '../gpu/gpu.ts';
import { profile, type Profile } from '../gpu/profile.ts';
import { Program } from '../gpu/program.ts';
import { range, type Dims } from './common.ts';
import { add } from './elementwise.ts';
import { matmul } from './matmul.ts';

/** What the adapter gives this engine's own kernels at their best: a large product, and a long sum of two lists. */
export interface Ceilings {
  gflopPerS: number;
  gbPerS: number;
}

/** Rows, columns and depth of the product; software adapters take a second for it already. */
const SIDE = 768;
/** Floats of each list. */
const LIST = 1 << 22;

export async function ceilings(gpu: Gpu): Promise<Ceilings & { clock: Profile['clock'] }> {
  const buffers = [SIDE * SIDE, SIDE * SIDE, SIDE * SIDE, LIST, LIST, LIST].map((n) =>
    gpu.buffer('ceiling', n * 4),
  );
  const [a, b, c, x, y, sum] = buffers.map((buffer, i) => range(buffer, 0, i < 3 ? SIDE * SIDE : LIST));
  const program = new Program<Dims>(gpu, 'ceilings', [
    matmul(gpu, { layout: 'NN', a: a!, b: b!, c: c!, M: SIDE, N: SIDE, K: SIDE }),
    add({ a: x!, b: y!, sum: sum!, rows: LIST / 1024, width: 1024 }),
  ]);
  try {
    program.prepare({ tokens: 0, rows: 0, distinct: 0, scale: 1 });
    const { kernels, clock } = await profile(gpu, [program]);
    const product = kernels.find((k) => k.flops > 0)!;
    const list = kernels.find((k) => k.flops === 0)!;
    return {
      gflopPerS: product.flops / product.ms / 1e6,
      gbPerS: list.bytes / list.ms / 1e6,
      clock,
    };
  } finally {
    program.destroy();
    for (const buffer of buffers) gpu.free(buffer);
  }
}
