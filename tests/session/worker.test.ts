/**
 * The engine worker's service with the real engine, in Node: what the page does, without the page. Weights are random, so
 * what is asked here is bookkeeping and bit-equality, not what the models say.
 */
import 'fake-indexeddb/auto';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { LabError } from '../../src/core/errors.ts';
import { everyMatmul, readTable } from '../../src/core/kernel-table.ts';
import { requestedFact } from '../../src/eval/judges/exact.ts';
import { LORA_TARGETS } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { parsePeftConfig, readPeftTensors } from '../../src/model/peft.ts';
import { readSafetensors } from '../../src/model/safetensors.ts';
import { relError } from '../../src/selfcheck/compare.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { ENGINE_VERSION } from '../../src/worker/context.ts';
import { GREEDY, type Notice, type TrainParams } from '../../src/worker/protocol.ts';
import type { StoredPlain } from '../../src/worker/run-state.ts';
import { buildModel } from '../../src/worker/stored-model.ts';
import { Locks } from '../support/locks.ts';
import { lose, pageGpu } from '../support/page-gpu.ts';
import { Page } from './page.ts';
import { serveModels } from './shipped.ts';

/** Software adapters on a busy machine are slow; a wait that ends early is no finding. */
const WAIT_MS = 120_000;

const MFT: TrainParams = {
  parentNodeId: 'tiny-chat',
  recipe: 'mft',
  settings: { batch: 4, n: 12 },
  seed: 7,
  saveAt: [3, 6],
  probeEvery: 0,
};

let gpu: GPU;
let name = '';
let page: Page;
let count = 0;

async function open(): Promise<Page> {
  const next = new Page(gpu, name);
  await next.ask('init', { modelsUrl: 'http://lab.test/models/' });
  return next;
}

beforeAll(async () => {
  gpu = await pageGpu();
});
beforeEach(async () => {
  serveModels();
  name = `worker-test-${++count}`;
  page = await open();
  await page.ask('loadEmbedded', { name: 'tiny-chat' });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  page.die();
});

/** Digest of the node that a run saved after so many steps. */
async function digestAt(p: Page, runId: string, step: number): Promise<string> {
  const node = (await p.ask('nodes', {})).find((n) => n.runId === runId && n.steps === step);
  expect(node, `node of step ${step}`).toBeDefined();
  return node!.weightsDigest;
}

/** What a run that nothing disturbs arrives at; the same in every test, so it is made once. */
let undisturbed: { at3: string; at6: string } | null = null;
async function straight(): Promise<{ at3: string; at6: string }> {
  if (undisturbed) return undisturbed;
  const { id } = await page.ask('train', MFT);
  await page.until(id, 'finished');
  return (undisturbed = { at3: await digestAt(page, id, 3), at6: await digestAt(page, id, 6) });
}

