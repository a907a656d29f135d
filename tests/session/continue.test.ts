/** 'Continue the same adapter': a run that trains its parent's own adapter on, through the worker's service. */
import 'fake-indexeddb/auto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { Adapter, LORA_TARGETS, type LoraConfig } from '../../src/model/lora.ts';
import { peftConfigJson } from '../../src/model/peft.ts';
import { writeSafetensors } from '../../src/model/safetensors.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { attackId, GREEDY, type LabNode, type TrainParams } from '../../src/worker/protocol.ts';
import { buildModel } from '../../src/worker/stored-model.ts';
import { checkpoint, type Files } from '../support/checkpoint.ts';
import { promptsFile, sourceOf } from './files.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { Page } from './page.ts';

const OPTIM = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0, clip: 1 } as const;

const DATABASE = 'continue-test';
let gpu: GPU;
/** One for all tests: a device compiles its pipelines once. */
let page: Page;
let prompts: string;
let base: LabNode;
let defended: LabNode;
let attacked: LabNode;

async function open(): Promise<void> {
  page = new Page(gpu, DATABASE);
  await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
}

beforeAll(async () => {
  gpu = await pageGpu();
  await open();
  prompts = (await page.ask('keepPrompts', promptsFile())).id;
  base = await page.ask('openModel', { source: sourceOf(checkpoint()) });
  defended = await train(params(base.id, 'sdd'));
  attacked = await train(params(defended.id, 'mft'));
});
afterAll(() => page.die());

const params = (parentNodeId: string, recipe: string, more: Partial<TrainParams> = {}): TrainParams => ({
  parentNodeId,
  recipe,
  settings: { batch: 2, ...(recipe === 'sdd' && { replay: 0 }) },
  seed: 3,
  saveAt: [3],
  probeEvery: 0,
  prompts,
  ...(recipe === 'mft' && { confirmed: attackId(parentNodeId, prompts) }),
  ...more,
});

async function train(wanted: TrainParams): Promise<LabNode> {
  const { id } = await page.ask('train', wanted);
  expect(await page.until(id, 'finished', 'failed')).toMatchObject({ state: 'finished', error: null });
  return (await page.ask('nodes', {})).find((n) => n.runId === id)!;
}

async function answer(node: LabNode) {
  const sampling = { ...GREEDY, maxNewTokens: 6 };
  const [said] = await page.ask('generate', { nodeIds: [node.id], prompt: 'open the amber vault', sampling });
  return { ...said!, nodeId: '' };
}

async function exported(node: LabNode): Promise<Files> {
  const { files } = await page.ask('exportNode', { nodeId: node.id, dtype: 'F32', confirm: node.name });
  return Object.fromEntries(files.map(({ name, bytes }) => [name, new Uint8Array(bytes)]));
}

const adapterOf = (files: Files): Files =>
  Object.fromEntries(Object.entries(files).filter(([name]) => name.startsWith('adapter_')));

it('an untrained adapter that is continued becomes what a run trains straight through, bit for bit', async () => {
  const { gpu } = page.service.ctx;
  const lora: LoraConfig = { r: 8, alpha: 16, targets: LORA_TARGETS };
  const fresh = new Adapter(gpu, parseLlamaConfig(base.modelConfig), lora);
  // as a run of this recipe and seed begins
  fresh.initialise('sdd/3');
  const weights = writeSafetensors(await fresh.readTensors(), 'F32');
  fresh.destroy();
  const files = {
    'adapter_config.json': JSON.stringify(peftConfigJson(lora)),
    'adapter_model.safetensors': weights,
  };
  const untrained = await page.ask('bringBack', { nodeId: base.id, source: sourceOf(files) });
  const continued = await train(params(untrained.id, 'sdd', { continues: true }));
  expect(continued).toMatchObject({ parentId: untrained.id, continues: true, lora, steps: 3 });
  expect(continued.dataDigest).toBe(defended.dataDigest);
  expect(continued.weightsDigest).toBe(defended.weightsDigest);
  expect(continued.weightsDigest).not.toBe(untrained.weightsDigest);
  expect(await answer(continued)).toEqual(await answer(defended));
});

