/** Where the time of a training step goes, kernel by kernel, against what the adapter's best kernels reach. */
import type { Gpu } from '../../gpu/gpu.ts';
import { profile } from '../../gpu/profile.ts';
import type { Stopwatch } from '../../gpu/stopwatch.ts';
import type { Ceilings } from '../../kernels/ceilings.ts';
import { round } from './figures.ts';
import { withTrainer } from './train.ts';

export interface KernelRow {
  kernel: string;
  dispatches: number;
  ms: number;
  /** Of all kernels of the step. */
  share: number;
  gflopPerS: number | '';
  /** Bytes that are read and written, each once, a second. */
  gbPerS: number;
  /** The larger of both against the ceilings. */
  ofCeiling: number;
}

export async function profileBench(
  gpu: Gpu,
  watch: Stopwatch,
  name: string,
  most: Ceilings,
): Promise<KernelRow[]> {
  return withTrainer(gpu, { config: name }, async (trainer) => {
    const kernels = await profile(gpu, watch, trainer.programs);
    const all = kernels.reduce((sum, k) => sum + k.ms, 0);
    return kernels.map((k) => {
      const gflopPerS = k.flops / k.ms / 1e6;
      const gbPerS = k.bytes / k.ms / 1e6;
      return {
        kernel: k.kernel,
        dispatches: k.dispatches,
        ms: round(k.ms),
        share: round(k.ms / all, 3),
        gflopPerS: k.flops > 0 ? round(gflopPerS) : '',
        gbPerS: round(gbPerS),
        ofCeiling: round(Math.max(gflopPerS / most.gflopPerS, gbPerS / most.gbPerS), 2),
      };
    });
  });
}
