/** Bundles in WebLLM's cache: whole or not at all, and what is found there. */
import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { bundleUrl, nameOfUrl } from '../../src/files/mlc/address.ts';
import type { Sink } from '../../src/files/sink.ts';
import { CacheArtifacts } from '../../src/store/artifacts.ts';
import { cachedBundles, removeBundle, sweepBundles, writeBundle } from '../../src/worker/bundles.ts';
import { cachedFolder, cachedModels } from '../../src/worker/webllm-models.ts';
import type { BundleProgress } from '../../src/worker/protocol.ts';
import { MemoryCaches } from '../support/memory-caches.ts';

const FILES: Record<string, Uint8Array<ArrayBuffer>> = {
  'tokenizer.json': new TextEncoder().encode('{"model": {}}'),
  'mlc-chat-config.json': new TextEncoder().encode('{"quantization": "q0f32"}'),
  'params_shard_0.bin': Uint8Array.from({ length: 400 }, (_, i) => i % 251),
  'params_shard_1.bin': Uint8Array.from({ length: 300 }, (_, i) => i % 241),
  'ndarray-cache.json': list(),
  'tensor-cache.json': list(),
};

function list(dtype = 'float32', extra = {}): Uint8Array<ArrayBuffer> {
  const record = (i: number, nbytes: number) => ({
    dataPath: `params_shard_${i}.bin`,
    format: 'raw-shard',
    nbytes,
    records: [{ name: `t${i}`, shape: [nbytes / 4], dtype, format: 'raw', nbytes, byteOffset: 0 }],
  });
  return new TextEncoder().encode(JSON.stringify({ records: [record(0, 400), record(1, 300)], ...extra }));
}

const total = Object.values(FILES).reduce((n, b) => n + b.length, 0);
const encode = async (open: (file: string) => Promise<Sink>): Promise<void> => {
  for (const [file, bytes] of Object.entries(FILES)) {
    const sink = await open(file);
    try {
      for (let at = 0; at < bytes.length; at += 64) await sink.write(bytes.slice(at, at + 64));
    } finally {
      await sink.close();
    }
  }
};

const facts = {
  name: 'my model',
  nodeId: 'n1',
  quantisation: 'q0f32' as const,
  stock: null,
  checked: 'nothing' as const,
  totalBytes: total,
  encode,
};

let caches: MemoryCaches;
let store: CacheArtifacts;
let quota: number;
beforeEach(() => {
  caches = new MemoryCaches();
  quota = 0; // the browser does not tell
  store = new CacheArtifacts(() => caches);
  store.estimate = () =>
    Promise.resolve({ usedBytes: caches.usedBytes, quotaBytes: quota, persisted: false });
});
const never = new AbortController().signal;
const write = (change: Partial<typeof facts> = {}, signal = never, events: BundleProgress[] = []) =>
  writeBundle(store, { ...facts, ...change }, (p) => events.push(p), signal);

describe('writing', () => {
  test('puts each file where WebLLM asks for it, byte for byte', async () => {
    const events: BundleProgress[] = [];
    const bundle = await write({}, never, events);
    expect(bundle.url).toMatch(/^https:\/\/models\.lab\.invalid\/my-model-[\da-f]{16}\/resolve\/main\/$/);
    expect(bundle.bytes).toBe(total);
    for (const [file, bytes] of Object.entries(FILES)) {
      const name = file === 'mlc-chat-config.json' ? 'webllm/config' : 'webllm/model';
      expect(caches.bytes(name, bundle.url + file), file).toEqual(bytes);
      const response = await (await caches.open(name)).match(bundle.url + file);
      expect(response!.headers.get('content-length')).toBe(String(bytes.length));
    }
    expect([...caches.caches.keys()].sort()).toEqual(['sdd-lab/bundles', 'webllm/config', 'webllm/model']);
    expect(new Set(events.map((e) => e.state))).toEqual(new Set(['hashing', 'writing', 'checking']));
    for (const state of ['hashing', 'writing', 'checking'])
      expect(events.filter((e) => e.state === state).at(-1)).toMatchObject({
        doneBytes: total,
        totalBytes: total,
      });
  });

  test('keeps the SHA-256 of every file in an entry beside', async () => {
    const { url } = await write();
    const entry = JSON.parse(
      new TextDecoder().decode(caches.bytes('sdd-lab/bundles', `${url}bundle.json`)),
    ) as {
      complete: boolean;
      files: { file: string; bytes: number; sha256: string }[];
    };
    expect(entry.complete).toBe(true);
    expect(entry.files).toEqual(
      Object.entries(FILES).map(([file, bytes]) => ({
        file,
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      })),
    );
  });

  test('the same content has the same address and is not written twice; other content has another', async () => {
    const first = await write();
    let puts = 0;
    caches.onPut = () => puts++;
    expect(await write()).toEqual(first);
    expect(puts).toBe(0);
    const other = await write({
      encode: async (open) => {
        await encode(open);
        const sink = await open('generation_config.json');
        await sink.write(new Uint8Array([1]));
        await sink.close();
      },
    });
    expect(other.url).not.toBe(first.url);
    // what only the lab reads does not count
    const told = await write({
      encode: async (open) => {
        const sink = await open('node.json');
        await sink.write(new Uint8Array([2]));
        await sink.close();
        await encode(open);
      },
    });
    expect(told).toEqual(first);
    expect(await cachedBundles(store)).toHaveLength(2);
  });

  test('is refused before anything is written where the browser says that it does not fit', async () => {
    quota = total - 1;
    await expect(write()).rejects.toMatchObject({ code: 'quota', safe: 'Nothing was written.' });
    expect(caches.all()).toEqual([]);
    quota = total;
    await write();
  });
});

