/** MLC bundles through the worker's service: out as files, as a folder and into WebLLM's cache, and in again as a base. */
import 'fake-indexeddb/auto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CacheArtifacts } from '../../src/store/artifacts.ts';
import { GREEDY, type CachedModel, type LabNode } from '../../src/worker/protocol.ts';
import { checkpoint, type Files } from '../support/checkpoint.ts';
import { FakeFolder } from '../support/fake-folder.ts';
import { MemoryCaches } from '../support/memory-caches.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { sourceOf } from './files.ts';
import { Page } from './page.ts';

const caches = new MemoryCaches();
let page: Page;
let large: LabNode;
let small: LabNode;

beforeAll(async () => {
  page = new Page(await pageGpu(), 'mlc-test', { artifacts: new CacheArtifacts(() => caches) });
  await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
  small = await page.ask('openModel', { source: sourceOf(checkpoint()) });
  large = await page.ask('openModel', { source: sourceOf(checkpoint({ large: true, seed: 2 })) });
});
afterAll(() => page.die());

/** Ids of a greedy answer. */
async function says(node: LabNode): Promise<number[]> {
  const sampling = { ...GREEDY, maxNewTokens: 12 };
  const [answer] = await page.ask('generate', { nodeIds: [node.id], prompt: 'what is this ?', sampling });
  return answer!.tokens.map((t) => t.id);
}

const filesOf = (list: readonly { name: string; bytes: ArrayBuffer }[]): Files =>
  Object.fromEntries(list.map((f) => [f.name, new Uint8Array(f.bytes)]));

describe('out', () => {
  it('as files, which open again as another model that says the same', async () => {
    const { files, stock, checked, exact } = await page.ask('exportMlc', {
      nodeId: small.id,
      dtype: 'F32',
      target: { to: 'files' },
    });
    expect({ stock, checked, exact }).toEqual({ stock: null, checked: 'nothing', exact: true });
    const names = files!.map((f) => f.name);
    expect(names).toEqual(
      expect.arrayContaining([
        'mlc-chat-config.json',
        'tokenizer.json',
        'config.json',
        'node.json',
        'params_shard_0.bin',
      ]),
    );
    expect(names.slice(-2)).toEqual(['ndarray-cache.json', 'tensor-cache.json']);
    const again = await page.ask('openModel', { source: sourceOf(filesOf(files!)) });
    expect(again.id).not.toBe(small.id);
    expect(again.opened).toMatchObject({ kept: 'copy', types: ['F32'] });
    expect(await says(again)).toEqual(await says(small));
    // as WebLLM keeps a model: without the files of Hugging Face's loaders
    const bare = filesOf(files!.filter((f) => !/^(config|tokenizer_config|node)\.json$/.test(f.name)));
    const fromCache = await page.ask('openModel', { source: sourceOf(bare) });
    expect(fromCache.opened!.template).toBe('model');
    expect(await says(fromCache)).toEqual(await says(small));
  });

  it('as a new folder, taken away again where it fails', async () => {
    const folder = new FakeFolder('taken');
    const { folder: name } = await page.ask('exportMlc', {
      nodeId: large.id,
      dtype: 'F16',
      target: { to: 'folder', folder: folder.handle },
    });
    const into = folder.folders.get(name!)!;
    expect([...into.files.keys()].slice(-2)).toEqual(['ndarray-cache.json', 'tensor-cache.json']);
    const files = Object.fromEntries([...into.files.keys()].map((file) => [file, into.bytes(file)]));
    const again = await page.ask('openModel', { source: sourceOf(files) });
    // float16 was the type of its file: nothing was rounded
    expect(await says(again)).toEqual(await says(large));
    const full = new FakeFolder('full');
    full.room = 2e6;
    await expect(
      page.ask('exportMlc', {
        nodeId: large.id,
        dtype: 'F32',
        target: { to: 'folder', folder: full.handle },
      }),
    ).rejects.toMatchObject({ code: 'bad-input' });
    expect(full.folders.size).toBe(0);
  });
});

describe('WebLLM’s cache', () => {
  let cached: CachedModel;

  it('takes a bundle, and lists it', async () => {
    const { bundle } = await page.ask('exportMlc', {
      nodeId: large.id,
      dtype: 'F16',
      target: { to: 'cache' },
    });
    const models = await page.ask('webllmModels', {});
    expect(models).toHaveLength(1);
    cached = models[0]!;
    expect(cached).toMatchObject({ url: bundle!.url, bundle, problem: null, name: large.name });
    expect(caches.bytes('webllm/config', `${bundle!.url}mlc-chat-config.json`)).toBeDefined();
    expect(page.notices).toContainEqual({ type: 'bundles' });
  });

  it('opens it as a base that is read in place and says the same', async () => {
    const base = await page.ask('openModel', { source: { kind: 'webllm', url: cached.url } });
    expect(base.opened).toMatchObject({ kept: 'webllm', webllm: cached.url, types: ['F16'] });
    expect(await says(base)).toEqual(await says(large));
    // the same one again
    expect((await page.ask('openModel', { source: { kind: 'webllm', url: cached.url } })).id).toBe(base.id);
    await expect(page.ask('deleteBundle', { url: cached.url })).rejects.toMatchObject({ code: 'bad-input' });
    // a later tab reads it without being asked
    const later = new Page(await pageGpu(), 'mlc-test', { artifacts: new CacheArtifacts(() => caches) });
    const { readable } = await later.ask('init', { modelsUrl: 'http://lab.test/models/' });
    expect(readable).toContain(base.id);
    later.die();
    await page.ask('deleteNode', { nodeId: base.id });
  });

  it('refuses a base whose shard was changed, by its name', async () => {
    const shard = caches.bytes('webllm/model', `${cached.url}params_shard_0.bin`)!;
    shard[100]! ^= 4;
    await expect(
      page.ask('openModel', { source: { kind: 'webllm', url: cached.url } }),
    ).rejects.toMatchObject({
      code: 'wrong-hash',
      what: expect.stringContaining('params_shard_0.bin') as string,
    });
    shard[100]! ^= 4;
  });

  it('is as it was when the disk is full half way, and after a delete', async () => {
    const before = caches.all();
    caches.room = caches.usedBytes + 3e6;
    await expect(
      page.ask('exportMlc', { nodeId: large.id, dtype: 'F32', target: { to: 'cache' } }),
    ).rejects.toMatchObject({ code: 'quota' });
    expect(caches.all()).toEqual(before);
    caches.room = Infinity;
    expect(await page.ask('deleteBundle', { url: cached.url })).toEqual([]);
    expect(caches.all()).toEqual([]);
    await expect(page.ask('deleteBundle', { url: cached.url })).rejects.toMatchObject({ code: 'not-found' });
  });
});
