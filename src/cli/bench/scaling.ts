/** Does the cost grow as the work grows? Ratios of variants that were run in alternation. */
import type { Gpu } from '../../gpu/gpu.ts';
import { profile } from '../../gpu/profile.ts';
import { withStopwatch } from '../../gpu/stopwatch.ts';
import { attentionFlops, benchConfig, trainedFlops } from './configs.ts';
import { round } from './figures.ts';
import { trainBench, withTrainer, type TrainResult, type Variant } from './train.ts';

export interface Ratio {
  what: string;
  ratio: number;
  /** What was laid side by side, milliseconds of CPU time a step. */
  of: string;
}

const PAIRS: { what: string; over: Variant; under: Variant }[] = [
  {
    what: 'an adapter of rank 8 against all weights, small',
    over: { config: 'small', lora: true },
    under: { config: 'small' },
  },
  {
    what: 'an adapter of rank 8 against all weights, smol1',
    over: { config: 'smol1', lora: true },
    under: { config: 'smol1' },
  },
  {
    what: 'activation checkpointing against none, small',
    over: { config: 'small', checkpoint: true },
    under: { config: 'small' },
  },
];

export async function scaling(gpu: Gpu, steps: number): Promise<Ratio[]> {
  const out: Ratio[] = [];
  const two = (r: readonly TrainResult[]): string => r.map((x) => x.cpuMsPerStep).join(' / ');
  const batches = await trainBench(
    gpu,
    [2, 4, 8, 16].map((rows) => ({ config: 'nano', rows })),
    steps,
  );
  const perToken = batches.map((r) => r.cpuMsPerStep / r.tokens);
  out.push({
    what: 'time per token, rows 2, 4, 8 and 16 of nano: most against least',
    ratio: round(Math.max(...perToken) / Math.min(...perToken), 3),
    of: batches.map((r, i) => `${r.tokens}: ${round(perToken[i]!)}`).join(', '),
  });
  for (const { what, over, under } of PAIRS) {
    const results = await trainBench(gpu, [over, under], steps);
    out.push({
      what,
      ratio: round(results[0]!.cpuMsPerStep / results[1]!.cpuMsPerStep, 3),
      of: two(results),
    });
  }
  out.push(await attentionShare(gpu));
  return out;
}

/** Attention's part of a step at length 512, over the part that its operations are of all. */
async function attentionShare(gpu: Gpu): Promise<Ratio> {
  const variant: Variant = { config: 'nano', rows: 2, seq: 512 };
  const shape = { ...benchConfig('nano'), rows: 2, seq: 512 };
  return withTrainer(gpu, variant, async (trainer) => {
    const kernels = await withStopwatch(gpu, (watch) => profile(gpu, watch, trainer.programs));
    const ms = (of: typeof kernels): number => of.reduce((sum, k) => sum + k.ms, 0);
    const share = ms(kernels.filter((k) => k.kernel.includes('attention'))) / ms(kernels);
    const predicted = attentionFlops(shape) / trainedFlops(shape);
    return {
      what: "attention's share of a step at length 512 against its share of the operations",
      ratio: round(share / predicted, 3),
      of: `${round(share, 3)} / ${round(predicted, 3)}`,
    };
  });
}
