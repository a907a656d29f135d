/** `models convert` to an MLC bundle and from one. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { convertModel, writePeft } from '../../src/cli/models-convert.ts';
import { nodeFolder } from '../../src/cli/models-files.ts';
import { inspectModel } from '../../src/cli/models-inspect.ts';
import { main } from '../../src/cli/models.ts';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import type { Tensors } from '../../src/core/types.ts';
import { mlcShapes } from '../../src/files/mlc/names.ts';
import { loraLayout, type LoraConfig } from '../../src/model/lora.ts';
import { readSafetensors, roundToF16 } from '../../src/model/safetensors.ts';
import { checkpoint } from '../support/checkpoint.ts';

const root = mkdtempSync(join(tmpdir(), 'models-mlc-'));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
const fresh = (): string => join(root, `out-${++count}`);

const base = join(root, 'base');
mkdirSync(base);
for (const [name, part] of Object.entries(checkpoint())) writeFileSync(join(base, name), part);
const config = parseLlamaConfig(JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')));
const tensorsIn = (dir: string): Tensors =>
  readSafetensors(readFileSync(join(dir, 'model.safetensors'))).tensors;

/** A library that lists what `change` leaves of this model's tensors. */
function library(
  change: (params: { name: string; shape: number[]; dtype: string }[]) => unknown = () => {},
): string {
  const params = [...mlcShapes(config)].map(([name, shape]) => ({ name, shape, dtype: 'float32' }));
  change(params);
  const file = join(root, `lib-${++count}.wasm`);
  writeFileSync(
    file,
    Buffer.concat([Buffer.from('\0asm'), Buffer.from(JSON.stringify({ params })), Buffer.from([0])]),
  );
  return file;
}

describe('to a bundle and back', () => {
  test.each([
    ['F32', 'F32'],
    ['F16', 'F16'],
  ] as const)('%s is exact', async (dtype, back) => {
    const [mlc, hf] = [fresh(), fresh()];
    const notes: string[] = [];
    const written = await convertModel(base, mlc, {
      to: 'mlc',
      adapters: [],
      dtype,
      onNote: (n) => notes.push(n),
    });
    expect(written.sort()).toEqual(readdirSync(mlc).sort());
    expect(notes.join()).toMatch(/No stock library of WebLLM runs this shape/);
    expect((await inspectModel(await nodeFolder(mlc))).unsupported).toEqual([]);
    await convertModel(mlc, hf, { to: 'hf', adapters: [], dtype: back });
    expect(tensorsIn(hf)).toEqual(
      new Map([...tensorShapes(config).keys()].map((n) => [n, tensorsIn(base).get(n)])),
    );
    for (const file of ['tokenizer.json', 'tokenizer_config.json'])
      expect(JSON.parse(readFileSync(join(hf, file), 'utf8'))).toEqual(
        JSON.parse(readFileSync(join(base, file), 'utf8')),
      );
  });

  test('adapters are folded in first, as in Hugging Face’s layout', async () => {
    const lora: LoraConfig = { r: 2, alpha: 4, targets: ['k_proj', 'up_proj'] };
    const tensors: Tensors = new Map(
      loraLayout(config, lora).entries.map((e, k) => [
        e.name,
        { shape: [...e.shape], data: Float32Array.from({ length: e.size }, (_, i) => Math.sin(i + k)) },
      ]),
    );
    const adapter = fresh();
    await writePeft(adapter, { lora, tensors }, base);
    const [mlc, hf, direct] = [fresh(), fresh(), fresh()];
    const o = { adapters: [adapter], dtype: 'F32' as const };
    await convertModel(base, mlc, { ...o, to: 'mlc' });
    await convertModel(mlc, hf, { to: 'hf', adapters: [], dtype: 'F32' });
    await convertModel(base, direct, { ...o, to: 'hf' });
    expect(tensorsIn(hf)).toEqual(tensorsIn(direct));
    expect(tensorsIn(hf)).not.toEqual(tensorsIn(base));
  });

  test('what WebLLM keeps alone is enough, and the template comes along', async () => {
    const [mlc, hf] = [fresh(), fresh()];
    await convertModel(base, mlc, { to: 'mlc', adapters: [], dtype: 'F32' });
    for (const file of ['config.json', 'tokenizer_config.json', 'ndarray-cache.json'])
      rmSync(join(mlc, file));
    expect(await convertModel(mlc, hf, { to: 'hf', adapters: [], dtype: 'F16' })).toContain(
      'chat_template.jinja',
    );
    for (const [name, { data }] of tensorsIn(hf))
      expect(data).toEqual(roundToF16(tensorsIn(base).get(name)!.data));
    expect((await inspectModel(await nodeFolder(hf))).chatTemplate).toBe('model');
  });
});

describe('against a library', () => {
  test('that takes the weights', async () => {
    const notes: string[] = [];
    const o = {
      to: 'mlc',
      adapters: [],
      dtype: 'F32' as const,
      lib: library(),
      onNote: (n: string) => notes.push(n),
    };
    await convertModel(base, fresh(), o);
    expect(notes).toEqual([expect.stringMatching(/takes these weights/)]);
  });

  test.each<[string, Parameters<typeof library>[0], 'F32' | 'F16', RegExp]>([
    ['of another shape', (p) => (p[1]!.shape = [1, 1]), 'F32', /qkv_proj.weight has .* it wants \[1, 1\]/],
    ['of fewer layers', (p) => p.splice(4), 'F32', /does not know/],
    ['of another type', () => {}, 'F16', /is float16, it wants float32/],
  ])('%s nothing is written', async (_, change, dtype, message) => {
    const out = fresh();
    const lib = library(change);
    await expect(convertModel(base, out, { to: 'mlc', adapters: [], dtype, lib })).rejects.toThrow(message);
    expect(existsSync(out)).toBe(false);
  });
});

test('bad input is named', async () => {
  await expect(main(['convert', base, fresh(), '--to', 'onnx'])).rejects.toThrow(/hf, mlc or peft/);
  await expect(main(['convert', base, fresh(), '--to', 'hf', '--lib', 'x.wasm'])).rejects.toThrow(
    /--lib is of --to mlc/,
  );
  await expect(main(['convert', base, fresh(), '--to', 'mlc', '--lib', 'x.wasm'])).rejects.toThrow(
    /x.wasm is not there/,
  );
  const quantised = fresh();
  await convertModel(base, quantised, { to: 'mlc', adapters: [], dtype: 'F32' });
  const file = join(quantised, 'tensor-cache.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"float32"', '"uint32"'));
  await expect(main(['convert', quantised, fresh(), '--to', 'hf'])).rejects.toMatchObject({
    message: expect.stringMatching(/quantised.*uint32/) as string,
    next: expect.stringMatching(/q0f32 or q0f16/) as string,
  });
});

test('a bundle whose shard was cut off or changed is not read', async () => {
  const mlc = fresh();
  await convertModel(base, mlc, { to: 'mlc', adapters: [], dtype: 'F32' });
  const shard = join(mlc, 'params_shard_0.bin');
  const bytes = readFileSync(shard);
  bytes[bytes.length - 1]! ^= 128;
  writeFileSync(shard, bytes);
  const out = fresh();
  await expect(convertModel(mlc, out, { to: 'hf', adapters: [], dtype: 'F32' })).rejects.toMatchObject({
    code: 'wrong-hash',
  });
  writeFileSync(shard, bytes.subarray(0, 100));
  await expect(convertModel(mlc, out, { to: 'hf', adapters: [], dtype: 'F32' })).rejects.toMatchObject({
    code: 'corrupt-model',
  });
  expect(existsSync(out)).toBe(false);
});
