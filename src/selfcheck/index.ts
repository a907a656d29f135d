import type { KernelCheck } from '../core/checks.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { everyMatmul, matmulFamilies } from '../core/kernel-table.ts';
import { attentionChecks } from './attention-checks.ts';
import { Bench, OutOfBounds, type Check } from './bench.ts';
import { lossChecks } from './loss-checks.ts';
import { matmulChecks } from './matmul-checks.ts';
import { rowChecks } from './row-checks.ts';
import { stepChecks } from './step-checks.ts';

/** Every kernel on awkward sizes, in the order of the data. */
export const kernelChecks: readonly Check[] = [
  ...rowChecks,
  ...lossChecks,
  ...matmulChecks,
  ...attentionChecks,
  ...stepChecks,
].sort((a, b) => (a.kernel < b.kernel ? -1 : a.kernel > b.kernel ? 1 : 0));

/**
 * A few seconds' worth: of each kernel one check of each kind (the words of its shape: layouts, directions, what is
 * added), never the smallest where there are several.
 */
export const quickChecks: readonly Check[] = alike(kernelChecks).map((g) => g[Math.floor(g.length / 2)]!);

function alike(checks: readonly Check[]): Check[][] {
  const groups = new Map<string, Check[]>();
  for (const check of checks) {
    const kind = `${check.kernel} ${check.shape.replace(/[^a-z]+/gi, ' ')}`;
    groups.set(kind, [...(groups.get(kind) ?? []), check]);
  }
  return [...groups.values()];
}

/** Whether an adapter has what a check's family needs. */
export function canRun(gpu: Gpu, { family }: Check): boolean {
  return family === undefined || matmulFamilies(gpu.table.subgroupSize).includes(family);
}

/** Runs one check; its buffers are freed again. */
export async function runCheck(gpu: Gpu, check: Check): Promise<KernelCheck> {
  const { family, shape, tolerance } = check;
  const kernel = check.kernel.replaceAll('*', gpu.table.attention);
  const on = family ? gpu.with({ ...gpu.table, matmul: everyMatmul(family) }) : gpu;
  const begun = performance.now();
  const bench = new Bench(on, `${check.kernel}/${shape}`);
  let error: number;
  try {
    error = await check.run(bench);
  } catch (cause) {
    if (!(cause instanceof OutOfBounds)) throw cause;
    error = Infinity;
  } finally {
    bench.free();
  }
  return { kernel, shape, error, tolerance, ok: error <= tolerance, milliseconds: performance.now() - begun };
}

/**
 * Compares the kernels in use with the float64 reference on this GPU; `full`: all that it can run, on every size that the lab's own
 * tests use. Stops early, with what it has, when aborted.
 */
export async function runSelfCheck(
  gpu: Gpu,
  o: {
    full?: boolean;
    signal?: AbortSignal;
    onCheck?: (check: KernelCheck, done: number, total: number) => void;
  } = {},
): Promise<KernelCheck[]> {
  const used = new Set(Object.values(gpu.table.matmul));
  const checks = o.full
    ? kernelChecks.filter((check) => canRun(gpu, check))
    : quickChecks.filter(({ family }) => family === undefined || used.has(family));
  const done: KernelCheck[] = [];
  for (const check of checks) {
    if (o.signal?.aborted) break;
    const result = await runCheck(gpu, check);
    done.push(result);
    o.onCheck?.(result, done.length, checks.length);
  }
  return done;
}
