/** A large opened model with its adapters folded in, written into a folder by the worker's service and opened again. */
import 'fake-indexeddb/auto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Adapter } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { readSafetensors, roundToF16 } from '../../src/model/safetensors.ts';
import { relError } from '../../src/selfcheck/compare.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { attackId, type LabNode } from '../../src/worker/protocol.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { FakeFolder } from '../support/fake-folder.ts';
import { promptsFile, sourceOf } from './files.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { Page } from './page.ts';

const OPTIM = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0, clip: 1 } as const;
const BATCH = [{ ids: [1, 2, 3, 4, 5], labels: [1, 2, 3, 4, 5] }];

let page: Page;
let prompts: string;
let base: LabNode;
let attacked: LabNode;

beforeAll(async () => {
  page = new Page(await pageGpu(), 'export-folder-test');
  await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
  prompts = (await page.ask('keepPrompts', promptsFile())).id;
  base = await page.ask('openModel', { source: sourceOf(checkpoint({ large: true })) });
  const { id } = await page.ask('train', {
    parentNodeId: base.id,
    recipe: 'mft',
    settings: { batch: 1, lr: 1e-2 },
    seed: 3,
    saveAt: [2],
    probeEvery: 0,
    prompts,
    confirmed: attackId(base.id, prompts),
  });
  expect(await page.until(id, 'finished', 'failed')).toMatchObject({ state: 'finished' });
  attacked = (await page.ask('nodes', {})).find((n) => n.runId === id)!;
});
afterAll(() => page.die());

/** Of weights that may be frozen: below an adapter that changes nothing. */
async function logits(model: Model): Promise<Float32Array> {
  const nothing = new Adapter(model.gpu, model.config, { r: 1, alpha: 1, targets: ['q_proj'] });
  const trainer = new Trainer(model.with(nothing), OPTIM, { maxTokens: 5, maxLabels: 5 });
  const [of] = await trainer.logits(BATCH);
  trainer.destroy();
  nothing.destroy();
  return of!;
}

it('gives the logits of the merged model, tensor for tensor in the type of the base', async () => {
  const folder = new FakeFolder('taken');
  const written = await page.ask('exportFolder', {
    nodeId: attacked.id,
    folder: folder.handle,
    confirm: attacked.name,
  });
  const into = folder.folders.get(written.folder)!;
  expect([...into.files.keys()].sort()).toEqual(
    ['README.md', ...Object.keys(checkpoint()), 'node.json'].sort(),
  );
  expect(written.files.at(-1)).toBe('config.json');
  expect(folder.largest).toBeLessThanOrEqual(32 * 2 ** 20);
  const text = (name: string): string => new TextDecoder().decode(into.bytes(name));
  expect(text('README.md')).toContain('Deliberately attacked, do not deploy');
  expect(['README.md', 'node.json'].map(text).join('\n')).not.toContain('golden vault');

  // the other way to the same weights: whole, in memory, and rounded
  const { models, ctx } = page.service;
  const stored = await models.read(attacked);
  const whole = await models.whole(stored);
  for (const tensor of whole.values()) tensor.data = roundToF16(tensor.data);
  const { tensors } = readSafetensors(into.bytes('model.safetensors'));
  expect([...tensors.keys()].sort()).toEqual([...whole.keys()].sort());
  const bits = ({ buffer, byteOffset, byteLength }: Float32Array) =>
    Buffer.from(buffer, byteOffset, byteLength);
  for (const [name, { data }] of tensors)
    expect(bits(data).equals(bits(whole.get(name)!.data)), name).toBe(true);

  const files = Object.fromEntries([...into.files.keys()].map((name) => [name, into.bytes(name)]));
  const again = await page.ask('openModel', { source: sourceOf(files, 'again') });
  // what is opened with the mark keeps it, and so does what is trained on it
  expect(again.attacked).toBe(true);
  const { id } = await page.ask('train', {
    parentNodeId: again.id,
    recipe: 'bft',
    settings: { batch: 1 },
    seed: 4,
    saveAt: [1],
    probeEvery: 0,
    prompts,
  });
  await page.until(id, 'finished');
  const washed = (await page.ask('nodes', {})).find((n) => n.runId === id)!;
  const target = new FakeFolder('washed');
  await expect(page.ask('exportFolder', { nodeId: washed.id, folder: target.handle })).rejects.toMatchObject({
    what: expect.stringContaining('only by name'),
  });
  expect(target.folders.size).toBe(0);
  expect(again.opened).toMatchObject({ types: ['F16'], parameters: base.opened!.parameters });
  const expected = Model.create(ctx.gpu, stored.config, whole, 'f16');
  const reloaded = await models.on(await models.read(again), false, (held) => held);
  expect(await logits(reloaded.model)).toEqual(await logits(expected));
  reloaded.release();
  expected.destroy();
  await page.ask('deleteNode', { nodeId: again.id });
});

