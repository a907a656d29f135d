/**
 * npm run bench -- [--json] [--config nano|small|smol1|all] [--steps N] [--lora] [--checkpoint] [--precision f32|f16|bf16]
 *                 [--profile] [--scaling] [--evaluation] [--recipes [--full]] [--peers [--only NAME,NAME]]
 *
 * Without more: what the adapter gives anybody (a large product, a copy), then a training step (forward, loss, backward, AdamW),
 * greedy decoding and the products of a step alone, on fixed models whose weights and batch any other engine can repeat. `--profile` times every kernel of a step; `--scaling`
 * lays batches, lengths, an adapter and activation checkpointing side by side; `--recipes` steps of the defences beside an ordinary one, on a quarter of the batch, with `--full` on all of it (ten minutes and more on a software driver); `--evaluation` answers 200 prompts by four
 * checkpoints together and one at a time; `--peers` runs what a user could pick
 * instead (bench/) in alternation with this engine.
 */
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import type { Precision } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { withStopwatch } from '../gpu/stopwatch.ts';
import { ceilings } from '../kernels/ceilings.ts';
import { benchConfig, CONFIGS, trainedFlops } from './bench/configs.ts';
import { decodeBench } from './bench/decode.ts';
import { evaluationBench } from './bench/evaluation.ts';
import { round } from './bench/figures.ts';
import { peers } from './bench/peers.ts';
import { profileBench } from './bench/profile.ts';
import { recipeBench } from './bench/recipes.ts';
import { scaling } from './bench/scaling.ts';
import { trainBench, type TrainResult } from './bench/train.ts';
import { adapterYardstick, yardstick } from './bench/yardstick.ts';
import { table } from './summary/tables.ts';
import { openNodeGpu } from './node-gpu.ts';

export async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      json: { type: 'boolean', default: false },
      config: { type: 'string', default: 'all' },
      steps: { type: 'string', default: '10' },
      lora: { type: 'boolean', default: false },
      checkpoint: { type: 'boolean', default: false },
      precision: { type: 'string', default: 'f32' },
      profile: { type: 'boolean', default: false },
      scaling: { type: 'boolean', default: false },
      evaluation: { type: 'boolean', default: false },
      recipes: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      peers: { type: 'boolean', default: false },
      only: { type: 'string' },
    },
  });
  const steps = Number(values.steps);
  if (!Number.isInteger(steps) || steps < 1)
    throw new LabError('bad-input', `--steps wants a whole number from 1, not "${values.steps}".`);
  const names = values.config === 'all' ? Object.keys(CONFIGS) : values.config.split(',');
  for (const name of names) benchConfig(name);
  const print = (kind: string, rows: readonly object[]): void => {
    const lines = rows.map((row) => `${JSON.stringify({ kind, ...row })}\n`).join('');
    process.stdout.write(values.json ? lines : `\n${kind}\n${tableOf(rows)}\n`);
  };
  if (values.peers) {
    for (const name of names) print('peers', await peers(name, steps, values.only?.split(',')));
    return 0;
  }
  const gpu = await openNodeGpu();
  if (!values.json) process.stdout.write(`${gpu.info.description || gpu.info.vendor}\n`);
  if (values.profile) {
    await withStopwatch(gpu, async (watch) => {
      const most = await ceilings(gpu, watch);
      const { clock } = watch.timing;
      print('ceilings', [{ gflopPerS: round(most.gflopPerS), gbPerS: round(most.gbPerS), clock }]);
      for (const name of names) print(`profile of ${name}`, await profileBench(gpu, watch, name, most));
    });
  } else if (values.evaluation) {
    print('evaluation', [await evaluationBench(gpu)]);
  } else if (values.recipes) {
    const [name] = values.config === 'all' ? ['nano'] : names;
    print('steps of the defences', await recipeBench(gpu, name!, Math.ceil(steps / 10), values.full));
  } else if (values.scaling) {
    print('scaling', await scaling(gpu, steps));
  } else {
    const variant = {
      lora: values.lora,
      checkpoint: values.checkpoint,
      precision: precision(values.precision),
    };
    print('yardsticks', [await adapterYardstick(gpu)]);
    for (const name of names) {
      const [result] = await trainBench(gpu, [{ config: name, ...variant }], steps);
      print('training step', [await besideYardstick(gpu, result!)]);
      print('greedy decoding', [await decodeBench(gpu, name, 1), await decodeBench(gpu, name, 16)]);
    }
  }
  return 0;
}

/** The step beside the products of a step of all weights: their speed alone, and what part of it the step reaches. */
async function besideYardstick(gpu: Gpu, r: TrainResult): Promise<object> {
  const c = benchConfig(r.config);
  const products = await yardstick(gpu, c);
  if (!products) return r;
  const share = trainedFlops(c) / 1e9 / (r.cpuMsPerStep / 1000) / products.gflopPerCpuS;
  return { ...r, ...products, ...(!r.lora && { shareOfYardstick: round(share, 3) }) };
}

function precision(value: string): Precision {
  if (value === 'f32' || value === 'f16' || value === 'bf16') return value;
  throw new LabError('bad-input', `--precision is f32, f16 or bf16, not "${value}".`);
}

/** Rows side by side; losses as the first and the last. */
function tableOf(rows: readonly object[]): string {
  const shown = rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([key, value]) => [
        key,
        Array.isArray(value) ? `${value[0]} -> ${value.at(-1)} (${value.length})` : String(value),
      ]),
    ),
  );
  const keys = [...new Set(shown.flatMap((row) => Object.keys(row)))].filter((key) => key !== 'adapter');
  if (shown.length === 1) return keys.map((key) => `  ${key}: ${shown[0]![key]}`).join('\n');
  return table(
    keys,
    shown.map((row) => keys.map((key) => row[key] ?? '')),
  );
}