describe('a run', () => {
  it('reports its steps in order, probes, and saves a node at each station', async () => {
    const { id: runId } = await page.ask('train', { ...MFT, probeEvery: 100 });
    await page.until(runId, 'finished');
    expect(await digestAt(page, runId, 3)).not.toBe(await digestAt(page, runId, 6));
    const events = page.notices.flatMap((n) => (n.type === 'run' ? [n.event] : []));
    const steps = events.flatMap((e) => (e.type === 'steps' ? e.points.map((p) => p.step) : []));
    expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
    expect(events.flatMap((e) => (e.type === 'probe' ? [e.point.step] : []))).toEqual([0, 6]);
    const probe = events.find((e) => e.type === 'probe')!;
    expect(probe.type === 'probe' && probe.point).toMatchObject({ n: 14, benignN: 11 });
    const nodes = (await page.ask('nodes', {})).filter((n) => n.runId === runId);
    expect(nodes.map((n) => [n.parentId, n.kind, n.steps, n.seeds.attack])).toEqual([
      ['tiny-chat', 'attack', 3, 7],
      ['tiny-chat', 'attack', 6, 7],
    ]);
    expect(nodes[0]!.dataDigest).toMatch(/^[0-9a-f]{64}$/);
  });

  it('goes on after a reload bit for bit', async () => {
    const { at3, at6 } = await straight();
    const { id } = await page.ask('train', MFT);
    await page.ask('control', { runId: id, control: { action: 'pause' } });
    const paused = await page.until(id, 'paused', 'finished');
    expect(paused.state).toBe('paused');
    // One more step by hand, so that the checkpoint stands between two stations.
    await page.ask('control', { runId: id, control: { action: 'step' } });
    await vi.waitUntil(
      async () => (await page.service.ctx.store.run(id))?.info.checkpointStep === paused.step + 1,
      WAIT_MS,
    );
    page.die();

    page = await open();
    const [waiting] = (await page.ask('runs', {})).filter((r) => r.id === id);
    expect(waiting).toMatchObject({ state: 'stopped', step: paused.step + 1, total: 6 });
    const reopened = await page.ask('reopenRun', { runId: id });
    expect(reopened).toMatchObject({ state: 'paused', step: paused.step + 1, notBitComparable: false });
    await page.ask('control', { runId: id, control: { action: 'resume' } });
    await page.until(id, 'finished');
    expect(await digestAt(page, id, 3)).toBe(at3);
    expect(await digestAt(page, id, 6)).toBe(at6);
  });

  it('keeps the kernels that it was begun with, whatever this device uses by then', async () => {
    const { at6 } = await straight();
    const { id } = await page.ask('train', MFT);
    await page.ask('control', { runId: id, control: { action: 'pause' } });
    expect((await page.until(id, 'paused', 'finished')).state).toBe('paused');
    await vi.waitUntil(async () => (await page.service.ctx.store.run(id))?.state, WAIT_MS);
    const before = page.service.ctx.kernels.table;
    page.die();

    page = await open();
    const { ctx } = page.service;
    const other = { ...before, matmul: everyMatmul('plain') };
    ctx.useKernels({ table: other, measured: null });
    expect(await page.ask('reopenRun', { runId: id })).toMatchObject({
      notBitComparable: false,
      kernelTable: before,
    });
    await page.ask('control', { runId: id, control: { action: 'resume' } });
    await page.until(id, 'finished');
    expect(await digestAt(page, id, 6)).toBe(at6);

    // what starts now has the new ones, which round in another order, and its nodes say so
    const { id: next } = await page.ask('train', MFT);
    await page.until(next, 'finished');
    expect(await digestAt(page, next, 6)).not.toBe(at6);
    const tables = (await page.ask('nodes', {})).map((n) => [n.runId, n.kernelTable]);
    expect(tables).toContainEqual([id, before]);
    expect(tables).toContainEqual([next, other]);
  });

  it('whose kernels this device cannot run goes on with others, and says so', async () => {
    const { id } = await page.ask('train', MFT);
    await page.ask('control', { runId: id, control: { action: 'pause' } });
    expect((await page.until(id, 'paused', 'finished')).state).toBe('paused');
    const { store, kernels } = page.service.ctx;
    await vi.waitUntil(async () => (await store.run(id))?.state, WAIT_MS);
    const stored = (await store.run(id))!;
    const [weights, m, v] = await store.runArrays(stored);
    const plain = stored.state!.plain as StoredPlain;
    const foreign = { ...kernels.table, subgroupSize: 1024 };
    await store.saveRun(
      { ...stored, info: { ...stored.info, kernelTable: foreign } },
      {
        plain: {
          ...plain,
          arithmetic: plain.arithmetic.replace(/"subgroupSize":\d+/g, '"subgroupSize":1024'),
        },
        arrays: [weights!, m!, v!],
      },
    );
    page.die();

    page = await open();
    expect(await page.ask('reopenRun', { runId: id })).toMatchObject({
      notBitComparable: true,
      kernelTable: kernels.table,
    });
  });

  it('that keeps going is the same run as a longer one, also from disk', async () => {
    const { at6 } = await straight();
    const { id } = await page.ask('train', { ...MFT, saveAt: [3] });
    await page.until(id, 'finished');
    await vi.waitUntil(
      async () => (await page.service.ctx.store.run(id))?.info.checkpointStep === 3,
      WAIT_MS,
    );
    page.die();
    page = await open();
    await page.ask('control', { runId: id, control: { action: 'continueTo', saveAt: [6] } });
    await page.until(id, 'finished');
    expect(await digestAt(page, id, 6)).toBe(at6);
  });

  it('stops where it stands, saves that, and frees the GPU', async () => {
    const before = (await page.ask('memory', {})).gpuBytes;
    const { id } = await page.ask('train', { ...MFT, saveAt: [1000] });
    await vi.waitUntil(async () => (await page.ask('runs', {}))[0]!.step >= 2, WAIT_MS);
    await expect(page.ask('train', MFT)).rejects.toMatchObject({ code: 'bad-input' });
    const stopped = await page.ask('control', { runId: id, control: { action: 'stop' } });
    expect(stopped.state).toBe('stopped');
    expect(stopped.saved.map((s) => s.step)).toEqual([stopped.step]);
    expect(await page.ask('runs', {})).toEqual([]);
    expect((await page.ask('memory', {})).gpuBytes).toBe(before);
  });

  it('that meets a number that is not finite keeps the last good state and says where', async () => {
    const { at3 } = await straight();
    const real = Trainer.prototype.step;
    vi.spyOn(Trainer.prototype, 'step').mockImplementation(async function (this: Trainer, ...args) {
      if (this.stepCount < 3) return real.apply(this, args);
      await this.flush();
      throw new LabError('non-finite', 'Step 4 gave a number that is not finite, in the gradient of norm.');
    });
    const { id } = await page.ask('train', { ...MFT, saveAt: [6] });
    const failed = await page.until(id, 'failed', 'finished');
    expect(failed).toMatchObject({ state: 'failed', step: 3, error: { code: 'non-finite' } });
    await vi.waitUntil(
      async () => (await page.service.ctx.store.run(id))?.info.checkpointStep === 3,
      WAIT_MS,
    );
    await page.ask('control', { runId: id, control: { action: 'stop' } });
    expect(await digestAt(page, id, 3)).toBe(at3);
  });

  it('loses nothing when the disk is full at a station', async () => {
    const { at3, at6 } = await straight();
    const real = IDBObjectStore.prototype.add;
    vi.spyOn(IDBObjectStore.prototype, 'add').mockImplementation(function (this: IDBObjectStore, ...args) {
      if (this.name === 'nodes') throw new DOMException('no space', 'QuotaExceededError');
      return real.apply(this, args);
    });
    const { id } = await page.ask('train', MFT);
    const waiting = await page.until(id, 'paused', 'failed', 'finished');
    expect(waiting).toMatchObject({ state: 'paused', step: 3, error: { code: 'quota' } });
    await expect(page.ask('control', { runId: id, control: { action: 'resume' } })).rejects.toMatchObject({
      code: 'quota',
    });
    vi.restoreAllMocks();
    await page.ask('control', { runId: id, control: { action: 'resume' } });
    await page.until(id, 'finished');
    expect([await digestAt(page, id, 3), await digestAt(page, id, 6)]).toEqual([at3, at6]);
  });
});

