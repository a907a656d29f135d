import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  benchBatch,
  benchWeights,
  llamaOf,
  trainedFlops,
  attentionFlops,
} from '../../src/cli/bench/configs.ts';
import { stepProducts } from '../../src/cli/bench/yardstick.ts';
import { openNodeGpu } from '../../src/cli/node-gpu.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { profile } from '../../src/gpu/profile.ts';
import { ceilings } from '../../src/kernels/ceilings.ts';
import { Model } from '../../src/model/model.ts';
import { Trainer } from '../../src/train/trainer.ts';

const shape = { hidden: 32, layers: 2, heads: 4, kvHeads: 2, ff: 48, vocab: 64, seq: 16, rows: 2 };
const optim = { betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0, clip: 1 } as const;

describe('a profile', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openNodeGpu();
  });
  afterAll(() => gpu.destroy());

  it('times every dispatch of a step once and counts the operations of all products', async () => {
    const model = Model.create(gpu, llamaOf(shape), benchWeights(shape));
    const tokens = shape.rows * (shape.seq + 1);
    const trainer = new Trainer(model, optim, { maxTokens: tokens, maxLabels: shape.rows * shape.seq });
    await trainer.step([benchBatch(shape)], 1e-3);
    await trainer.flush();
    const { dispatches } = gpu.stats;
    await trainer.step([benchBatch(shape)], 1e-3);
    await trainer.flush();
    const step = gpu.stats.dispatches - dispatches;
    const { kernels } = await profile(gpu, trainer.programs);
    expect(kernels.reduce((n, k) => n + k.dispatches, 0)).toBe(step);
    for (const k of kernels) {
      expect(k.ms, k.kernel).toBeGreaterThanOrEqual(0);
      expect(k.bytes, k.kernel).toBeGreaterThan(0);
    }
    expect(kernels.reduce((n, k) => n + k.ms, 0)).toBeGreaterThan(0);
    // Each row's last token is no input of the head, but one of the layers: a token more a row than the benchmark counts.
    const perToken = 2 * shape.layers * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48);
    const expected = trainedFlops(shape) - attentionFlops(shape) + 3 * shape.rows * perToken;
    expect(kernels.reduce((n, k) => n + k.flops, 0)).toBe(expected);
    trainer.destroy();
    model.destroy();
  });

  it('finds a ceiling of each kind and leaves nothing behind', async () => {
    const { bytes } = gpu.stats;
    const most = await ceilings(gpu);
    expect(most.gflopPerS).toBeGreaterThan(0);
    expect(most.gbPerS).toBeGreaterThan(0);
    expect(gpu.stats.bytes).toBe(bytes);
  });

  it('the yardstick has the products of a step and no other', () => {
    const flops = stepProducts(shape).reduce((n, p) => n + 2 * p.M * p.N * p.K * p.times, 0);
    expect(flops).toBe(trainedFlops(shape) - attentionFlops(shape));
  });
});
