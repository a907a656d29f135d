/** A bundle meets the library that would run it before WebLLM loads it. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { shapeJson } from '../../src/cli/models-make.ts';
import { CacheArtifacts } from '../../src/store/artifacts.ts';
import { requireLibraryFits } from '../../src/worker/bundle-library.ts';
import { cachedBundles, writeBundle } from '../../src/worker/bundles.ts';
import { library, metadata } from '../support/mlc-library.ts';
import { MemoryCaches } from '../support/memory-caches.ts';

const LIB = 'https://libs.lab.invalid/v0_2_86/base/SmolLM2-135M-Instruct-q0f32-ctx4k_cs1k-webgpu.wasm';
let store: CacheArtifacts;
let model: string;

/** A host that has the library, and writes down what it was asked. */
const host = (bytes: Uint8Array, status = 200) =>
  vi.fn((_url: RequestInfo | URL) => Promise.resolve(new Response(Uint8Array.from(bytes), { status })));
const checked = async (): Promise<string> => (await cachedBundles(store))[0]!.checked;

beforeEach(async () => {
  const caches = new MemoryCaches();
  store = new CacheArtifacts(() => caches);
  store.estimate = () => Promise.resolve({ usedBytes: 0, quotaBytes: 0, persisted: false });
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const files: Record<string, Uint8Array<ArrayBuffer>> = {
    'config.json': text(shapeJson('smollm2-135m')),
    'mlc-chat-config.json': text({ quantization: 'q0f32' }),
    'tensor-cache.json': text({ records: [] }),
  };
  const { url } = await writeBundle(
    store,
    {
      ...{ name: 'mine', nodeId: 'n', quantisation: 'q0f32', stock: 'SmolLM2-135M-Instruct-q0f32-MLC' },
      ...{ checked: 'shape', totalBytes: 100 },
      encode: async (open) => {
        for (const [file, bytes] of Object.entries(files)) {
          const sink = await open(file);
          await sink.write(bytes);
          await sink.close();
        }
      },
    },
    () => {},
    new AbortController().signal,
  );
  model = url;
});

describe('a bundle that only its shape spoke for', () => {
  test('is held against the library, which then is in the cache; once', async () => {
    const bytes = library(metadata());
    const get = host(bytes);
    await requireLibraryFits(store, { model, model_lib: LIB }, undefined, get);
    expect(get.mock.calls.map(([url]) => url)).toEqual([LIB]);
    expect(await checked()).toBe('library');
    const kept = await (await store.get({ scope: 'wasm', url: LIB }))!.blob();
    expect(new Uint8Array(await kept.arrayBuffer())).toEqual(Uint8Array.from(bytes));
    await requireLibraryFits(store, { model, model_lib: LIB }, undefined, get);
    expect(get).toHaveBeenCalledTimes(1);
  });

  test('is refused by the name of what differs, and the library is not kept', async () => {
    const other = library(metadata((params) => (params[3]!.shape = [7, 576])));
    const wrong = requireLibraryFits(store, { model, model_lib: LIB }, undefined, host(other));
    await expect(wrong).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringMatching(/model\.layers\.0\./) as string,
    });
    expect(await checked()).toBe('shape');
    expect(await store.get({ scope: 'wasm', url: LIB })).toBeNull();
  });

  test('asks nobody where WebLLM has the library already', async () => {
    const bytes = Uint8Array.from(library(metadata()));
    const put = await store.put({ scope: 'wasm', url: LIB }, 'application/wasm', bytes.length);
    await put.write(bytes);
    await put.close();
    const get = host(bytes);
    await requireLibraryFits(store, { model, model_lib: LIB }, undefined, get);
    expect(get).not.toHaveBeenCalled();
    expect(await checked()).toBe('library');
  });

  test.each([
    ['a host that is not there', vi.fn(() => Promise.reject(new TypeError('failed'))), 'network'],
    ['a host that has none', host(new Uint8Array(), 404), 'server'],
  ])('%s is said, and the bundle stays', async (_, get, code) => {
    const failed = requireLibraryFits(store, { model, model_lib: LIB }, undefined, get);
    await expect(failed).rejects.toMatchObject({ code });
    expect(await checked()).toBe('shape');
  });
});

test('what is no bundle of the lab is none of its business', async () => {
  const get = host(new Uint8Array());
  await requireLibraryFits(store, { model: 'https://else.invalid/', model_lib: LIB }, undefined, get);
  expect(get).not.toHaveBeenCalled();
});
