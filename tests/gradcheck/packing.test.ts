/**
 * Rows are packed one behind the other, and attention never looks from one row into another: whatever stands beside a row, its
 * loss is its own, and the loss of a batch is the mean over all labels of its rows.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Example } from '../../src/core/types.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Model } from '../../src/model/model.ts';
import { Trainer } from '../../src/train/trainer.ts';

const VOCAB = 61;
const MOST = { rows: 6, length: 23 };
const config = parseLlamaConfig({
  model_type: 'llama',
  vocab_size: VOCAB,
  hidden_size: 24,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 6,
  rms_norm_eps: 1e-5,
  rope_theta: 100,
  tie_word_embeddings: true,
  max_position_embeddings: 32,
});

let gpu: Gpu;
let model: Model;
let trainer: Trainer;
beforeAll(async () => {
  gpu = await sharedGpu();
  const rng = new Rng('packing');
  const tensors = new Map(
    [...tensorShapes(config)].map(([name, shape]) => {
      const size = shape.reduce((a, b) => a * b);
      const data = Float32Array.from(
        { length: size },
        () => (name.includes('norm') ? 1 : 0.4) * rng.normal(),
      );
      return [name, { shape, data }];
    }),
  );
  model = Model.create(gpu, config, tensors);
  const all = MOST.rows * MOST.length;
  const optim = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0, clip: 0 } as const;
  trainer = new Trainer(model, optim, { maxTokens: all, maxLabels: all });
});
afterAll(() => {
  trainer.destroy();
  model.destroy();
  gpu.destroy();
});

const token = fc.integer({ min: 0, max: VOCAB - 1 });
/** At least one label, which counts where a token stands before it. */
const row: fc.Arbitrary<Example> = fc
  .array(fc.record({ id: token, learned: fc.boolean() }), { minLength: 2, maxLength: MOST.length })
  .map((tokens) => ({
    ids: tokens.map((t) => t.id),
    labels: tokens.map((t, i) => (t.learned || i === tokens.length - 1 ? t.id : IGNORE)),
  }));

it('packed and alone, a row has the same loss, and a batch the mean over its labels', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: MOST.rows }), async (rows) => {
      const packed = await trainer.evaluate(rows);
      let sum = 0;
      let labels = 0;
      for (const [r, one] of rows.entries()) {
        const alone = await trainer.evaluate([one]);
        const own = alone.tokenLoss[0]!;
        own.forEach((x, i) =>
          expect(Math.abs(packed.tokenLoss[r]![i]! - x)).toBeLessThanOrEqual(1e-5 * (1 + x)),
        );
        const count = one.labels.filter((l, i) => i > 0 && l !== IGNORE).length;
        sum += alone.loss * count;
        labels += count;
      }
      expect(Math.abs(packed.loss - sum / labels)).toBeLessThanOrEqual(1e-5 * (1 + packed.loss));
    }),
    { numRuns: 25, seed: 7 },
  );
});
