/** A step in several submits, and a batch in several passes: the same result. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { SMALL_NET, smallWeights } from '../support/small-net.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Batch, type Tensors } from '../../src/core/types.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { fitting } from '../../src/model/batch.ts';
import { Generator } from '../../src/model/generate.ts';
import { Model } from '../../src/model/model.ts';
import { relError } from '../../src/selfcheck/compare.ts';
import { Trainer } from '../../src/train/trainer.ts';

const config = SMALL_NET;
const optim = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.01, clip: 1 } as const;

const weights = (): Tensors => smallWeights(new Rng('passes'));

/** The first row has no label at all. */
function batch(): Batch {
  const rng = new Rng('rows');
  return [5, 20, 3, 11, 17, 8].map((length, row) => {
    const ids = Array.from({ length }, () => rng.int(97));
    return { ids, labels: ids.map((id, i) => (row === 0 || i < 2 ? IGNORE : id)) };
  });
}

const lengths = (parts: readonly Batch[]) => parts.map((p) => p.map((row) => row.ids.length));

describe('several submits', () => {
  it('give the same bits, and the same text', async () => {
    const gpu = await sharedGpu();
    const run = async () => {
      const { submits } = gpu.stats;
      const model = Model.create(gpu, config, weights());
      const trainer = new Trainer(model, optim, { maxTokens: 64, maxLabels: 64 });
      const losses: number[] = [];
      trainer.onStats = (s) => losses.push(s.loss);
      for (let i = 0; i < 3; i++) await trainer.step([batch(), batch()], 1e-3);
      await trainer.flush();
      const generator = new Generator(model, { maxSeqs: 6, maxLen: 32 });
      const prompts = batch().map((row) => row.ids.slice(0, 5));
      const text = await generator.generate(prompts, { maxNewTokens: 20, eos: new Set<number>() });
      const trained = await model.trained.read();
      generator.destroy();
      trainer.destroy();
      model.destroy();
      const bits = new Uint32Array(trained.buffer, trained.byteOffset, trained.length);
      return { bits, losses, text, submits: gpu.stats.submits - submits };
    };
    const whole = await run();
    gpu.submitFlops = 20_000;
    const cut = await run();
    expect(cut.submits).toBeGreaterThan(5 * whole.submits);
    expect({ ...cut, submits: 0 }).toEqual({ ...whole, submits: 0 });
    gpu.destroy();
  });
});

describe('several passes', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await sharedGpu();
  });
  afterAll(() => gpu.destroy());

  it('are cut by tokens and by labels, in order, and a row that fits nowhere stands alone', () => {
    expect(lengths(fitting(batch(), { maxTokens: 25, maxRows: 100 }))).toEqual([
      [5, 20],
      [3, 11],
      [17, 8],
    ]);
    expect(lengths(fitting(batch(), { maxTokens: 100, maxRows: 19 }))).toEqual([[5, 20, 3], [11], [17], [8]]);
    expect(lengths(fitting(batch(), { maxTokens: 4, maxRows: 100 }))).toEqual([[20], [3], [11], [17], [8]]);
    expect(fitting([], { maxTokens: 4, maxRows: 4 })).toEqual([]);
  });

  it('train as one does, with less memory', async () => {
    const run = async (maxTokens: number) => {
      const model = Model.create(gpu, config, weights());
      const before = gpu.stats.bytes;
      const trainer = new Trainer(model, optim, { maxTokens, maxLabels: maxTokens });
      const taken = gpu.stats.bytes - before;
      const losses: number[] = [];
      trainer.onStats = (s) => losses.push(s.loss);
      for (let i = 0; i < 5; i++) await trainer.step([batch(), batch().slice(3)], 1e-3);
      await trainer.flush();
      const trained = await model.trained.read();
      trainer.destroy();
      model.destroy();
      return { losses, trained, taken };
    };
    const whole = await run(64);
    const cut = await run(21);
    expect(cut.taken).toBeLessThan(whole.taken);
    cut.losses.forEach((loss, i) => expect(Math.abs(loss / whole.losses[i]! - 1)).toBeLessThan(1e-5));
    expect(relError(cut.trained, Float64Array.from(whole.trained))).toBeLessThan(1e-4);
  });

  it('refuse a row that is longer than a pass', async () => {
    const model = Model.create(gpu, config, weights());
    const trainer = new Trainer(model, optim, { maxTokens: 16, maxLabels: 16 });
    await expect(trainer.step([batch()], 1e-3)).rejects.toThrow(/16 tokens/);
    trainer.destroy();
    model.destroy();
  });
});
