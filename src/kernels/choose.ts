/** The start-up measurement: which kernel family is fastest on this adapter, on a few products that stand for the rest. */
import {
  defaultTable,
  GEMV_ROWS,
  MATMUL_CLASSES,
  matmulFamilies,
  type KernelMeasurement,
  type KernelTable,
  type KernelTime,
  type MatmulClass,
  type MatmulFamily,
  type MeasuredClass,
} from '../core/kernel-table.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Program, type Op } from '../gpu/program.ts';
import { Stopwatch } from '../gpu/stopwatch.ts';
import type { Dims } from './common.ts';
import { gemv, matmul } from './matmul.ts';

/** What a family must save to displace the default, so that noise changes nothing. */
const MARGIN = 0.1;
/** A family so much slower than the default is not tried on other products. */
const HOPELESS = 3;
const SAMPLES = 5;
/** One sample repeats a product for so long: the clocks of browsers are coarse. */
const SAMPLE_MS = 3;
const MOST_REPEATS = 64;
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

/** Runs each piece of the measurement when the GPU has nothing else to do. */
export type Turn = <T>(work: () => Promise<T>) => Promise<T>;

export interface Choice {
  table: KernelTable;
  measured: KernelMeasurement;
}

/**
 * Measures the families that this adapter can run. It makes its own buffers and pipelines; models and runs that are there keep
 * the kernels that they have.
 */
export async function chooseKernels(gpu: Gpu, turn: Turn = (work) => work()): Promise<Choice> {
  const begun = performance.now();
  const bench = new MatmulBench(gpu);
  try {
    const { table, complete } = await choose(gpu, bench, turn, () => performance.now() - begun);
    const milliseconds = performance.now() - begun;
    return { table, measured: { times: bench.times, milliseconds, at: Date.now(), complete } };
  } finally {
    bench.destroy();
  }
}

async function choose(
  gpu: Gpu,
  bench: MatmulBench,
  turn: Turn,
  elapsed: () => number,
): Promise<{ table: KernelTable; complete: boolean }> {
  const usual = defaultTable(gpu.table.subgroupSize);
  const matmul = { ...usual.matmul };
  let hopeful = matmulFamilies(usual.subgroupSize);
  let slow = false;
  let complete = true;
  const late = (): boolean => elapsed() > (slow ? BUDGET_MS.slow : BUDGET_MS.fast);
  /** Microseconds by family; in turns, so that what else the machine does meets all alike. */
  const race = async (what: MeasuredClass, families: readonly Family[]) => {
    const runners: Runner[] = [];
    for (const family of families) {
      if (runners.length > 0 && late()) break;
      runners.push(await turn(() => bench.enter(what, family, sizesOf(what, slow))));
    }
    complete &&= runners.length === families.length;
    for (let i = 0; i < SAMPLES; i++) for (const runner of runners) await turn(() => bench.sample(runner));
    return bench.finish(runners);
  };

  for (const what of MATMUL_CLASSES) {
    const first = matmul[what];
    if (late()) {
      complete = false;
      break;
    }
    const times = await race(what, [first, ...hopeful.filter((family) => family !== first)]);
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
    const [base, other] = (await race(`decode ${rows}`, order)) as [KernelTime, KernelTime?];
    const best = fastest(base, other ? [other] : []).family;
    if (best === 'gemv') few = Math.max(few, rows);
    else few = Math.min(few, rows === 1 ? 0 : GEMV_ROWS / 2);
  }
  return { table: { ...usual, matmul, gemv: few }, complete };
}

function fastest(base: KernelTime, others: readonly KernelTime[]): KernelTime {
  const best = others.reduce((a, b) => (b.microseconds < a.microseconds ? b : a), others[0] ?? base);
  return best.microseconds < (1 - MARGIN) * base.microseconds ? best : base;
}

function gflops({ sizes: [M, N, K], microseconds }: KernelTime): number {
  return (2 * M * N * K) / microseconds / 1e3;
}

interface Runner {
  what: MeasuredClass;
  family: Family;
  sizes: Sizes;
  program: Program<Dims>;
  repeats: number;
  /** Microseconds of one product. */
  samples: number[];
}

/** Operands that every product fits into. */
const FLOATS = 1024 * 1024;

class MatmulBench {
  readonly times: KernelTime[] = [];
  private readonly gpu: Gpu;
  private readonly watch: Stopwatch;
  private readonly buffers: GPUBuffer[];
  private readonly programs: Program<Dims>[] = [];

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    this.watch = new Stopwatch(gpu);
    this.buffers = ['a', 'b', 'c'].map((name) => gpu.buffer(`measured ${name}`, FLOATS * 4));
    // powers of two of both signs: sums stay finite, and no number is one that an adapter might treat apart
    const values = Float32Array.from(
      { length: FLOATS },
      (_, i) => 2 ** -((i * 7) % 5) * (i % 3 === 0 ? -1 : 1),
    );
    for (const buffer of this.buffers) gpu.device.queue.writeBuffer(buffer, 0, values);
  }

  /** Compiles a family for a product, and finds how often a sample repeats it. */
  async enter(what: MeasuredClass, family: Family, sizes: Sizes): Promise<Runner> {
    const program = new Program(this.gpu, 'measured', [this.op(what, family, sizes)]);
    this.programs.push(program);
    program.prepare({ tokens: 0, rows: 0, distinct: 0, scale: 1 });
    await this.watch.time((pass) => program.encode(pass)); // compiles
    const once = await this.watch.time((pass) => program.encode(pass));
    const repeats = Math.min(MOST_REPEATS, Math.max(1, Math.ceil(SAMPLE_MS / Math.max(once, 1e-3))));
    return { what, family, sizes, program, repeats, samples: [] };
  }

  async sample(runner: Runner): Promise<void> {
    const milliseconds = await this.watch.time((pass) => {
      for (let i = 0; i < runner.repeats; i++) runner.program.encode(pass);
    });
    runner.samples.push((milliseconds * 1000) / runner.repeats);
  }

  finish(runners: readonly Runner[]): KernelTime[] {
    const times = runners.map(({ what, family, sizes, samples }) => {
      const sorted = samples.toSorted((a, b) => a - b);
      return { what, family, sizes, microseconds: sorted[sorted.length >> 1]! };
    });
    this.times.push(...times);
    return times;
  }

  private op(what: MeasuredClass, family: Family, [M, N, K]: Sizes): Op<Dims> {
    const [a, b, c] = this.buffers.map((buffer) => ({ buffer })) as [Operand, Operand, Operand];
    const sizes = { a, b, c, M, N, K };
    if (family === 'gemv') return gemv(this.gpu, { layout: 'NT', ...sizes });
    const layout = what.startsWith('decode') ? 'NT' : (what.slice(0, 2) as 'NT' | 'NN' | 'TN');
    const { table } = this.gpu;
    const only = Object.fromEntries(MATMUL_CLASSES.map((name) => [name, family]));
    const on = this.gpu.with({ ...table, matmul: only as Record<MatmulClass, MatmulFamily> });
    return matmul(on, { layout, ...sizes });
  }

  destroy(): void {
    for (const program of this.programs) program.destroy();
    for (const buffer of this.buffers) this.gpu.free(buffer);
    this.watch.destroy();
  }
}

interface Operand {
  buffer: GPUBuffer;
}