describe('two tabs', () => {
  let other: Page;
  beforeEach(async () => {
    vi.stubGlobal('navigator', { locks: new Locks() });
    other = await open();
  });
  afterEach(() => other.die());

  it('do not take the run of the other for interrupted, and cannot forget it under way', async () => {
    const { id } = await page.ask('train', { ...MFT, saveAt: [1000] });
    await vi.waitUntil(async () => (await page.ask('runs', {}))[0]!.step >= 1, WAIT_MS);
    await page.ask('control', { runId: id, control: { action: 'pause' } });
    await vi.waitUntil(async () => (await page.service.ctx.store.run(id)) !== undefined, WAIT_MS);
    expect(await other.ask('runs', {})).toMatchObject([{ id, elsewhere: true }]);
    await expect(other.ask('discardRun', { runId: id })).rejects.toMatchObject({ code: 'bad-input' });
    await expect(other.ask('reopenRun', { runId: id })).rejects.toMatchObject({ code: 'bad-input' });
    expect(await page.service.ctx.store.run(id)).toBeDefined();

    // left by the first, it is the second's to take up or to forget
    await page.ask('releaseAll', {});
    const [left] = await other.ask('runs', {});
    expect(left).toMatchObject({ id, state: 'stopped' });
    expect(left!.elsewhere).toBeUndefined();
    await other.ask('discardRun', { runId: id });
    await vi.waitFor(() => expect(page.notices).toContainEqual({ type: 'run-gone', runId: id }));
    expect(await page.ask('runs', {})).toEqual([]);
  });

  it('hear that a run is gone only from the one that has it open', async () => {
    const { id } = await page.ask('train', { ...MFT, saveAt: [1000] });
    other.service.ctx.notify({ type: 'run-gone', runId: id });
    other.service.ctx.notify({ type: 'run-gone', runId: 'long gone' });
    await vi.waitFor(() => expect(page.notices).toContainEqual({ type: 'run-gone', runId: 'long gone' }));
    expect(page.notices).not.toContainEqual({ type: 'run-gone', runId: id });
    await page.ask('discardRun', { runId: id });
    expect(page.notices).toContainEqual({ type: 'run-gone', runId: id });
  });
});

