import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { addLora, loraGradients, to64 } from '../support/reference-run.ts';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Batch, type Tensors } from '../../src/core/types.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Adapter, LORA_TARGETS } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import type { RowScore } from '../../src/model/batch.ts';
import * as ref from '../../src/reference/llama.ts';
import * as preference from '../../src/reference/preference.ts';
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
  ['without subgroups', { subgroups: false } as const],
])('the engine against the reference on awkward sizes, %s', (_, force) => {
  let gpu: Gpu;
  let model: Model;
  let trainer: Trainer;

  beforeAll(async () => {
    gpu = await sharedGpu(force);
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

  it('gradients of weighted rows, and with weight 1 the same bits as without', async () => {
    const weighted = batch.map((row, r) => ({ ...row, weight: [0.3, -2, 1.7, 0][r]! }));
    const expected = ref.gradient(config, params, [weighted]);
    for (const parts of [[weighted], [weighted.slice(0, 2), weighted.slice(2)]]) {
      const { loss, gradNorm } = await trainer.gradient(parts);
      expect(Math.abs(loss / expected.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(gradNorm / expected.gradNorm - 1)).toBeLessThan(1e-5);
      await expectGradients(expected.grads);
    }
    const plain = await trainer.gradient([batch]);
    const grads = await trainer.grads.read();
    expect(await trainer.gradient([batch.map((row) => ({ ...row, weight: 1 }))])).toEqual(plain);
    expect(await trainer.grads.read()).toEqual(grads);
  });

  it('gradients of a loss of the rows, in one pass and in several', async () => {
    const pairs = batch.slice(1);
    const scores = preference.rowScores(ref.forward(config, params, pairs));
    const slopes = [0.7, -0.2, 1.3];
    const weighted = pairs.map((row, r) => ({ ...row, weight: -slopes[r]! }));
    const expected = ref.backward(config, params, ref.forward(config, params, weighted), 1).grads;
    const small = new Trainer(model, optim, { maxTokens: 65, maxLabels: 65 });
    try {
      for (const own of [trainer, small]) {
        const passes = vi.fn((got: readonly RowScore[]) => {
          got.forEach(({ logp, labels }, r) => {
            expect(labels).toBe(scores[r]!.labels);
            expect(Math.abs(logp / scores[r]!.logp - 1)).toBeLessThan(1e-5);
          });
          return slopes;
        });
        await own.accumulateFrom(pairs, passes);
        expect(passes).toHaveBeenCalledOnce();
        for (const [name, { data }] of own.grads.tensors(await own.grads.read()))
          expect(relError(data, expected.get(name)!), name).toBeLessThan(2e-5);
      }
    } finally {
      small.destroy();
    }
    await expect(trainer.scores([...pairs, { ids: [1, 2], labels: [1, IGNORE] }])).rejects.toThrow(
      /no token/,
    );
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

  it('gradients of an adapter on top of a frozen one, of weighted rows, are those of the merged weights, by the chain rule', async () => {
    const below = { r: 3, alpha: 4, targets: ['q_proj', 'v_proj', 'gate_proj', 'down_proj'] as const };
    const above = { r: 2, alpha: 6, targets: LORA_TARGETS };
    const adapters = [below, above].map((lora) => {
      const adapter = new Adapter(gpu, config, lora);
      adapter.params.write(
        Float32Array.from({ length: adapter.params.layout.length }, () => 0.2 * rng.normal()),
      );
      return adapter;
    });
    const [first, second] = (await Promise.all(adapters.map(async (a) => to64(await a.readTensors())))) as [
      ref.Params,
      ref.Params,
    ];
    const merged = ref.toParams(tensors);
    addLora(config, merged, below, first);
    addLora(config, merged, above, second);
    const weighted = batch.map((row, r) => ({ ...row, weight: 1 - 0.6 * r }));
    const full = ref.gradient(config, merged, [weighted]);
    const expected = loraGradients(config, above, second, full.grads);
    const own = new Trainer(model.with(...adapters), optim, { maxTokens: tokens, maxLabels: tokens });
    try {
      const { loss } = await own.gradient([weighted.slice(0, 2), weighted.slice(2)]);
      expect(Math.abs(loss / full.loss - 1)).toBeLessThan(1e-5);
      const grads = own.grads.tensors(await own.grads.read());
      expect([...grads.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [name, { data }] of grads)
        expect(relError(data, expected.get(name)!), name).toBeLessThan(2e-5);
    } finally {
      own.destroy();
      for (const adapter of adapters) adapter.destroy();
    }
  });

  it('a step on an adapter leaves the weights and the adapter below as they were, bit for bit', async () => {
    const [below, above] = [1, 2].map((seed) => {
      const adapter = new Adapter(gpu, config, { r: 4, alpha: 8, targets: LORA_TARGETS });
      adapter.initialise(seed);
      return adapter;
    }) as [Adapter, Adapter];
    const own = new Trainer(model.with(below, above), optim, { maxTokens: tokens, maxLabels: tokens });
    try {
      const before = await Promise.all([model.params.read(), below.params.read(), above.params.read()]);
      await own.step([batch], 1e-2);
      await own.flush();
      expect(await model.params.read()).toEqual(before[0]);
      expect(await below.params.read()).toEqual(before[1]);
      expect(await above.params.read()).not.toEqual(before[2]);
    } finally {
      own.destroy();
      for (const adapter of [below, above]) adapter.destroy();
    }
  });
});
