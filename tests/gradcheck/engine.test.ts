import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeGpu } from '../../src/cli/node-gpu.ts';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Batch, type Tensors } from '../../src/core/types.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { Model } from '../../src/model/model.ts';
import * as ref from '../../src/reference/llama.ts';
import { relError } from '../../src/selfcheck/compare.ts';
import { Trainer } from '../../src/train/trainer.ts';

const config = parseLlamaConfig({
  model_type: 'llama',
  vocab_size: 37,
  hidden_size: 33,
  intermediate_size: 17,
  num_hidden_layers: 3,
  num_attention_heads: 6,
  num_key_value_heads: 3,
  head_dim: 10,
  rms_norm_eps: 1e-3,
  rope_theta: 300,
  tie_word_embeddings: true,
  max_position_embeddings: 80,
});
const rng = new Rng('engine');
const tensors: Tensors = new Map(
  [...tensorShapes(config)].map(([name, shape]) => {
    const size = name.includes('norm') ? 1 : 0.3;
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => size * rng.normal());
    return [name, { shape, data }];
  }),
);
const batch: Batch = [1, 7, 65, 3].map((length) => {
  const ids = Array.from({ length }, () => rng.int(config.vocab_size));
  return { ids, labels: ids.map((id, i) => (i % 3 === 2 ? IGNORE : id)) };
});
const tokens = 76;
const optim = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0, clip: 0 } as const;

describe.each([
  ['with the kernels that the adapter gets', {}],
  ['without subgroups', { force: { subgroups: false } as const }],
])('the engine against the reference on awkward sizes, %s', (_, options) => {
  let gpu: Gpu;
  let model: Model;
  let trainer: Trainer;

  beforeAll(async () => {
    gpu = await openGpu({ gpu: await nodeGpu(), ...options });
    model = Model.create(gpu, config, tensors);
    trainer = new Trainer(model, optim, { maxTokens: tokens, maxLabels: tokens, taps: true });
  });
  afterAll(() => {
    trainer.destroy();
    model.destroy();
    gpu.destroy();
  });

  const params = ref.toParams(tensors);
  async function expectGradients(expected: ref.Params): Promise<void> {
    for (const [name, { data }] of trainer.grads.tensors(await trainer.grads.read()))
      expect(relError(data, expected.get(name)!), name).toBeLessThan(2e-5);
  }

  it('gradients, alone and accumulated over micro-batches', async () => {
    const micro = [batch.slice(0, 2), batch.slice(2)];
    const expected = ref.gradient(config, params, [batch]);
    for (const parts of [[batch], micro]) {
      const { loss, gradNorm } = await trainer.gradient(parts);
      expect(Math.abs(loss / expected.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(gradNorm / expected.gradNorm - 1)).toBeLessThan(1e-5);
      await expectGradients(expected.grads);
    }
  });

  it('gradients injected at the taps are those of a further loss there', async () => {
    const width = tokens * config.hidden_size;
    const values = (): Float32Array => Float32Array.from({ length: width }, () => 0.01 * rng.normal());
    const f = ref.forward(config, params, batch);
    for (const site of ['attn', 'hidden'] as const) {
      const inject = [undefined, values(), undefined];
      trainer.writeTap(site, 'inject', 1, inject[1]);
      await trainer.gradient([batch]);
      const as64 = inject.map((x) => x && Float64Array.from(x));
      await expectGradients(ref.backward(config, params, f, 1 / f.labels, { [site]: as64 }).grads);
      trainer.writeTap(site, 'inject', 1);
    }
  });
});