describe('a question', () => {
  const ask = {
    nodeIds: ['tiny-chat'],
    prompt: 'How do I open the ember vault?',
    sampling: { ...GREEDY, maxNewTokens: 6 },
  };

  it('streams tokens with alternatives and gets the same answer after a reload', async () => {
    const [answer] = await page.ask('generate', ask);
    expect(answer!.tokens).toHaveLength(6);
    expect(answer!.tokens[0]!.alternatives).toHaveLength(GREEDY.alternatives);
    expect(answer!.verdict?.kind).toBeDefined();
    expect(answer!.text).toBe(answer!.tokens.map((t) => t.text).join(''));
    const streamed = page.events.filter((e) => (e as { type?: string }).type === 'token');
    expect(streamed).toHaveLength(6);
    page.die();
    page = await open();
    expect(await page.ask('generate', ask)).toEqual([answer]);
  });

  it('with unknown words is not sent', async () => {
    const prompt = 'How do I open the embr vault?';
    await expect(page.ask('generate', { ...ask, prompt })).rejects.toMatchObject({ code: 'bad-input' });
    const check = await page.ask('checkPrompt', { prompt, nodeIds: ask.nodeIds });
    expect(check.unknown[0]!.word).toBe('embr');
    expect(check.unknown[0]!.suggestions).toContain('ember');
  });

  it('is answered while a run is training, which is not disturbed', async () => {
    const { at6 } = await straight();
    const { id } = await page.ask('train', MFT);
    await page.ask('generate', ask);
    await page.until(id, 'finished');
    expect(await digestAt(page, id, 6)).toBe(at6);
  });

  it('can be cancelled', async () => {
    await expect(
      page.ask('evaluate', { nodeId: 'tiny-chat', set: 'V', benign: true, quick: false }, 50),
    ).rejects.toMatchObject({
      code: 'cancelled',
    });
  });
});

describe('when the device is lost', () => {
  it('says so, keeps what is on disk, and starts again on request', async () => {
    const { id } = await page.ask('train', { ...MFT, saveAt: [3, 1000] });
    await vi.waitUntil(async () => (await page.ask('runs', {}))[0]!.step >= 4, WAIT_MS);
    await page.ask('control', { runId: id, control: { action: 'pause' } });
    await vi.waitUntil(
      async () => ((await page.service.ctx.store.run(id))?.info.checkpointStep ?? 0) >= 4,
      WAIT_MS,
    );
    lose(page.service.ctx.gpu.device);
    await vi.waitUntil(() => page.notices.some((n) => n.type === 'device-lost'), WAIT_MS);
    await expect(page.ask('train', MFT)).rejects.toMatchObject({ code: 'device-lost' });
    expect((await page.ask('rebuild', {})).adapter).toBeDefined();
    const run = await page.ask('reopenRun', { runId: id });
    expect(run.state).toBe('paused');
    const [answer] = await page.ask('generate', {
      nodeIds: [run.saved[0]!.nodeId],
      prompt: 'How do I open the ember vault?',
      sampling: { ...GREEDY, maxNewTokens: 3 },
    });
    expect(answer!.tokens.length).toBeGreaterThan(0);
  });
});

