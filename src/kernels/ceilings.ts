import { everyMatmul, matmulFamilies } from '../core/kernel-table.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Program, type Op } from '../gpu/program.ts';
import type { Stopwatch } from '../gpu/stopwatch.ts';
import { atOnce, type Turn } from '../gpu/timing.ts';
import { NO_DIMS, range, type Dims } from './common.ts';
import { copy } from './elementwise.ts';
import { matmul } from './matmul.ts';

/** The best that this engine's kernels reach here: in a large product, and in a copy, from caches where it fits them. */
export interface Ceilings {
  gflopPerS: number;
  gbPerS: number;
}

/** Rows, columns and depth of the product. Software adapters take a tenth of a second for the least of them. */
const SIDES = [768, 2048];
/** A larger product is made where the last one took less. */
const SHORT_MS = 10;
/** Numbers that are copied. */
const LISTS = [2 ** 18, 2 ** 20, 2 ** 22];

/** Bytes of the least product: what `ceilings` takes at least. */
export const LEAST_CEILINGS = 3 * 4 * SIDES[0]! ** 2;

/** @param room bytes; larger products and longer lists than fit are left out */
export async function ceilings(
  gpu: Gpu,
  watch: Stopwatch,
  turn: Turn = atOnce,
  room = Infinity,
): Promise<Ceilings> {
  /** Milliseconds. */
  const time = async (op: Op<Dims>): Promise<number> => {
    const program = new Program(gpu, 'ceiling', [op]);
    try {
      program.prepare(NO_DIMS);
      return await turn(async () => {
        await watch.time((pass) => program.encode(pass)); // compiles
        const { ms } = await watch.timing.measure((repeats) =>
          watch.time((pass) => {
            for (let i = 0; i < repeats; i++) program.encode(pass);
          }),
        );
        return ms;
      });
    } finally {
      program.destroy();
    }
  };
  /** With buffers of so many numbers each. */
  const on = async <T>(
    count: number,
    buffers: number,
    use: (...b: GPUBuffer[]) => Promise<T>,
  ): Promise<T> => {
    const made = Array.from({ length: buffers }, () => gpu.buffer('ceiling', count * 4));
    try {
      return await use(...made);
    } finally {
      for (const buffer of made) gpu.free(buffer);
    }
  };

  let gflopPerS = 0;
  for (const side of SIDES) {
    if (gflopPerS > 0 && 12 * side ** 2 > room) break;
    const least = await on(side * side, 3, async (...buffers) => {
      const [a, b, c] = buffers.map((buffer) => range(buffer, 0, side * side));
      const times: number[] = [];
      for (const family of matmulFamilies(gpu.table.subgroupSize)) {
        const view = gpu.with({ ...gpu.table, matmul: everyMatmul(family) });
        times.push(
          await time(matmul(view, { layout: 'NN', a: a!, b: b!, c: c!, M: side, N: side, K: side })),
        );
      }
      return Math.min(...times);
    });
    gflopPerS = Math.max(gflopPerS, (2 * side ** 3) / least / 1e6);
    if (least > SHORT_MS) break;
  }
  let gbPerS = 0;
  for (const count of LISTS) {
    if (gbPerS > 0 && 8 * count > room) break;
    const ms = await on(count, 2, (source, to) =>
      time(copy({ source: { buffer: source! }, to: { buffer: to! }, count })),
    );
    gbPerS = Math.max(gbPerS, (8 * count) / ms / 1e6);
  }
  return { gflopPerS, gbPerS };
}
