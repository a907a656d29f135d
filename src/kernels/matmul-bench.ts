/** Products of every kernel family on buffers of their own, for the start-up measurement. */
import {
  MATMUL_CLASSES,
  type KernelTime,
  type MatmulClass,
  type MatmulFamily,
  type MeasuredClass,
} from '../core/kernel-table.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Program, type Op } from '../gpu/program.ts';
import type { Stopwatch } from '../gpu/stopwatch.ts';
import type { Run, Timing } from '../gpu/timing.ts';
import { NO_DIMS, type Dims } from './common.ts';
import { gemv, matmul } from './matmul.ts';

type Sizes = KernelTime['sizes'];
type Family = KernelTime['family'];

/** Operands that every product fits into. */
const FLOATS = 1024 * 1024;

export class MatmulBench {
  private readonly gpu: Gpu;
  private readonly watch: Stopwatch;
  private readonly buffers: GPUBuffer[];
  private readonly programs: Program<Dims>[] = [];

  constructor(gpu: Gpu, watch: Stopwatch) {
    this.gpu = gpu;
    this.watch = watch;
    this.buffers = ['a', 'b', 'c'].map((name) => gpu.buffer(`measured ${name}`, FLOATS * 4));
    // powers of two of both signs: sums stay finite, and no number is one that an adapter might treat apart
    const values = Float32Array.from(
      { length: FLOATS },
      (_, i) => 2 ** -((i * 7) % 5) * (i % 3 === 0 ? -1 : 1),
    );
    for (const buffer of this.buffers) gpu.device.queue.writeBuffer(buffer, 0, values);
  }

  get timing(): Timing {
    return this.watch.timing;
  }

  /** Compiles a family for a product. */
  async enter(what: MeasuredClass, family: Family, sizes: Sizes): Promise<Run> {
    const program = new Program(this.gpu, 'measured', [this.op(what, family, sizes)]);
    this.programs.push(program);
    program.prepare(NO_DIMS);
    const run: Run = (repeats) =>
      this.watch.time((pass) => {
        for (let i = 0; i < repeats; i++) program.encode(pass);
      });
    await run(1);
    return run;
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
  }
}

interface Operand {
  buffer: GPUBuffer;
}
