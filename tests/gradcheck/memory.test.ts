/** What spares memory must not change results: logits in pieces, tensors in spans, layers computed again. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { long } from '../support/long.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig, tensorShapes, type LlamaConfig } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Batch, type Tensors } from '../../src/core/types.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { trainingBytes } from '../../src/model/bytes.ts';
import { Generator } from '../../src/model/generate.ts';
import { logitsPiece } from '../../src/model/head.ts';
import { Adapter, LORA_TARGETS } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import * as ref from '../../src/reference/llama.ts';
import { relError } from '../../src/selfcheck/compare.ts';
import { Trainer, type TrainerCapacity } from '../../src/train/trainer.ts';

const VOCAB = 301;
const shape = (o: Record<string, unknown> = {}): LlamaConfig =>
  parseLlamaConfig({
    model_type: 'llama',
    vocab_size: VOCAB,
    hidden_size: 24,
    intermediate_size: 20,
    num_hidden_layers: 3,
    num_attention_heads: 6,
    num_key_value_heads: 3,
    head_dim: 10,
    rms_norm_eps: 1e-3,
    rope_theta: 300,
    tie_word_embeddings: true,
    max_position_embeddings: 80,
    ...o,
  });
const optim = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.01, clip: 1 } as const;

function weights(config: LlamaConfig): Tensors {
  const rng = new Rng('memory');
  return new Map(
    [...tensorShapes(config)].map(([name, shape]) => {
      const size = name.includes('norm') ? 1 : 0.3;
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => size * rng.normal());
      return [name, { shape, data }];
    }),
  );
}

/** Rows of the given lengths; labels all over the vocabulary, its first and last column among them. */
function rowsOf(lengths: readonly number[], vocab: number): Batch {
  const rng = new Rng('rows');
  return lengths.map((length) => {
    const ids = Array.from({ length }, () => rng.int(vocab));
    const label = (id: number, i: number): number =>
      i % 3 === 2 ? IGNORE : i % 5 === 0 ? 0 : i % 7 === 0 ? vocab - 1 : id;
    return { ids, labels: ids.map(label) };
  });
}

const bits = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);

