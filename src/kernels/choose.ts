/** The start-up measurement: which kernel family is fastest on this adapter, on a few products that stand for the rest. */
import {
  defaultTable,
  GEMV_ROWS,
  MATMUL_CLASSES,
  matmulFamilies,
  type KernelMeasurement,
  type KernelTable,
  type KernelTime,
  type MatmulFamily,
  type MeasuredClass,
} from '../core/kernel-table.ts';
import { quantile } from '../core/stats.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { withStopwatch, type Stopwatch } from '../gpu/stopwatch.ts';
import { atOnce, type Run, type Timing, type Turn } from '../gpu/timing.ts';
import { MatmulBench } from './matmul-bench.ts';

/** What a family must save to displace the default, so that noise changes nothing. */
const MARGIN = 0.1;
/** A family so much slower than the default is not tried on other products. */
const HOPELESS = 3;
const SAMPLES = 5;
/** Where time has run out. */
const LEAST_SAMPLES = 3;
/** Nothing new is begun after so long; an adapter that is as slow as a processor is given more. */
const BUDGET_MS = { fast: 800, slow: 4000 };
/** Rate of the first product below which an adapter is slow. */
const SLOW_GFLOPS = 50;

type Sizes = readonly [M: number, N: number, K: number];
type Family = KernelTime['family'];

/** Sizes of a product: a layer of a small model with some hundred tokens, or a large layer. */
function sizesOf(what: MeasuredClass, slow: boolean): Sizes {
  if (what.startsWith('decode')) return [Number(what.split(' ')[1]), 768, 512];
  const tokens = slow ? 64 : 512;
  const sizes = what.endsWith('small') ? ([256, 384, 128] as const) : ([tokens, 1024, 512] as const);
  const [M, N, K] = sizes;
  // the weight's gradient sums over tokens
  return what.startsWith('TN') ? [N, K, M] : sizes;
}

export interface Choice {
  table: KernelTable;
  measured: KernelMeasurement;
}

/** Where families race. */
export interface Track {
  readonly timing: Timing;
  /** Makes a family ready for a product of such sizes. */
  enter(what: MeasuredClass, family: Family, sizes: Sizes): Promise<Run>;
}

/**
 * Measures the families that this adapter can run. It makes its own buffers and pipelines; models and runs that are there keep
 * the kernels that they have.
 */
export function chooseKernels(gpu: Gpu, turn: Turn = atOnce): Promise<Choice> {
  const measure = async (watch: Stopwatch): Promise<Choice> => {
    const bench = new MatmulBench(gpu, watch);
    try {
      return await race(bench, gpu.table.subgroupSize, turn);
    } finally {
      bench.destroy();
    }
  };
  return withStopwatch(gpu, measure, turn);
}

/**
 * The measurement on any track.
 * @param now milliseconds
 * @throws ClockStandsStill
 */
export async function race(
  track: Track,
  subgroupSize: number,
  turn: Turn,
  now: () => number = () => performance.now(),
): Promise<Choice> {
  const begun = now();
  const usual = defaultTable(subgroupSize);
  const matmul = { ...usual.matmul };
  const all: KernelTime[] = [];
  let hopeful = matmulFamilies(subgroupSize);
  let slow = false;
  let complete = true;
  const late = (): boolean => now() - begun > (slow ? BUDGET_MS.slow : BUDGET_MS.fast);
  /** In turns, so that what else the machine does meets all alike. */
  const heat = async (what: MeasuredClass, families: readonly Family[]): Promise<KernelTime[]> => {
    const sizes = sizesOf(what, slow);
    const runners: { family: Family; run: Run; repeats: number; samples: number[] }[] = [];
    for (const family of families) {
      if (runners.length > 0 && late()) break;
      const from = Math.ceil((runners[0]?.repeats ?? 1) / HOPELESS);
      const runner = await turn(async () => {
        const run = await track.enter(what, family, sizes);
        const { repeats } = await track.timing.measure(run, from);
        return { family, run, repeats, samples: [] };
      });
      runners.push(runner);
    }
    complete &&= runners.length === families.length;
    for (let i = 0; i < SAMPLES && (i < LEAST_SAMPLES || !late()); i++)
      for (const { run, repeats, samples } of runners)
        samples.push(await turn(() => track.timing.sample(run, repeats)));
    const times = runners.map(({ family, samples }) => ({
      what,
      family,
      sizes,
      microseconds: 1000 * quantile(samples, 0.5),
    }));
    all.push(...times);
    return times;
  };

  for (const what of MATMUL_CLASSES) {
    const first = matmul[what];
    if (late()) {
      complete = false;
      break;
    }
    const times = await heat(what, [first, ...hopeful.filter((family) => family !== first)]);
    const [base, ...others] = times as [KernelTime, ...KernelTime[]];
    if (what === MATMUL_CLASSES[0]) slow = gflops(base) < SLOW_GFLOPS;
    const best = fastest(base, others);
    matmul[what] = best.family as MatmulFamily;
    hopeful = hopeful.filter(
      (family) => !others.some((t) => t.family === family && t.microseconds > HOPELESS * base.microseconds),
    );
  }

  let few = usual.gemv;
  for (const rows of [GEMV_ROWS, 1]) {
    if (late()) {
      complete = false;
      break;
    }
    const tile = matmul['NT large'];
    // the default goes first; what is not it must win by the margin
    const order: Family[] = rows <= few ? ['gemv', tile] : [tile, 'gemv'];
    const [base, other] = (await heat(`decode ${rows}`, order)) as [KernelTime, KernelTime?];
    const best = fastest(base, other ? [other] : []).family;
    if (best === 'gemv') few = Math.max(few, rows);
    else few = Math.min(few, rows === 1 ? 0 : GEMV_ROWS / 2);
  }
  const measured = {
    times: all,
    milliseconds: now() - begun,
    at: Date.now(),
    complete,
    clock: track.timing.clock,
  };
  return { table: { ...usual, matmul, gemv: few }, measured };
}

function fastest(base: KernelTime, others: readonly KernelTime[]): KernelTime {
  const best = others.reduce((a, b) => (b.microseconds < a.microseconds ? b : a), others[0] ?? base);
  return best.microseconds < (1 - MARGIN) * base.microseconds ? best : base;
}

function gflops({ sizes: [M, N, K], microseconds }: KernelTime): number {
  return (2 * M * N * K) / microseconds / 1e3;
}