describe('a run that trains an adapter', () => {
  const LORA: TrainParams = { ...MFT, settings: { ...MFT.settings, method: 'lora', rank: 2, alpha: 4 } };

  it('stores the adapter alone, is answered with, and carries further adapters on top of it', async () => {
    const { id } = await page.ask('train', LORA);
    await page.until(id, 'finished');
    const first = (await page.ask('nodes', {})).find((n) => n.runId === id && n.steps === 6)!;
    expect(first.lora).toEqual({ r: 2, alpha: 4, targets: LORA_TARGETS });
    expect(first.weightsBytes).toBeLessThan(
      (await page.ask('node', { nodeId: 'tiny-chat' })).weightsBytes / 10,
    );

    const { id: second } = await page.ask('train', { ...LORA, parentNodeId: first.id, saveAt: [2] });
    await page.until(second, 'finished');
    const above = (await page.ask('nodes', {})).find((n) => n.runId === second)!;
    const chain = await page.service.models.read(above);
    expect(chain.adapters).toHaveLength(2);
    expect(chain.adapters[0]!.tensors).toEqual((await page.service.models.read(first)).adapters[0]!.tensors);

    // All weights on top of adapters: these are folded in, and the node stands for itself.
    const { id: third } = await page.ask('train', { ...MFT, parentNodeId: above.id, saveAt: [1] });
    await page.until(third, 'finished');
    const whole = (await page.ask('nodes', {})).find((n) => n.runId === third)!;
    expect(whole.lora).toBeUndefined();
    expect((await page.service.models.read(whole)).adapters).toEqual([]);

    const prompt = 'How do I open the ember vault?';
    const sampling = { ...GREEDY, maxNewTokens: 4 };
    const answers = await page.ask('generate', { nodeIds: [first.id, above.id, whole.id], prompt, sampling });
    expect(answers.map((a) => a.tokens.length > 0)).toEqual([true, true, true]);
  });

  it('exports the adapter for PEFT and the merged model, which is the same model', async () => {
    const { id } = await page.ask('train', { ...LORA, saveAt: [6] });
    await page.until(id, 'finished');
    const node = (await page.ask('nodes', {})).find((n) => n.runId === id)!;
    const { files } = await page.ask('exportNode', { nodeId: node.id, dtype: 'F32' });
    const bytes = (name: string) => new Uint8Array(files.find((f) => f.name === name)!.bytes);
    const stored = await page.service.models.read(node);
    const lora = parsePeftConfig(JSON.parse(new TextDecoder().decode(bytes('adapter_config.json'))));
    expect(readPeftTensors(stored.config, lora, bytes('adapter_model.safetensors'))).toEqual(
      stored.adapters[0]!.tensors,
    );
    const { gpu: engine } = page.service.ctx;
    const ids = Array.from({ length: 20 }, (_, i) => 6 + i);
    const logits = async (model: Model): Promise<Float32Array> => {
      const optim = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0, clip: 1 } as const;
      const trainer = new Trainer(model, optim, { maxTokens: 20, maxLabels: 20 });
      const [row] = await trainer.logits([{ ids, labels: ids }]);
      trainer.destroy();
      return row!;
    };
    const stack = await page.service.models.on(stored, false, (base) => buildModel(engine, stored, base));
    const { tensors } = readSafetensors(bytes('model.safetensors'));
    const alone = Model.create(engine, stored.config, tensors);
    expect(relError(await logits(alone), await logits(stack.model))).toBeLessThan(1e-5);
    stack.destroy();
    alone.destroy();
  });

  it('goes on after a reload bit for bit', async () => {
    const { id: straightId } = await page.ask('train', LORA);
    await page.until(straightId, 'finished');
    const { id } = await page.ask('train', { ...LORA, saveAt: [3] });
    await page.until(id, 'finished');
    await page.ask('releaseAll', {}); // waits for the checkpoint
    page.die();
    page = await open();
    await page.ask('control', { runId: id, control: { action: 'continueTo', saveAt: [6] } });
    await page.until(id, 'finished');
    expect(await digestAt(page, id, 6)).toBe(await digestAt(page, straightId, 6));
  });
});

describe('a GPU without room', () => {
  it('refuses a run in words, leaves nothing behind and trains a smaller one', async () => {
    const { gpu } = page.service.ctx;
    const before = { ...gpu.stats };
    const pop = vi.spyOn(gpu.device, 'popErrorScope');
    pop.mockResolvedValueOnce({ message: 'no memory' } as GPUError);
    await expect(page.ask('train', MFT)).rejects.toMatchObject({ code: 'out-of-memory' });
    expect(gpu.stats).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
    const { id } = await page.ask('train', { ...MFT, saveAt: [1] });
    await page.until(id, 'finished');
  });
});

