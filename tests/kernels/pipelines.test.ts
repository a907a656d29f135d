import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { benchBatch, benchWeights, llamaOf } from '../../src/cli/bench/configs.ts';
import { openNodeGpu } from '../../src/cli/node-gpu.ts';
import type { LabError } from '../../src/core/errors.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Program } from '../../src/gpu/program.ts';
import { copy } from '../../src/kernels/elementwise.ts';
import { Model } from '../../src/model/model.ts';
import { Trainer } from '../../src/train/trainer.ts';

const shape = { hidden: 32, layers: 2, heads: 4, kvHeads: 2, ff: 48, vocab: 64, seq: 16, rows: 2 };
const optim = { betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0, clip: 1 } as const;

let gpu: Gpu;
beforeEach(async () => {
  gpu = await openNodeGpu();
});
afterEach(() => {
  vi.restoreAllMocks();
  gpu.destroy();
});

const step = async (trainer: Trainer): Promise<number> => {
  const losses: number[] = [];
  trainer.onStats = ({ loss }) => losses.push(loss);
  await trainer.step([benchBatch(shape)], 1e-3);
  await trainer.flush();
  return losses[0]!;
};

it('are compiled in the background, each once for all who ask at the same time, and compute the same', async () => {
  const model = Model.create(gpu, llamaOf(shape), benchWeights(shape));
  const tokens = shape.rows * (shape.seq + 1);
  const trainer = () => new Trainer(model, optim, { maxTokens: tokens, maxLabels: tokens });
  const atOnce = vi.spyOn(gpu.device, 'createComputePipeline');
  const later = vi.spyOn(gpu.device, 'createComputePipelineAsync');
  const told: [number, number][] = [];
  gpu.onCompiling = (done, total) => told.push([done, total]);
  const [one, two] = await Promise.all([gpu.allocate(trainer), gpu.allocate(trainer)]);
  expect(later.mock.calls.length).toBeGreaterThan(20);
  expect(later).toHaveBeenCalledTimes(gpu.stats.pipelines);
  expect(told.at(-1)).toEqual([told.length, told.length]);
  const loss = await step(one);
  expect(atOnce).not.toHaveBeenCalled();

  // what is made outside of `allocate` takes what is there, and compiles at once what is not
  model.writeTensors(benchWeights(shape));
  const third = trainer();
  expect(await step(third)).toBe(loss);
  expect(atOnce).not.toHaveBeenCalled();
  const buffers = ['source', 'to'].map((label) => gpu.buffer(label, 64));
  const op = copy({ source: { buffer: buffers[0]! }, to: { buffer: buffers[1]! }, count: 16 });
  new Program(gpu, 'at once', [op]);
  expect(atOnce).toHaveBeenCalledTimes(1);
  for (const each of [one, two, third]) each.destroy();
});

it('that a driver refuses are reported in words, leave no buffer behind, and are tried again', async () => {
  const source = gpu.buffer('source', 64);
  const { buffers } = gpu.stats;
  const make = (): Program<never> =>
    new Program(gpu, 'refused', [
      copy({ source: { buffer: source }, to: { buffer: gpu.buffer('to', 64) }, count: 16 }),
    ]);
  const later = vi.spyOn(gpu.device, 'createComputePipelineAsync');
  later.mockRejectedValueOnce(new Error('too many registers'));
  await expect(gpu.allocate(make)).rejects.toMatchObject({
    code: 'gpu-error',
    message: 'The graphics driver refused a command: too many registers',
  } satisfies Partial<LabError>);
  expect(gpu.stats.buffers).toBe(buffers);
  await gpu.allocate(make);
  expect(later).toHaveBeenCalledTimes(2);
});
