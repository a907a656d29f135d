import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { LabError } from '../../src/core/errors.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Batch, type Tensors } from '../../src/core/types.ts';
import { narrowWords, widenWords } from '../../src/files/dtypes.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Generator } from '../../src/model/generate.ts';
import { Adapter, LORA_TARGETS } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { Trainer } from '../../src/train/trainer.ts';

/** Rows, tensors and groups of odd length: a word straddles two rows, two tensors, and ends a group half full. */
const config = parseLlamaConfig({
  model_type: 'llama',
  vocab_size: 37,
  hidden_size: 33,
  intermediate_size: 17,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 3,
  head_dim: 10,
  rms_norm_eps: 1e-3,
  rope_theta: 300,
  tie_word_embeddings: false,
  max_position_embeddings: 40,
});
const rng = new Rng('frozen');
const tensors: Tensors = new Map(
  [...tensorShapes(config)].map(([name, shape]) => {
    const size = name.includes('norm') ? 1 : 0.3;
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => size * rng.normal());
    return [name, { shape, data }];
  }),
);
const batch: Batch = [1, 7, 21].map((length) => {
  const ids = Array.from({ length }, () => rng.int(config.vocab_size));
  return { ids, labels: ids.map((id, i) => (i % 3 === 2 ? IGNORE : id)) };
});
const tokens = 29;
const optim = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0, clip: 0 } as const;

describe.each([
  ['with the kernels that the adapter gets', {}],
  ['without subgroups', { subgroups: false as const }],
  // the embedding alone has 1221 numbers
  ['in several buffers', { maxBufferSize: 40_000 }],
])('weights stored in 16 bits, %s', (_, force) => {
  let gpu: Gpu;
  /** The same kernels with room for the f32 weights. */
  let roomy: Gpu;
  beforeAll(async () => {
    gpu = await sharedGpu(force);
    roomy = await sharedGpu('subgroups' in force ? { subgroups: force.subgroups } : {});
  });
  afterAll(() => {
    gpu.destroy();
    roomy.destroy();
  });

  it.each(['f16', 'bf16'] as const)(
    '%s: all is as with the rounded weights in f32, bit for bit',
    async (stored) => {
      const rounded: Tensors = new Map(
        [...tensors].map(([name, { shape, data }]) => {
          const after = widenWords(narrowWords(name, data, stored), stored);
          return [name, { shape, data: shape.length > 1 ? after : data }];
        }),
      );
      const before = gpu.stats.bytes;
      const [wide, half] = [Model.create(roomy, config, rounded), Model.create(gpu, config, tensors, stored)];
      expect(await half.readTensors()).toEqual(rounded);

      const results = [];
      for (const model of [wide, half]) {
        const adapter = new Adapter(model.gpu, config, { r: 3, alpha: 4, targets: LORA_TARGETS });
        const values = new Rng('adapter');
        adapter.params.write(
          Float32Array.from({ length: adapter.params.layout.length }, () => 0.2 * values.normal()),
        );
        const adapted = model.with(adapter);
        const trainer = new Trainer(adapted, optim, { maxTokens: tokens, maxLabels: tokens, taps: true });
        const generator = new Generator(adapted, { maxSeqs: 2, maxLen: 20 });
        const push = Float32Array.from({ length: tokens * config.hidden_size }, () => 0.1 * values.normal());
        trainer.writeTap('attn', 'pert', 0, push);
        trainer.writeTap('hidden', 'inject', 0, push);
        const logits = await trainer.logits(batch);
        const loss = await trainer.gradient([batch]);
        const grads = await trainer.grads.read();
        const tap = await trainer.readTap('hidden', 'grad', 0, tokens);
        await trainer.step([batch], 1e-2);
        await trainer.flush();
        const text = await generator.generate([[3, 5, 7], [1]], {
          maxNewTokens: 12,
          eos: -1,
          topAlternatives: 2,
        });
        results.push({ logits, loss, grads, tap, after: await adapter.params.read(), text });
        generator.destroy();
        trainer.destroy();
        adapter.destroy();
      }
      expect(results[1]).toEqual(results[0]);
      expect(results[0]!.grads.some((g) => g !== 0)).toBe(true);
      expect(await half.readTensors()).toEqual(rounded);
      wide.destroy();
      half.destroy();
      expect(gpu.stats.bytes).toBe(before);
    },
  );

  it('cannot be trained or replaced, and say what to do', () => {
    const model = Model.create(gpu, config, tensors, 'f16');
    const before = gpu.stats.bytes;
    const refused = (work: () => unknown): LabError => {
      try {
        work();
      } catch (error) {
        if (error instanceof LabError) return error;
      }
      throw new Error('not refused');
    };
    for (const work of [
      () => new Trainer(model, optim, { maxTokens: 8, maxLabels: 8 }),
      () => model.writeTensors(tensors),
    ]) {
      const error = refused(work);
      expect(error.code).toBe('bad-input');
      expect(error.message).toMatch(/frozen: they are stored in f16/);
      expect(error.next).toMatch(/Train an adapter .* or load the model in f32/);
    }
    expect(gpu.stats.bytes).toBe(before);
    model.destroy();
  });
});