describe.each([
  ['with the kernels that the adapter gets', {}],
  ['without subgroups', { subgroups: false } as const],
])('%s', (_, family) => {
  // Without subgroups a software driver takes minutes for these.
  const whole = 'subgroups' in family ? long : it;
  let gpu: Gpu;
  const errors: Error[] = [];
  beforeAll(async () => {
    gpu = await sharedGpu(family);
    gpu.onError = (error) => errors.push(error);
  });
  afterAll(() => {
    expect(errors).toEqual([]);
    expect(gpu.stats.bytes).toBe(0);
    gpu.destroy();
  });

  /** Trains a fresh model and reads what came out. */
  async function train(
    config: LlamaConfig,
    micro: Batch[],
    o: { on?: Gpu; steps: number; capacity: TrainerCapacity; adapters?: boolean },
  ) {
    const on = o.on ?? gpu;
    const base = Model.create(on, config, weights(config));
    const rng = new Rng('adapters');
    const adapters = !o.adapters
      ? []
      : (['q_proj', 'down_proj'] as const).map((target, i) => {
          const targets = i === 0 ? [target] : LORA_TARGETS;
          const adapter = new Adapter(on, config, { r: 2, alpha: 4, targets });
          const { length } = adapter.params.layout;
          adapter.params.write(Float32Array.from({ length }, () => 0.2 * rng.normal()));
          return adapter;
        });
    const model = base.with(...adapters);
    const trainer = new Trainer(model, optim, o.capacity);
    try {
      const first = await trainer.gradient(micro);
      const grads = trainer.grads.tensors(await trainer.grads.read());
      const losses: number[] = [];
      trainer.onStats = (s) => losses.push(s.loss);
      // a larger rate would show how AdamW turns the rounding of a tiny gradient into a full step
      for (let i = 0; i < o.steps; i++) await trainer.step(micro, 1e-3);
      await trainer.flush();
      const { loss } = await trainer.evaluate(micro[0]!);
      const [logits] = await trainer.logits([micro[0]![0]!]);
      return { first, grads, losses, loss, logits: logits!, weights: await model.trained.read() };
    } finally {
      trainer.destroy();
      for (const adapter of adapters) adapter.destroy();
      base.destroy();
    }
  }

  whole(
    'logits in pieces of rows and vocabulary give the gradient of the reference, of weighted rows, and the same training',
    async () => {
      const batch = rowsOf([3, 70, 65, 9], VOCAB).map((row, r) => ({ ...row, weight: 1 - 0.3 * r }));
      for (const tie_word_embeddings of [true, false]) {
        const config = shape({ tie_word_embeddings });
        const expected = ref.gradient(config, ref.toParams(weights(config)), [batch]);
        const room = { maxTokens: 147, maxLabels: 147 };
        const whole = await train(config, [batch], { steps: 4, capacity: room });
        const pieces = [{ vocab: 48 }, { rows: 64 }, { rows: 64, vocab: 112 }];
        for (const logits of tie_word_embeddings ? pieces : pieces.slice(2)) {
          const cut = await train(config, [batch], { steps: 4, capacity: { ...room, logits } });
          expect(Math.abs(cut.first.loss / expected.loss - 1)).toBeLessThan(1e-5);
          expect(Math.abs(cut.first.gradNorm / expected.gradNorm - 1)).toBeLessThan(1e-5);
          for (const [name, { data }] of cut.grads)
            expect(relError(data, expected.grads.get(name)!), name).toBeLessThan(2e-5);
          cut.losses.forEach((loss, i) => expect(Math.abs(loss / whole.losses[i]! - 1)).toBeLessThan(1e-5));
          expect(Math.abs(cut.loss / whole.loss - 1)).toBeLessThan(1e-5);
          expect(relError(cut.logits, whole.logits)).toBeLessThan(1e-4);
          expect(relError(cut.weights, whole.weights)).toBeLessThan(1e-5);
        }
      }
    },
  );

  it.each([
    ['in the first columns', 0],
    ['in the last column', VOCAB - 1],
  ])('a single label %s', async (_where, label) => {
    const config = shape();
    const batch: Batch = [{ ids: [1, 2, 3], labels: [IGNORE, IGNORE, label] }];
    const expected = ref.gradient(config, ref.toParams(weights(config)), [batch]);
    const capacity = { maxTokens: 16, maxLabels: 16, logits: { vocab: 64 } };
    const cut = await train(config, [batch], { steps: 0, capacity });
    expect(Math.abs(cut.first.loss / expected.loss - 1)).toBeLessThan(1e-5);
    for (const [name, { data }] of cut.grads)
      expect(relError(data, expected.grads.get(name)!), name).toBeLessThan(2e-5);
  });

  it.each([
    ['first', 5],
    ['middle', 150],
    ['last', VOCAB - 1],
  ])(
    'a logit that is not finite in the %s columns stops the run, and nothing is written',
    async (_where, id) => {
      const config = shape({ tie_word_embeddings: false });
      const tensors = weights(config);
      tensors.get('lm_head.weight')!.data.fill(3e38, id * 24, (id + 1) * 24);
      const model = Model.create(gpu, config, tensors);
      const trainer = new Trainer(model, optim, { maxTokens: 16, maxLabels: 16, logits: { vocab: 64 } });
      try {
        const before = await model.params.read();
        await trainer.step([rowsOf([9], 5)], 1e-2);
        await expect(trainer.flush()).rejects.toThrow(/Step 1 gave a number that is not finite/);
        expect(bits(await model.params.read())).toEqual(bits(before));
      } finally {
        trainer.destroy();
        model.destroy();
      }
    },
  );

  whole(
    'a layer computed again gives the same bits: all weights, a stack of adapters, taps, several batches',
    async () => {
      const config = shape();
      const micro = [rowsOf([3, 40], VOCAB), rowsOf([31, 9], VOCAB)];
      for (const adapters of [false, true])
        for (const taps of [false, true]) {
          const room = { maxTokens: 43, maxLabels: 43, taps };
          const kept = await train(config, micro, { steps: 3, capacity: room, adapters });
          const again = await train(config, micro, {
            steps: 3,
            capacity: { ...room, checkpoint: true },
            adapters,
          });
          expect(again.losses).toEqual(kept.losses);
          expect(again.losses[2]).not.toBe(again.losses[0]);
          expect(bits(again.weights)).toEqual(bits(kept.weights));
        }
    },
  );

  whole('tensors longer than a binding of 1 MiB: same training, same text', async () => {
    const big = shape({ vocab_size: 11_003, tie_word_embeddings: false });
    const most = 2 ** 20;
    const small = await sharedGpu({ ...family, maxStorageBufferBindingSize: most });
    small.onError = (error) => errors.push(error);
    try {
      for (const config of [big, { ...big, tie_word_embeddings: true }]) {
        expect(config.vocab_size * config.hidden_size * 4).toBeGreaterThan(most);
        const micro = [rowsOf([9, 5], config.vocab_size), rowsOf([7], config.vocab_size)];
        const capacity = { maxTokens: 14, maxLabels: 14 };
        const whole = await train(config, micro, { steps: 3, capacity });
        const cut = await train(config, micro, { on: small, steps: 3, capacity });
        cut.losses.forEach((loss, i) => expect(Math.abs(loss / whole.losses[i]! - 1)).toBeLessThan(1e-5));
        expect(relError(cut.weights, whole.weights)).toBeLessThan(1e-5);
        expect(relError(cut.logits, whole.logits)).toBeLessThan(1e-4);
        expectSameText(await say(small, config), await say(gpu, config));
      }
      expect(small.stats.bytes).toBe(0);
    } finally {
      small.destroy();
    }
  });

  /** Greedy with alternatives, and drawn. */
  async function say(on: Gpu, config: LlamaConfig, logits?: { rows?: number; vocab?: number }) {
    const model = Model.create(on, config, weights(config));
    const generator = new Generator(model, { maxSeqs: 3, maxLen: 30, ...(logits && { logits }) });
    const prompts = [[1, 2, 3], [4, 5, 6, 7, 8], [config.vocab_size - 1]];
    try {
      const shared = { maxNewTokens: 10, eos: -1, seed: 5, topAlternatives: 3 };
      const greedy = await generator.generate(prompts, { ...shared, temperature: 0 });
      const drawn = await generator.generate(prompts, { ...shared, temperature: 1 });
      const chances = [...greedy, ...drawn].flat().flatMap((token) => [token, ...token.top]);
      return { ids: chances.map((c) => c.id), logprobs: Float32Array.from(chances, (c) => c.logprob) };
    } finally {
      generator.destroy();
      model.destroy();
    }
  }

  function expectSameText(a: Awaited<ReturnType<typeof say>>, b: Awaited<ReturnType<typeof say>>): void {
    expect(a.ids).toEqual(b.ids);
    a.logprobs.forEach((x, i) => expect(Math.abs(x - b.logprobs[i]!)).toBeLessThan(1e-4));
  }

  it('text from logits in pieces is the text from whole ones', async () => {
    const config = shape();
    const whole = await say(gpu, config);
    expectSameText(await say(gpu, config, { vocab: 16 }), whole);
    expect(new Set(whole.ids).size).toBeGreaterThan(10);
  });

  it('49152 tokens to choose from, 512 labels: no [tokens, vocabulary] on the GPU', () => {
    const config = shape({ vocab_size: 49_152, num_hidden_layers: 2, max_position_embeddings: 512 });
    const bindingBytes = gpu.info.limits.maxStorageBufferBindingSize;
    const room = { maxTokens: 512, maxRows: 512 };
    const model = Model.create(gpu, config, weights(config));
    try {
      for (const checkpoint of [false, true]) {
        const before = gpu.stats.bytes;
        const trainer = new Trainer(model, optim, { maxTokens: 512, maxLabels: 512, checkpoint });
        const sets = 3 * trainer.grads.buffer.size;
        const beside = gpu.stats.bytes - before - sets;
        const dispatches = trainer.dispatchesPerStep;
        trainer.destroy();
        const parts = trainingBytes(config, room, { checkpoint, adapters: [], bindingBytes });
        const planned = Object.values(parts).reduce((a, b) => a + b, 0);
        expect(beside).toBeLessThan(0.6 * 512 * config.vocab_size * 4);
        expect(beside).toBeGreaterThanOrEqual(planned);
        // what the plan leaves out: 256 bytes of sizes per dispatch (also those of scoring), the partial norms, rounding
        expect(beside - planned).toBeLessThan(2 * 256 * dispatches + 16 * (sets / 3 / 4 / 4096) + 4096);
      }
    } finally {
      model.destroy();
    }
  });
});

describe('the size of a piece of logits', () => {
  const MiB = 2 ** 20;
  it.each([
    // vocabulary, hidden, rows, binding -> rows, columns
    [397, 96, 1024, 128 * MiB, 1024, 397],
    [49_152, 576, 512, 128 * MiB, 128, 49_152],
    [128_256, 2048, 512, 2048 * MiB, 64, 128_256],
    [128_256, 2048, 512, 128 * MiB, 512, 16_384],
    [128_256, 2048, 8, 1024 * MiB, 8, 128_256],
    [49_152, 576, 512, MiB, 512, 454],
  ])('%i x %i, %i rows, %i bytes', (vocab_size, hidden_size, maxRows, binding, rows, vocab) => {
    expect(logitsPiece({ vocab_size, hidden_size }, maxRows, binding)).toEqual({ rows, vocab });
  });
});