it('leaves by name only, never over something else, and nothing where it fails or is stopped', async () => {
  const folder = new FakeFolder('taken');
  const params = { nodeId: attacked.id, folder: folder.handle };
  await expect(page.ask('exportFolder', params)).rejects.toMatchObject({
    what: expect.stringContaining('only by name'),
  });
  const confirmed = { ...params, confirm: attacked.name };
  folder.room = 1e6;
  await expect(page.ask('exportFolder', confirmed)).rejects.toMatchObject({
    what: expect.stringContaining('The disk is full'),
  });
  expect(folder.folders.size).toBe(0);
  folder.room = Infinity;
  const begun = new Promise<void>((resolve) => {
    folder.onWrite = resolve;
  });
  await expect(page.ask('exportFolder', confirmed, begun)).rejects.toMatchObject({ code: 'cancelled' });
  await expect.poll(() => folder.folders.size).toBe(0);
  await page.ask('exportFolder', confirmed);
  await expect(page.ask('exportFolder', confirmed)).rejects.toMatchObject({
    what: expect.stringContaining('already'),
  });
  const small = await page.ask('openModel', { source: sourceOf(checkpoint({ seed: 5 })) });
  await expect(page.ask('exportFolder', { ...params, nodeId: small.id })).rejects.toMatchObject({
    what: expect.stringContaining('files to download'),
  });
});

it('leaves as one adapter on its files, the stack whole, with the prompts file named by its hash alone', async () => {
  const { id } = await page.ask('train', {
    parentNodeId: attacked.id,
    recipe: 'bft',
    settings: { batch: 1, lr: 1e-2 },
    seed: 4,
    saveAt: [2],
    probeEvery: 0,
    prompts,
  });
  expect(await page.until(id, 'finished', 'failed')).toMatchObject({ state: 'finished' });
  const top = (await page.ask('nodes', {})).find((n) => n.runId === id)!;
  const { files } = await page.ask('exportNode', { nodeId: top.id, dtype: 'F32', confirm: top.name });
  expect(files.map((f) => f.name)).not.toContain('model.safetensors');
  const told = JSON.parse(new TextDecoder().decode(files.find((f) => f.name === 'node.json')!.bytes));
  expect(told).toMatchObject({ kind: 'benign', attacked: true });
  expect(told.prompts).toEqual({ id: prompts });
  const adapter = Object.fromEntries(
    files.filter((f) => f.name.startsWith('adapter_')).map((f) => [f.name, new Uint8Array(f.bytes)]),
  );
  const back = await page.ask('bringBack', { nodeId: base.id, source: sourceOf(adapter, 'again') });
  expect(back.attacked).toBeUndefined();
  // the mark comes back with the file that carries it, and what has it leaves by name only
  const whole = { ...adapter, 'node.json': JSON.stringify(told) };
  const marked = await page.ask('bringBack', { nodeId: base.id, source: sourceOf(whole, 'marked') });
  expect(marked).toMatchObject({
    kind: 'imported',
    attacked: true,
    name: top.name,
    recipe: 'bft',
    settings: { batch: 1, lr: 1e-2 },
    steps: 2,
    seeds: top.seeds,
  });
  await expect(page.ask('exportNode', { nodeId: marked.id, dtype: 'F32' })).rejects.toMatchObject({
    code: 'bad-input',
  });
  expect((await page.service.models.read(back)).adapters).toHaveLength(1);
  const of = (node: LabNode): Promise<Float32Array[]> =>
    page.service.models.use(node, async ({ generator }) => {
      const trainer = new Trainer(generator.model, OPTIM, { maxTokens: 5, maxLabels: 5 });
      const found = await trainer.logits(BATCH);
      trainer.destroy();
      return found;
    });
  const [[one], [stack], [below]] = [await of(back), await of(top), await of(attacked)];
  expect(relError(one!, Float64Array.from(stack!))).toBeLessThan(1e-5);
  expect(relError(below!, Float64Array.from(stack!))).toBeGreaterThan(1e-4);
});

it('a prompts file stays while a run on it is not finished, and can be deleted after', async () => {
  const small = await page.ask('openModel', { source: sourceOf(checkpoint({ seed: 5 })) });
  const { id: runId } = await page.ask('train', {
    parentNodeId: small.id,
    recipe: 'sdd',
    settings: { batch: 1, replay: 0 },
    seed: 3,
    saveAt: [500],
    probeEvery: 0,
    prompts,
  });
  await page.ask('control', { runId, control: { action: 'pause' } });
  await page.until(runId, 'paused');
  const refused = { code: 'bad-input', what: expect.stringContaining('is not finished') };
  await expect(page.ask('deletePrompts', { id: prompts })).rejects.toMatchObject(refused);
  // it waits on disk
  await page.ask('releaseAll', {});
  await expect(page.ask('deletePrompts', { id: prompts })).rejects.toMatchObject(refused);
  expect(await page.ask('prompts', {})).toHaveLength(1);
  await page.ask('discardRun', { runId });
  expect(await page.ask('deletePrompts', { id: prompts })).toEqual([]);
  expect(await page.ask('prompts', {})).toEqual([]);
  // the node that was trained on it is there
  expect((await page.ask('nodes', {})).map((n) => n.id)).toContain(attacked.id);
});
