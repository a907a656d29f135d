import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  benchBatch,
  benchConfig,
  benchWeights,
  llamaOf,
  trainedFlops,
  attentionFlops,
} from '../../src/cli/bench/configs.ts';
import { adapterYardstick, stepProducts } from '../../src/cli/bench/yardstick.ts';
import { openNodeGpu } from '../../src/cli/node-gpu.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { withStopwatch } from '../../src/gpu/stopwatch.ts';
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

  it('times every dispatch of a step once, counts what it computes, and changes nothing of it', async () => {
    const model = Model.create(gpu, llamaOf(shape), benchWeights(shape));
    const tokens = shape.rows * (shape.seq + 1);
    const trainer = new Trainer(model, optim, { maxTokens: tokens, maxLabels: shape.rows * shape.seq });
    await trainer.step([benchBatch(shape)], 1e-3);
    await trainer.flush();
    const { dispatches } = gpu.stats;
    await trainer.step([benchBatch(shape)], 1e-3);
    await trainer.flush();
    const step = gpu.stats.dispatches - dispatches;
    const before = { weights: await model.readTensors(), ...(await trainer.optimizerState()) };
    const { bytes } = gpu.stats;
    const kernels = await withStopwatch(gpu, (watch) => profile(gpu, watch, trainer.programs));
    expect(gpu.stats.bytes).toBe(bytes);
    expect({ weights: await model.readTensors(), ...(await trainer.optimizerState()) }).toEqual(before);

    expect(kernels.reduce((n, k) => n + k.dispatches, 0)).toBe(step);
    for (const k of kernels) {
      expect(k.ms, k.kernel).toBeGreaterThan(0);
      expect(k.bytes, k.kernel).toBeGreaterThan(0);
    }
    // Each row's last token is no input of the head, but one of the layers: a token more a row than the benchmark counts.
    const perToken = 2 * shape.layers * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48);
    const products = trainedFlops(shape) - attentionFlops(shape) + 3 * shape.rows * perToken;
    const attention = kernels.filter((k) => k.kernel.includes('attention'));
    const sum = (of: typeof kernels): number => of.reduce((n, k) => n + k.flops, 0);
    expect(sum(kernels) - sum(attention)).toBe(products);
    // two products of a pair of tokens in the forward pass, three and four in the backward, in each layer
    const pairs = (shape.rows * (17 * 18)) / 2;
    expect(attention.map((k) => k.flops).sort((a, b) => a - b)).toEqual(
      [2, 3, 4].map((p) => 2 * p * shape.layers * pairs * shape.hidden),
    );
    // all of the embedding is bound, and the rows of this batch are read
    expect(kernels.find((k) => k.kernel === '01_embed')!.bytes).toBe(tokens * (4 + 8 * shape.hidden));
    trainer.destroy();
    model.destroy();
  });

  it('finds a ceiling of each kind in the unit of a kernel, and leaves nothing behind', async () => {
    const { bytes } = gpu.stats;
    const most = await withStopwatch(gpu, (watch) => ceilings(gpu, watch));
    expect(gpu.stats.bytes).toBe(bytes);
    const nano = benchConfig('nano');
    const model = Model.create(gpu, llamaOf(nano), benchWeights(nano));
    const tokens = nano.rows * (nano.seq + 1);
    const trainer = new Trainer(model, optim, { maxTokens: tokens, maxLabels: tokens });
    await trainer.step([benchBatch(nano)], 1e-3);
    await trainer.flush();
    const kernels = await withStopwatch(gpu, (watch) => profile(gpu, watch, trainer.programs));
    trainer.destroy();
    model.destroy();
    for (const k of kernels) {
      // A wrong unit is off by a thousand; by how little kernels miss the ceiling is the bench's to say, on a quiet machine.
      expect(k.flops / k.ms / 1e6, k.kernel).toBeLessThan(10 * most.gflopPerS);
      expect(k.bytes / k.ms / 1e6, k.kernel).toBeLessThan(10 * most.gbPerS);
    }
  });

  it('the yardstick of the adapter is a large product and a copy, and leaves nothing behind', async () => {
    const { bytes } = gpu.stats;
    const most = await adapterYardstick(gpu, 1);
    expect(gpu.stats.bytes).toBe(bytes);
    expect(most.copyGbPerS).toBeGreaterThan(0);
    if (gpu.table.subgroupSize === 0) return;
    expect(most.productSide).toBeGreaterThanOrEqual(1024);
    expect(most.productGflopPerS).toBeGreaterThan(0);
  });

  it('the yardstick has the products of a step and no other', () => {
    const flops = stepProducts(shape).reduce((n, p) => n + 2 * p.M * p.N * p.K * p.times, 0);
    expect(flops).toBe(trainedFlops(shape) - attentionFlops(shape));
  });
});