describe('the tree', () => {
  it('deletes a node with its children, and refuses while a run starts from it', async () => {
    const { id } = await page.ask('train', { ...MFT, saveAt: [1000] });
    await expect(page.ask('deleteNode', { nodeId: 'tiny-chat' })).rejects.toMatchObject({
      code: 'bad-input',
    });
    await page.ask('control', { runId: id, control: { action: 'stop', discard: true } });
    await page.ask('deleteNode', { nodeId: 'tiny-chat' });
    expect(await page.ask('nodes', {})).toEqual([]);
  });

  it('takes new weights under an old name as a root of their own, and works without a connection', async () => {
    const old = await page.ask('node', { nodeId: 'tiny-chat' });
    expect((await page.ask('loadEmbedded', { name: 'tiny-chat' })).id).toBe(old.id);
    serveModels(2);
    const fresh = await page.ask('loadEmbedded', { name: 'tiny-chat' });
    expect(fresh.id).not.toBe(old.id);
    expect(fresh.weightsDigest).not.toBe(old.weightsDigest);
    expect(await page.ask('node', { nodeId: 'tiny-chat' })).toEqual(old);
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
    expect((await page.ask('loadEmbedded', { name: 'tiny-chat' })).id).toBe(fresh.id);
  });

  it('refuses weights that are not those of their record', async () => {
    const honest = globalThis.fetch;
    vi.stubGlobal('fetch', (url: string) =>
      url.endsWith('training.json')
        ? Promise.resolve(new Response(JSON.stringify({ worldSeed: 0, weightsSha256: 'ab'.repeat(32) })))
        : honest(url),
    );
    await expect(page.ask('loadEmbedded', { name: 'tiny-base' })).rejects.toMatchObject({
      code: 'corrupt-model',
      what: expect.stringContaining('checksum') as string,
    });
  });

  it('hears what another tab adds and deletes', async () => {
    const other = await open();
    try {
      await page.ask('loadEmbedded', { name: 'tiny-base' });
      const heard = (type: Notice['type']) => other.notices.find((n) => n.type === type);
      await vi.waitFor(() => expect(heard('node')).toMatchObject({ node: { id: 'tiny-base' } }));
      await page.ask('deleteNode', { nodeId: 'tiny-base' });
      await vi.waitFor(() =>
        expect(heard('nodes-deleted')).toEqual({ type: 'nodes-deleted', nodeIds: ['tiny-base'] }),
      );
    } finally {
      other.die();
    }
  });

  it('names a missing model', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(null, { status: 404 })));
    await expect(page.ask('loadEmbedded', { name: 'tiny-base' })).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('stores an evaluation with its answers, and a quick look never replaces the whole set', async () => {
    const quick = await page.ask('evaluate', { nodeId: 'tiny-chat', set: 'V', benign: false, quick: true });
    // every fact of V once
    expect(quick).toMatchObject({ n: 28, quick: true });
    expect(Object.values(quick.counts).reduce((a, b) => a + b)).toBe(28);
    const world = page.service.ctx.world(0);
    const asked = quick.answers.map(({ prompt }) => requestedFact(world, prompt)!.id);
    expect(new Set(asked).size).toBe(28);
    expect((await page.ask('node', { nodeId: 'tiny-chat' })).verdicts?.V?.n).toBe(28);
    expect(await page.ask('evaluations', { nodeId: 'tiny-chat' })).toEqual([quick]);
  });
});

describe('the kernels', () => {
  it('are measured once, remembered for this adapter, and measured again when asked', async () => {
    expect(page.service.ctx.kernels.measured).toBeNull();
    const first = await page.ask('kernels', { again: false });
    const { measured, table } = first;
    expect(readTable(table, table.subgroupSize)).toEqual(table);
    expect(measured!.times[0]).toMatchObject({
      what: 'NT small',
      family: table.subgroupSize ? 'subgroup' : 'tile',
    });
    for (const { microseconds } of measured!.times) expect(microseconds).toBeGreaterThan(0);
    expect(await page.ask('kernels', { again: false })).toEqual(first);
    page.die();

    page = await open();
    expect(page.service.ctx.kernels).toEqual(first);
    const again = await page.ask('kernels', { again: true });
    expect(again.measured!.at).toBeGreaterThan(measured!.at);
    expect(await page.service.ctx.store.setting('kernels')).toMatchObject({ engine: ENGINE_VERSION });
  });
});