describe('whatever goes wrong leaves nothing behind', () => {
  const before = async (): Promise<string[]> => {
    const theirs = await caches.open('webllm/model');
    await theirs.put('https://huggingface.co/x/y/resolve/main/params_shard_0.bin', new Response('theirs'));
    return caches.all();
  };

  test('a disk that is full, at any byte', async () => {
    const kept = await before();
    const used = caches.usedBytes;
    let failures = 0;
    for (let room = used; room < used + 4000; room += 37) {
      caches.room = room;
      try {
        await write();
        break;
      } catch (e) {
        failures++;
        expect(e).toMatchObject({ code: 'quota' });
        expect(caches.all()).toEqual(kept);
        expect(await cachedBundles(store)).toEqual([]);
      }
    }
    expect(failures).toBeGreaterThan(20);
    expect(await cachedBundles(store)).toHaveLength(1);
  });

  test('a cancel, while it hashes, writes and checks', async () => {
    for (const state of ['hashing', 'writing', 'checking']) {
      const abort = new AbortController();
      const work = writeBundle(
        store,
        facts,
        (p) => {
          if (p.state === state && p.doneBytes > 300) abort.abort();
        },
        abort.signal,
      );
      await expect(work).rejects.toMatchObject({ code: 'cancelled' });
      expect(caches.all()).toEqual([]);
    }
  });

  test('weights that cannot be read half way', async () => {
    let call = 0;
    const work = write({
      encode: async (open) => {
        call++;
        const sink = await open('params_shard_0.bin');
        await sink.write(new Uint8Array(8));
        await sink.close();
        if (call === 2) throw new Error('the disk was pulled out');
      },
    });
    await expect(work).rejects.toThrow('pulled out');
    expect(caches.all()).toEqual([]);
  });

  test('a cache that gives other bytes back', async () => {
    caches.onPut = () => {
      const shard = [...(caches.caches.get('webllm/model')?.entries ?? [])].find(([url]) =>
        url.endsWith('shard_0.bin'),
      );
      if (shard) shard[1].body[7]! ^= 1;
    };
    await expect(write()).rejects.toMatchObject({
      code: 'wrong-hash',
      message: expect.stringContaining('params_shard_0.bin') as string,
    });
    expect(caches.all()).toEqual([]);
  });

  test('a closed tab: what it left is no bundle, and the next one sweeps it', async () => {
    let stop = false;
    caches.onPut = (url) => {
      if (url.endsWith('shard_1.bin')) stop = true;
      if (stop) throw new Error('the tab is gone');
    };
    caches.undeletable = () => stop;
    await expect(write()).rejects.toBeDefined();
    expect(caches.all().length).toBeGreaterThan(2);
    expect(await cachedBundles(store)).toEqual([]);
    stop = false;
    caches.onPut = undefined;
    await sweepBundles(store);
    expect(caches.all()).toEqual([]);
  });
});