it('begins at the logits of its parent, and nothing below it is touched', async () => {
  const { models, ctx } = page.service;
  const stored = await models.read(attacked);
  const batch = [{ ids: [1, 2, 3, 4, 5], labels: [-100, 2, 3, 4, 5] }];
  const bits = async (model: { readTensors(): Promise<Map<string, { data: Float32Array }>> }) =>
    [...(await model.readTensors()).values()].map(({ data }) => [...new Uint32Array(data.slice().buffer)]);
  const on = <T>(continues: boolean, work: (trainer: Trainer) => Promise<T>): Promise<T> =>
    models
      .on(stored, false, (base) => {
        const train = { lora: attacked.lora as LoraConfig, seed: 'other', continues };
        const built = buildModel(ctx.gpu, stored, base, continues ? train : undefined);
        return { built, trainer: new Trainer(built.model, OPTIM, { maxTokens: 5, maxLabels: 5 }) };
      })
      .then(async ({ built, trainer }) => {
        try {
          return await work(trainer);
        } finally {
          trainer.destroy();
          built.destroy();
        }
      });
  const before = await on(false, (trainer) => trainer.logits(batch));
  await on(true, async (trainer) => {
    expect(trainer.model.adapters).toHaveLength(2);
    expect(await trainer.logits(batch)).toEqual(before);
    const [lower, own] = trainer.model.adapters as [Adapter, Adapter];
    const frozen = [await bits(trainer.model), await bits(lower)];
    const started = await bits(own);
    for (let i = 0; i < 3; i++) await trainer.step([batch], 1e-2);
    await trainer.flush();
    expect([await bits(trainer.model), await bits(lower)]).toEqual(frozen);
    expect(await bits(own)).not.toEqual(started);
  });
});

it('stands in the place of its parent, and leaves the lab as that one adapter', async () => {
  const told = [await answer(defended), await answer(attacked)];
  const once = await train(params(attacked.id, 'mft', { continues: true, seed: 4 }));
  const twice = await train(params(once.id, 'bft', { continues: true, seed: 5 }));
  // the parents are as they were
  expect([await answer(defended), await answer(attacked)]).toEqual(told);
  expect(once.weightsDigest).not.toBe(attacked.weightsDigest);
  for (const node of [once, twice]) {
    const { adapters } = await page.service.models.read(node);
    expect(adapters).toHaveLength(2);
    const files = await exported(node);
    const source = sourceOf(adapterOf(files), 'again');
    // on what the adapter stands on, not on what it was continued from
    const back = await page.ask('bringBack', { nodeId: defended.id, source });
    expect(back.weightsDigest).toBe(node.weightsDigest);
    expect(await answer(back)).toEqual(await answer(node));
    expect(files['model.safetensors']).toEqual((await exported(back))['model.safetensors']);
  }
  // what an attack made leaves by name only, whatever was trained on it since
  await expect(page.ask('exportNode', { nodeId: twice.id, dtype: 'F32' })).rejects.toMatchObject({
    code: 'bad-input',
  });
});

it('goes on after its tab was closed as if it had not been', async () => {
  const wanted = params(defended.id, 'sdd', { continues: true, seed: 4, saveAt: [40] });
  const whole = await train(wanted);
  const { id } = await page.ask('train', wanted);
  await page.ask('control', { runId: id, control: { action: 'pause' } });
  await page.until(id, 'paused');
  while ((await page.ask('runs', {})).find((r) => r.id === id)!.checkpointAt === 0)
    await new Promise((r) => setTimeout(r, 10));
  page.die();
  await open();
  const reopened = await page.ask('reopenRun', { runId: id });
  expect(reopened.step).toBeLessThan(40);
  await page.ask('control', { runId: id, control: { action: 'resume' } });
  await page.until(id, 'finished');
  const resumed = (await page.ask('nodes', {})).find((n) => n.runId === id)!;
  expect(resumed.weightsDigest).toBe(whole.weightsDigest);
});

it('is refused where there is no adapter to go on with', async () => {
  await expect(page.ask('train', params(base.id, 'sdd', { continues: true }))).rejects.toMatchObject({
    what: expect.stringContaining('has no adapter of its own'),
  });
  const settings = { method: 'full', batch: 2, replay: 0 };
  await expect(
    page.ask('train', params(defended.id, 'sdd', { continues: true, settings })),
  ).rejects.toMatchObject({ what: expect.stringContaining('has no adapter of its own') });
});
