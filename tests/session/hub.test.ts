/** Models from Hugging Face through the worker's service: downloaded, opened, read again after a reload, and gone with their node. */
import 'fake-indexeddb/auto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GREEDY, type LabNode, type LocalSource } from '../../src/worker/protocol.ts';
import { checkpoint, type Files } from '../support/checkpoint.ts';
import { Locks } from '../support/locks.ts';
import { closeAll, fileSystemOn } from '../support/file-system.ts';
import { COMMIT, HubServer } from '../support/hub-server.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { Page } from './page.ts';

const OTHER_COMMIT = COMMIT.replace(/^0/, 'f');
const small = checkpoint();
const large = checkpoint({ large: true });
const REPOS = {
  'someone/small': { files: small },
  'someone/large': { files: large },
  'someone/large-renamed': { files: { ...large, 'README.md': 'new' }, commit: OTHER_COMMIT },
  'someone/other-words': { files: { ...small, 'tokenizer.json': '{}' } },
};

let gpu: GPU;
let server: HubServer;
let root: string;
let page: Page;
let name = '';
let count = 0;

async function open(): Promise<Page> {
  const hub = { url: server.url, hosts: server.hosts, firstWait: 1 };
  const next = new Page(gpu, name, { hub, fileSystem: fileSystemOn(root) });
  await next.ask('init', { modelsUrl: 'http://lab.test/models/' });
  return next;
}

/** Closes the tab and opens another. */
async function reload(): Promise<void> {
  page.die();
  closeAll();
  page = await open();
}

async function take(repo: string): Promise<LabNode> {
  const { id } = await page.ask('findModel', { name: repo });
  await page.ask('download', { id });
  return page.ask('openModel', { source: { kind: 'download', id } });
}

const onDisk = (): string[] => readdirSync(join(root, 'downloads'));
/** The tokens of its answer: weights at random may choose some that are no text. */
async function answer(node: LabNode): Promise<unknown[]> {
  const sampling = { ...GREEDY, maxNewTokens: 6 };
  const asked = { nodeIds: [node.id], prompt: 'bake the amber loaf', sampling };
  const { tokens } = (await page.ask('generate', asked))[0]!;
  expect(tokens).toHaveLength(6);
  return tokens;
}
const local = (files: Files): LocalSource => ({
  kind: 'files',
  name: 'mine',
  files: Object.entries(files).map(([file, part]) => ({ name: file, file: new Blob([part]) })),
});

beforeAll(async () => {
  gpu = await pageGpu();
});
beforeEach(async () => {
  name = `hub-test-${++count}`;
  root = mkdtempSync(join(tmpdir(), 'sdd-lab-hub-'));
  server = await HubServer.start({ repos: REPOS });
  page = await open();
});
afterEach(async () => {
  vi.unstubAllGlobals();
  page.die();
  closeAll();
  await server.close();
  rmSync(root, { recursive: true });
});

describe('a large model', () => {
  it('stands in the tree with its commit, is read after a reload without the hub, and goes with its files', async () => {
    const node = await take('someone/large');
    expect(node).toMatchObject({ name: 'large', parentId: null, root: null });
    expect(node.opened).toMatchObject({
      kept: 'download',
      from: 'someone/large',
      hub: { repo: 'someone/large', commit: COMMIT, revision: null },
    });
    expect(await page.ask('downloads', {})).toEqual([]);
    const before = await answer(node);
    await reload();
    server.asked.length = 0;
    expect((await page.ask('init', { modelsUrl: 'http://lab.test/models/' })).readable).toEqual([node.id]);
    expect(await answer(node)).toEqual(before);
    expect(server.asked).toEqual([]);
    await expect(page.ask('deleteDownload', { id: node.opened!.hub!.id })).rejects.toMatchObject({
      code: 'bad-input',
    });
    await page.ask('deleteNode', { nodeId: node.id });
    expect(onDisk()).toEqual([]);
  });

  it('is one model with the same files from elsewhere, and stays readable from its download', async () => {
    const node = await take('someone/large');
    expect((await page.ask('openModel', { source: local(large) })).opened!.kept).toBe('download');
    const again = await take('someone/large-renamed');
    expect(again.id).toBe(node.id);
    expect(again.opened!.hub).toMatchObject({ repo: 'someone/large-renamed', commit: OTHER_COMMIT });
    expect(onDisk()).toEqual([again.opened!.hub!.id]);
  });

  it('that was opened from files is kept here once it is downloaded', async () => {
    const node = await page.ask('openModel', { source: local(large) });
    expect(node.opened!.kept).toBe('nowhere');
    expect(await take('someone/large')).toMatchObject({ id: node.id, opened: { kept: 'download' } });
    await reload();
    await answer(node);
  });

  it('whose files the browser took away asks for them, and is whole again after a download', async () => {
    const node = await take('someone/large');
    await reload();
    rmSync(join(root, 'downloads', node.opened!.hub!.id, 'files', 'model.safetensors'));
    expect((await page.ask('init', { modelsUrl: 'http://lab.test/models/' })).readable).toEqual([]);
    await expect(answer(node)).rejects.toMatchObject({ code: 'files-needed' });
    expect((await take(`someone/large@${COMMIT}`)).id).toBe(node.id);
    await answer(node);
  });
});

