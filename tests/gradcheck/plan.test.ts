import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import type { Settings } from '../../src/core/settings.ts';
import type { Tensors } from '../../src/core/types.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Generator } from '../../src/model/generate.ts';
import { Adapter } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { DEFAULT_LORA, plan, type PlanRequest } from '../../src/model/plan.ts';
import { tapSets } from '../../src/model/taps.ts';
import { recipe } from '../../src/recipes/index.ts';
import { roomWith } from '../../src/recipes/prepare.ts';
import { settle, type StepMaker } from '../../src/recipes/recipe.ts';
import { Trainer } from '../../src/train/trainer.ts';

const config = parseLlamaConfig({
  model_type: 'llama',
  vocab_size: 3000,
  hidden_size: 144,
  intermediate_size: 400,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  tie_word_embeddings: false,
  max_position_embeddings: 256,
});
const tensors: Tensors = new Map(
  [...tensorShapes(config)].map(([name, shape]) => [
    name,
    { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) },
  ]),
);
const optim = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0, clip: 0 } as const;
const lora = { method: 'lora', adapters: [DEFAULT_LORA], context: 64, batch: 2, answers: 0 } as const;
/** Largest distance between plan and allocation, as a share of the allocation. */
const BOUND = 0.02;

describe.each([
  ['with the limits of the adapter', {}],
  ['with bindings of 1 MiB', { maxStorageBufferBindingSize: 2 ** 20 }],
])('the memory plan is what the engine allocates, %s', (_, force) => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await sharedGpu(force);
  });
  afterAll(() => gpu.destroy());

  it.each<[string, PlanRequest]>([
    ['all weights', { ...lora, method: 'full', precision: 'f32' }],
    ['LoRA on f32', { ...lora, precision: 'f32' }],
    ['LoRA on bf16, checkpointing', { ...lora, precision: 'bf16', checkpoint: true }],
    [
      'two adapters on f16, one row, few labels, answers',
      {
        ...lora,
        adapters: [DEFAULT_LORA, { r: 4, alpha: 4, targets: ['q_proj', 'down_proj'] }],
        precision: 'f16',
        batch: 1,
        labels: 16,
        answers: 3,
      },
    ],
    ['answers only', { ...lora, adapters: [], method: 'none', precision: 'f16', answers: 4 }],
  ])('%s', (_name, request) => {
    const before = gpu.stats.bytes;
    const model = Model.create(gpu, config, tensors, request.precision);
    const adapters =
      request.method === 'full' ? [] : request.adapters!.map((a) => new Adapter(gpu, config, a));
    const used = model.with(...adapters);
    const tokens = request.batch * request.context;
    const trainer =
      request.method === 'none'
        ? undefined
        : new Trainer(used, optim, {
            maxTokens: tokens,
            maxLabels: request.labels ?? tokens,
            checkpoint: request.checkpoint === true,
          });
    const generator =
      request.answers > 0
        ? new Generator(used, { maxSeqs: request.answers, maxLen: request.context })
        : undefined;
    const allocated = gpu.stats.bytes - before;
    const { total, problems } = plan(config, request, gpu.info.limits);
    generator?.destroy();
    trainer?.destroy();
    for (const adapter of adapters) adapter.destroy();
    model.destroy();
    expect(problems).toEqual([]);
    expect(Math.abs(total - allocated) / allocated).toBeLessThan(BOUND);
    expect(gpu.stats.bytes).toBe(before);
  });

  /** Of what a recipe keeps beside an ordinary trainer: sets as large as what is trained, and outputs of all layers. */
  const KEEPS: readonly [string, Settings, { sets: number; layerSets: number }][] = [
    ['booster', {}, { sets: 2, layerSets: 0 }],
    ['booster', { method: 'lora' }, { sets: 2, layerSets: 0 }],
    ['t-vaccine', {}, { sets: 0, layerSets: 1 }],
    ['t-vaccine', { vaccine: true }, { sets: 0, layerSets: 1 }],
    ['t-vaccine', { method: 'lora' }, { sets: 0, layerSets: 1 }],
    // hidden states and what is injected there, and the reference's
    ['tar', { inner: 'adamw' }, { sets: 5, layerSets: 3 }],
    ['tar', { inner: 'sgd' }, { sets: 3, layerSets: 3 }],
    ['tar', { method: 'lora' }, { sets: 5, layerSets: 3 }],
  ];
  it.each(KEEPS)('what %s %j keeps beside it', async (id, own, keeps) => {
    const r = recipe(id);
    const settings = settle(r, own);
    const { lora: form, optim } = r.plan(settings);
    const needs = r.needs!(settings);
    const cap = { maxTokens: lora.batch * lora.context, maxLabels: lora.batch * lora.context };
    const before = gpu.stats.bytes;
    const model = Model.create(gpu, config, tensors);
    const adapter = form ? new Adapter(gpu, config, form) : null;
    const used = adapter ? model.with(adapter) : model;
    const plain = new Trainer(used, optim, cap);
    const usual = plain.bytes;
    plain.destroy();
    const trainer = new Trainer(used, optim, roomWith(needs, cap));
    const bare = gpu.stats.bytes;
    const { open } = r.step as StepMaker;
    const opened = await open(trainer, settings);
    const extra = trainer.bytes - usual + gpu.stats.bytes - bare;
    const total = gpu.stats.bytes - before;
    opened.close();
    trainer.destroy();
    adapter?.destroy();
    model.destroy();
    expect(gpu.stats.bytes).toBe(before);
    // exactly so many: what is left are uniforms of programs, and TAR's distances of rows
    const layerSet = config.num_hidden_layers * cap.maxTokens * config.hidden_size * 4;
    const wanted = keeps.sets * used.trained.bytes + keeps.layerSets * layerSet;
    expect(extra).toBeGreaterThanOrEqual(wanted);
    expect(extra - wanted).toBeLessThan(Math.min(layerSet, used.trained.bytes) / 4);
    // and so it is declared, and stands in the plan before the start
    expect(needs.copies ?? 0).toBe(keeps.sets);
    expect((needs.layerSets ?? 0) + tapSets(needs.taps)).toBe(keeps.layerSets);
    const planned = plan(
      config,
      {
        ...lora,
        ...(form ? { adapters: [form] } : { method: 'full' as const }),
        precision: 'f32',
        own: { copies: keeps.sets, layerSets: keeps.layerSets },
      },
      gpu.info.limits,
    );
    expect(Math.abs(planned.total - total) / total).toBeLessThan(BOUND);
  });
});
