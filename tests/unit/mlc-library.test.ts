/** What a compiled library says of its weights, from bytes that are made here; and the real package's list of models. */
import { existsSync, readFileSync } from 'node:fs';
import { prebuiltAppConfig } from '@mlc-ai/web-llm';
import { filesUrl, needsF16 } from '../../src/llm/models.ts';
import { bundleUrl } from '../../src/files/mlc/address.ts';
import { bundleRecords } from '../../src/worker/bundles.ts';
import type { CachedBundle } from '../../src/worker/protocol.ts';
import { describe, expect, test } from 'vitest';
import { shapeJson } from '../../src/cli/models-make.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { webllmModel } from '../../src/core/known-models.ts';
import { checkAgainstLib, readLibMetadata } from '../../src/files/mlc/library.ts';
import { library, metadata, shapes } from '../support/mlc-library.ts';

describe('a library', () => {
  test('is read by a scan: type, quantisation, names, shapes', () => {
    const found = readLibMetadata('a.wasm', library(metadata()));
    expect(found).toMatchObject({ modelType: 'llama', quantisation: 'q0f32' });
    expect(found.params.size).toBe(shapes.size);
    expect(found.params.get('model.embed_tokens.weight')).toEqual({ shape: [null, 576], dtype: 'float32' });
    expect(found.params.get('model.layers.3.self_attn.qkv_proj.weight')!.shape).toEqual([960, 576]);
    checkAgainstLib('a.wasm', found, shapes, 'F32');
    checkAgainstLib('a.wasm', found, shapes, 'BF16');
  });

  test('may hold other texts with these letters, braces in texts, and the same list twice', () => {
    const odd = metadata((params) => (params[0]!.name = 'model.embed_tokens.weight'));
    const other = '{"params": 3}';
    const quoted = '{"note": "\\"params\\" } {", "x": [1]}';
    const found = readLibMetadata(
      'a.wasm',
      library(other, quoted, '"params"', odd, '{"params": ["x"]}', odd),
    );
    expect(found.params.size).toBe(shapes.size);
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['that is none', Buffer.from('<!doctype html>'), /not WebAssembly/],
    ['without a list', library('{"model_type": "llama"}'), /no list of parameters/],
    ['with half a list', library(metadata().slice(0, 2000)), /no list of parameters/],
    ['with an empty list', library('{"params": []}'), /no list of parameters/],
    [
      'with a list of something else',
      library('{"params": [{"name": "a", "shape": [{}], "dtype": "x"}]}'),
      /no list/,
    ],
    [
      'with two different lists',
      library(
        metadata(),
        metadata((p) => p.pop()),
      ),
      /two different lists/,
    ],
    ['of no bytes', new Uint8Array(0), /not WebAssembly/],
  ])('%s is refused', (_, bytes, message) => {
    expect(() => readLibMetadata('a.wasm', bytes)).toThrow(message);
  });

  test('that is made to be slow is given up in time', () => {
    const begin = performance.now();
    for (const text of [
      '{'.repeat(3_000_000) + '"params"' + '}'.repeat(10),
      '{"a":'.repeat(300_000) + '"params"'.repeat(20_000),
      `{"params":${'['.repeat(2_000_000)}`,
      '"params"'.repeat(300_000),
    ])
      expect(() => readLibMetadata('a.wasm', library(text))).toThrow(/no list/);
    expect(performance.now() - begin).toBeLessThan(20_000);
  });

  test('with a key of JavaScript’s own changes no object', () => {
    const found = readLibMetadata(
      'a.wasm',
      library(
        '{"__proto__": {"polluted": 1}, "params": [{"name": "__proto__", "shape": [1], "dtype": "float32"}]}',
      ),
    );
    expect([...found.params.keys()]).toEqual(['__proto__']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe('weights against a library', () => {
  const against =
    (change: Parameters<typeof metadata>[0], dtype: 'F32' | 'F16' = 'F32') =>
    (): void =>
      checkAgainstLib('a.wasm', readLibMetadata('a.wasm', library(metadata(change))), shapes, dtype);

  test('any length that is not compiled in fits', () => {
    expect(against((p) => (p[0]!.shape[0] = -1))).not.toThrow();
  });
  test('a missing, an unknown, a misshapen tensor and another type are named', () => {
    expect(against((p) => p.push({ name: 'lm_head.weight', shape: [1], dtype: 'float32' }))).toThrow(
      /it wants lm_head.weight\./,
    );
    expect(against((p) => p.pop())).toThrow(/it does not know model.norm.weight\./);
    expect(against((p) => (p[1]!.shape = [768, 576]))).toThrow(
      /model.layers.0.self_attn.qkv_proj.weight has \[960, 576\], it wants \[768, 576\]/,
    );
    expect(against((p) => (p[1]!.shape = [960]))).toThrow(/it wants \[960\]/);
    expect(against(() => {}, 'F16')).toThrow(
      /model.embed_tokens.weight is float16, it wants float32; .* and \d+ more/,
    );
  });
  test('more layers than it has: the first are named, the rest are counted', () => {
    expect(against((p) => p.splice(10))).toThrow(/it does not know [^;]+; [^;]+; [^;]+ and \d+ more\./);
  });
});

describe('the stock libraries', () => {
  const ids = new Set(prebuiltAppConfig.model_list.map((m) => m.model_id));

  test.each(['smollm2-135m', 'smollm2-360m', 'llama-3.2-1b'])(
    'of %s are in the package’s own list',
    (shape) => {
      const c = parseLlamaConfig(shapeJson(shape));
      for (const q of ['q0f16', 'q0f32'] as const) {
        const id = webllmModel(c, q);
        expect(ids).toContain(id);
        const record = prebuiltAppConfig.model_list.find((m) => m.model_id === id)!;
        // where exportMlc looks for it in WebLLM's cache
        expect(record.model_lib).toContain(`/${id!.replace('-MLC', '')}_`);
      }
    },
  );

  test('take another vocabulary, and nothing else that is compiled in', () => {
    const json = shapeJson('llama-3.2-1b');
    const of = (change: object) => webllmModel(parseLlamaConfig({ ...json, ...change }), 'q0f32');
    expect(of({ vocab_size: 128258 })).toBe('Llama-3.2-1B-Instruct-q0f32-MLC');
    for (const change of [
      { rms_norm_eps: 1e-6 },
      { rope_theta: 10000 },
      { rope_scaling: null },
      { rope_scaling: { ...(json.rope_scaling as object), factor: 8 } },
      { num_hidden_layers: 15 },
      { num_key_value_heads: 4 },
      { tie_word_embeddings: false },
    ])
      expect(of(change), JSON.stringify(change)).toBeNull();
    expect(webllmModel(parseLlamaConfig(shapeJson('tinyllama-1.1b')), 'q0f32')).toBeNull();
  });
});

/** Not part of the required tests: a real library, named by its path. */
const real = process.env.WEBLLM_LIB;
describe.skipIf(real === undefined || !existsSync(real))('WEBLLM_LIB', () => {
  test('holds a list of parameters', () => {
    const found = readLibMetadata('real.wasm', readFileSync(real!));
    expect(found.params.size).toBeGreaterThan(10);
  });
});

test('a bundle of the lab is its stock model with other weights in WebLLM’s list', () => {
  const stock = prebuiltAppConfig.model_list;
  const like = 'SmolLM2-135M-Instruct-q0f16-MLC';
  const url = bundleUrl('my model', '0123456789abcdef0123');
  const bundle: CachedBundle = {
    ...{ url, name: 'my model', nodeId: 'n', bytes: 1, quantisation: 'q0f16', stock: like },
    ...{ checked: 'shape', createdAt: 1 },
  };
  const [record, ...others] = bundleRecords([bundle, { ...bundle, stock: null }], stock);
  expect(others).toEqual([]);
  const original = stock.find((r) => r.model_id === like)!;
  expect(record).toMatchObject({
    model: url,
    model_id: 'my model (q0f16, 01234567)',
    model_lib: original.model_lib,
  });
  expect(record!.overrides).toEqual(original.overrides);
  expect('integrity' in record!).toBe(false);
  expect(filesUrl(record!)).toBe(url);
  expect(needsF16(record!)).toBe(true);
});