describe('a small model', () => {
  it('is copied into the store, and its download goes', async () => {
    const node = await take('someone/small');
    expect(node.opened).toMatchObject({ kept: 'copy', hub: { repo: 'someone/small' } });
    expect(onDisk()).toEqual([]);
    await reload();
    await answer(node);
  });
});

describe('a download', () => {
  it('that is paused is listed after a reload, and goes on without a look-up', async () => {
    server.fault = ({ path, range }) =>
      path.startsWith('/store/') && range![0] > 0 ? { stallAfter: 10 } : null;
    const { id, totalBytes } = await page.ask('findModel', { name: 'someone/large' });
    const stalled = vi.waitFor(() => expect(server.askedFor('model.safetensors')).toHaveLength(2), {
      timeout: 60_000,
    });
    await expect(page.ask('download', { id }, stalled)).rejects.toMatchObject({ code: 'cancelled' });
    await reload();
    server.fault = () => null;
    const [kept] = await page.ask('downloads', {});
    expect(kept).toMatchObject({ id, complete: false, totalBytes, origin: { commit: COMMIT } });
    expect(kept!.haveBytes).toBeGreaterThanOrEqual(8 * 2 ** 20);
    await expect(page.ask('openModel', { source: { kind: 'download', id } })).rejects.toMatchObject({
      code: 'files-needed',
    });
    server.asked.length = 0;
    await page.ask('download', { id });
    expect(server.asked.some(({ path }) => path.startsWith('/api/'))).toBe(false);
    expect(await page.ask('openModel', { source: { kind: 'download', id } })).toMatchObject({
      name: 'large',
    });
  });

  it('on which two roots stand stays until both are gone', async () => {
    const first = await take('someone/large');
    // what two tabs made of one download before they took turns
    const { store } = page.service.ctx;
    await store.addNode({ ...first, id: 'second' }, new Float32Array(0), {
      description: (await store.model(first.id))!.description,
      folder: null,
    });
    expect(onDisk()).toHaveLength(1);
    await page.ask('deleteNode', { nodeId: first.id });
    expect(onDisk()).toHaveLength(1);
    await page.ask('deleteNode', { nodeId: 'second' });
    expect(onDisk()).toHaveLength(0);
  });

  it('cannot be deleted while it is opened', async () => {
    const locks = new Locks();
    vi.stubGlobal('navigator', { locks });
    const { id } = await page.ask('findModel', { name: 'someone/large' });
    await page.ask('download', { id });
    const opening = page.ask('openModel', { source: { kind: 'download', id } });
    await vi.waitUntil(async () => (await locks.query()).held.some(({ name }) => name.includes(id)));
    await expect(page.ask('deleteDownload', { id })).rejects.toMatchObject({
      what: expect.stringContaining('in use'),
    });
    const node = await opening;
    await reload();
    expect(await answer(node)).toHaveLength(6);
  });

  it('is held against the budget before anything of it is fetched', async () => {
    const found = await page.ask('findModel', { name: 'someone/large' });
    expect(found.memory).toMatchObject({ method: 'none', problems: [] });
    await page.ask('setBudget', { bytes: 1000 });
    const { memory } = await page.ask('findModel', { name: 'someone/large' });
    expect(memory!.problems).toMatchObject([{ kind: 'budget', limit: 1000, bytes: found.memory!.total }]);
  });

  it('that nobody wants is deleted', async () => {
    const { id } = await page.ask('findModel', { name: 'someone/small' });
    await page.ask('download', { id });
    expect(await page.ask('downloads', {})).toMatchObject([{ id, complete: true }]);
    await page.ask('deleteDownload', { id });
    expect(await page.ask('downloads', {})).toEqual([]);
    expect(onDisk()).toEqual([]);
    expect(page.notices.filter((n) => n.type === 'downloads').length).toBeGreaterThan(0);
  });

  it('of a model whose tokenizer cannot be used stops before its weights', async () => {
    const { id } = await page.ask('findModel', { name: 'someone/other-words' });
    await expect(page.ask('download', { id })).rejects.toMatchObject({
      code: expect.stringMatching(/corrupt-model|bad-/),
    });
    expect(server.askedFor('model.safetensors')).toEqual([]);
  });

  it('is refused when the browser has too little room, before anything is written', async () => {
    vi.stubGlobal('navigator', { storage: { estimate: async () => ({ usage: 90e6, quota: 100e6 }) } });
    const { id, freeBytes } = await page.ask('findModel', { name: 'someone/large' });
    expect(freeBytes).toBe(10e6);
    await expect(page.ask('download', { id })).rejects.toMatchObject({
      code: 'quota',
      what: expect.stringContaining('10 MB'),
    });
    expect(server.askedFor('model.safetensors')).toEqual([]);
    expect(await page.ask('downloads', {})).toEqual([]);
  });
});