describe('what is there', () => {
  test('a bundle of which WebLLM or the browser deleted a file is none', async () => {
    const { url } = await write();
    expect(await cachedBundles(store)).toHaveLength(1);
    await (await caches.open('webllm/model')).delete(`${url}params_shard_1.bin`);
    expect(await cachedBundles(store)).toEqual([]);
    expect((await cachedModels(store))[0]).toMatchObject({ bundle: null, problem: { code: 'files-needed' } });
  });

  test('is deleted with all of its keys, and nothing else', async () => {
    const first = await write();
    const second = await write({ name: 'other' });
    expect(await removeBundle(store, first.url)).toBe(true);
    expect(caches.all().every((one) => one.includes(second.url))).toBe(true);
    expect(await removeBundle(store, first.url)).toBe(false);
    expect(await removeBundle(store, 'https://huggingface.co/x/')).toBe(false);
  });

  const stock = 'https://huggingface.co/mlc-ai/SmolLM2-135M-Instruct-q0f32-MLC/resolve/main/';
  async function fetched(url: string, files: Record<string, Uint8Array<ArrayBuffer>>): Promise<void> {
    for (const [file, bytes] of Object.entries(files)) {
      const cache = await caches.open(file === 'mlc-chat-config.json' ? 'webllm/config' : 'webllm/model');
      await cache.put(url + file, new Response(bytes));
    }
  }

  test('what WebLLM fetched is listed, quantised and incomplete models with the reason', async () => {
    const { 'ndarray-cache.json': _, ...whole } = FILES;
    await fetched(stock, whole);
    const quantised = stock.replace('q0f32', 'q4f16_1');
    await fetched(quantised, {
      ...whole,
      'mlc-chat-config.json': new TextEncoder().encode('{"quantization":"q4f16_1"}'),
    });
    const silent = 'https://huggingface.co/a/silent/resolve/main/';
    await fetched(silent, { 'ndarray-cache.json': list('uint32') });
    const half = 'https://huggingface.co/a/half/resolve/main/';
    await fetched(half, { 'tensor-cache.json': list() });
    const broken = 'https://huggingface.co/a/broken/resolve/main/';
    await fetched(broken, { 'tensor-cache.json': new TextEncoder().encode('<html>') });
    const found = new Map((await cachedModels(store)).map((m) => [m.url, m]));
    expect(found.size).toBe(5);
    expect(found.get(stock)).toMatchObject({
      name: 'mlc-ai/SmolLM2-135M-Instruct-q0f32-MLC',
      bytes: 700,
      bundle: null,
      problem: null,
    });
    expect(found.get(quantised)!.problem).toMatchObject({
      code: 'bad-input',
      what: expect.stringContaining('q4f16_1') as string,
    });
    expect(found.get(quantised)!.bytes).toBe(700);
    expect(found.get(silent)!.problem!.what).toContain('uint32');
    expect(found.get(half)!.problem!.code).toBe('files-needed');
    expect(found.get(broken)!.problem).not.toBeNull();
  });

  test('is read in place, also where the server told no length', async () => {
    await fetched(stock, FILES);
    const folder = await cachedFolder(store, stock);
    expect([...folder.keys()].sort()).toEqual(Object.keys(FILES).sort());
    for (const [file, bytes] of Object.entries(FILES)) {
      const source = folder.get(file)!;
      expect(source.size).toBe(bytes.length);
      expect([...(await source.read(5, 7))]).toEqual([...bytes.slice(5, 12)]);
    }
    await expect(cachedFolder(store, 'https://huggingface.co/none/')).rejects.toMatchObject({
      code: 'files-needed',
    });
  });

  test('looking makes no caches', async () => {
    expect(await cachedModels(store)).toEqual([]);
    expect(await cachedBundles(store)).toEqual([]);
    expect(caches.caches.size).toBe(0);
  });

  test('an entry that somebody forged is not followed', async () => {
    const lab = await caches.open('sdd-lab/bundles');
    const victim = 'https://huggingface.co/mlc-ai/x/resolve/main/';
    await fetched(victim, FILES);
    const entry = {
      complete: false,
      bundle: {
        url: victim,
        name: 'x',
        nodeId: 'n',
        bytes: 1,
        quantisation: 'q0f32',
        stock: null,
        checked: 'nothing',
        createdAt: 1,
      },
      files: [{ file: 'params_shard_0.bin', bytes: 400, sha256: '' }],
    };
    await lab.put(`${victim}bundle.json`, new Response(JSON.stringify(entry)));
    await lab.put('https://models.lab.invalid/a/resolve/main/bundle.json', new Response('no json'));
    await sweepBundles(store);
    expect(caches.bytes('webllm/model', `${victim}params_shard_0.bin`)).toBeDefined();
  });
});

test('addresses', () => {
  const hash = 'ab'.repeat(32);
  for (const [name, plain] of [
    ['SmolLM2 (SDD) 1e-4', 'SmolLM2-SDD-1e-4'],
    ['../../x?y#z', 'x-y-z'],
    ['방어된 모델', 'model'],
    ['', 'model'],
  ] as const)
    expect(bundleUrl(name, hash)).toBe(`https://models.lab.invalid/${plain}-abababababababab/resolve/main/`);
  expect(nameOfUrl('https://huggingface.co/mlc-ai/A-MLC/resolve/main/')).toBe('mlc-ai/A-MLC');
  expect(nameOfUrl('no address')).toBe('no address');
});
