import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeFolder } from '../../src/cli/models-files.ts';
import { LabError } from '../../src/core/errors.ts';
import { Rng } from '../../src/core/rng.ts';
import { openCheckpoint } from '../../src/files/checkpoint.ts';
import { narrowWords, widenWords } from '../../src/files/dtypes.ts';
import { readHeader, readValues, readWords, type StoredTensor } from '../../src/files/safetensors.ts';
import { blobSource, bytesSource, readExactly, readJson, type FileSource } from '../../src/files/source.ts';
import { writeSafetensors } from '../../src/model/safetensors.ts';

const dir = mkdtempSync(join(tmpdir(), 'files-'));
afterAll(() => rmSync(dir, { recursive: true }));

const rng = new Rng('files');
const random = (n: number): Float32Array => Float32Array.from({ length: n }, () => rng.normal());
const text = (s: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(s);
const code = (c: string) => (e: unknown) => e instanceof LabError && e.code === c;

describe('sources', () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
  let disk: FileSource;
  beforeAll(async () => {
    writeFileSync(join(dir, 'bytes'), bytes);
    symlinkSync(join(dir, 'nowhere'), join(dir, 'broken'));
    symlinkSync(join(dir, 'bytes'), join(dir, 'link'));
    disk = (await nodeFolder(dir)).get('bytes')!;
  });

  it('give the same ranges from memory, a Blob and a disk, into a given buffer or not', async () => {
    for (const source of [bytesSource('m', bytes), blobSource(new File([bytes], 'f')), disk]) {
      expect(source.size).toBe(100);
      for (const into of [undefined, new Uint8Array(64)])
        expect([...(await readExactly(source, 7, 5, into))]).toEqual([7, 8, 9, 10, 11]);
      expect((await readExactly(source, 100, 0)).length).toBe(0);
    }
    expect(blobSource(new File([bytes], 'weights')).name).toBe('weights');
  });

  it('say when a file ends early, cannot be read, or is no JSON', async () => {
    const shorter = { ...bytesSource('short.bin', bytes), size: 200 };
    await expect(readExactly(shorter, 90, 20)).rejects.toThrow(/short.bin ends after 100 of its 200 bytes/);
    const gone = { name: 'gone', size: 5, read: () => Promise.reject(new Error('NotReadableError')) };
    await expect(readExactly(gone, 0, 5)).rejects.toSatisfy(code('bad-input'));
    await expect(readJson(bytesSource('config.json', text('<html>')))).rejects.toThrow(
      /config.json is not JSON/,
    );
    await expect(readJson(bytesSource('config.json', bytes.slice().fill(255)))).rejects.toThrow(
      /not a text in UTF-8/,
    );
    await expect(readJson({ ...bytesSource('t', bytes), size: 1e12 })).rejects.toThrow(/too many for a text/);
  });

  it('of a folder follow links and skip those to nowhere', async () => {
    expect([...(await nodeFolder(dir)).keys()].sort()).toEqual(['bytes', 'link']);
    await expect(nodeFolder(join(dir, 'none'))).rejects.toSatisfy(code('not-found'));
  });
});

describe('tensors by slices', () => {
  const data = { a: random(1000), b: random(7) };
  const file = (dtype: 'F32' | 'F16'): FileSource =>
    bytesSource(
      'm',
      writeSafetensors(
        new Map([
          ['a', { shape: [10, 100], data: data.a }],
          ['empty', { shape: [0, 3], data: new Float32Array(0) }],
          ['b', { shape: [7], data: data.b }],
        ]),
        dtype,
      ),
    );
  const tensor = async (source: FileSource, name: string): Promise<StoredTensor> => ({
    ...(await readHeader(source)).tensors.get(name)!,
    source,
  });

  it('are the whole tensor whatever the slice, and never more than a slice', async () => {
    for (const sliceBytes of [4, 100, 1024, 4000, 1 << 20]) {
      for (const name of ['a', 'b'] as const) {
        const got: number[] = [];
        for await (const { at, values } of readValues(await tensor(file('F32'), name), sliceBytes)) {
          expect(at).toBe(got.length);
          expect(values.byteLength).toBeLessThanOrEqual(sliceBytes);
          got.push(...values);
        }
        expect(got).toEqual([...data[name]]);
      }
      for await (const _ of readValues(await tensor(file('F16'), 'empty'), sliceBytes))
        throw new Error('a slice');
    }
  });
});

describe('openCheckpoint', () => {
  const one = (name: string): Uint8Array<ArrayBuffer> =>
    writeSafetensors(new Map([[name, { shape: [2], data: random(2) }]]), 'F32');
  const folder = (files: Record<string, Uint8Array<ArrayBuffer> | object>): Map<string, FileSource> =>
    new Map(
      Object.entries(files).map(([name, content]) => [
        name,
        bytesSource(name, content instanceof Uint8Array ? content : text(JSON.stringify(content))),
      ]),
    );
  const sharded = (weight_map: unknown, more: Record<string, Uint8Array<ArrayBuffer>> = {}) =>
    openCheckpoint(
      folder({
        's1.safetensors': one('a'),
        's2.safetensors': one('b'),
        ...more,
        'model.safetensors.index.json': { weight_map },
      }),
    );

  it('reads shards by their index, and a single file before any index', async () => {
    const map = { b: 's2.safetensors', a: 's1.safetensors' };
    const { tensors, files } = await sharded(map);
    expect([...tensors.values()].map((t) => [t.name, t.source.name])).toEqual([
      ['b', 's2.safetensors'],
      ['a', 's1.safetensors'],
    ]);
    expect(files.map((f) => f.name)).toEqual(['s2.safetensors', 's1.safetensors']);
    const both = await sharded(map, { 'model.safetensors': one('c') });
    expect([...both.tensors.keys()]).toEqual(['c']);
  });

  it.for<[unknown, RegExp]>([
    [{ a: 's1.safetensors', b: 's3.safetensors' }, /names file "s3.safetensors", not in this folder/],
    [
      { a: 's1.safetensors', b: 's2.safetensors', c: 's2.safetensors' },
      /names tensor "c", which no given file holds/,
    ],
    [{ a: 's1.safetensors', c: 's2.safetensors' }, /names tensor "c"/],
    [
      { a: 's2.safetensors', b: 's1.safetensors' },
      /puts tensor "a" into s2.safetensors, but it is in s1.safetensors/,
    ],
    [{ a: '../s1.safetensors' }, /"..\/s1.safetensors", which is not a plain file name/],
    [{ a: 'sub/s1.safetensors' }, /not a plain file name/],
    [{ a: 'C:\\s1.safetensors' }, /not a plain file name/],
    [{ a: '..' }, /not a plain file name/],
    [{ a: 3 }, /names no file for tensor "a"/],
    [{}, /names no tensor/],
    [[], /no weight_map/],
    [undefined, /no weight_map/],
  ])('refuses the index %j', async ([map, message]) => {
    await expect(sharded(map)).rejects.toThrow(message);
    await expect(sharded(map)).rejects.toSatisfy(code('corrupt-model'));
  });

  it('refuses what the index does not name, and one tensor in two shards', async () => {
    const two = writeSafetensors(
      new Map(['b', 'x'].map((name) => [name, { shape: [1], data: random(1) }])),
      'F32',
    );
    const map = { a: 's1.safetensors', b: 's2.safetensors' };
    await expect(sharded(map, { 's2.safetensors': two })).rejects.toThrow(
      /hold tensor "x" that the index does not name/,
    );
    await expect(sharded(map, { 's2.safetensors': one('a') })).rejects.toThrow(
      /"a" is in more than one file/,
    );
  });

  it('says what is there instead of weights', async () => {
    await expect(openCheckpoint(folder({ 'pytorch_model.bin': one('a') }))).rejects.toThrow(
      /no model.safetensors and no .*It has file "pytorch_model.bin"/,
    );
    await expect(openCheckpoint(new Map())).rejects.toSatisfy(code('not-found'));
  });
});

describe('16-bit words', () => {
  it.for([
    [
      'f16',
      [1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, -65504, 2 ** -24, 2 ** -26, 0.1, Infinity],
      [1, 1, 1 + 2 ** -9, -65504, 2 ** -24, 0, 0.0999755859375, Infinity],
    ],
    [
      'bf16',
      [1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -1e38, 0.1, -0, -Infinity],
      [1, 1, 1 + 2 ** -6, -9.969209968386869e37, 0.10009765625, -0, -Infinity],
    ],
  ] as const)('%s: rounded to nearest, ties to even', ([as, values, rounded]) => {
    expect([...widenWords(narrowWords('w', Float32Array.from(values), as), as)]).toEqual(rounded);
    expect(widenWords(narrowWords('w', Float32Array.of(NaN), as), as)[0]).toBeNaN();
  });

  it('do not become infinite in silence', () => {
    expect(() => narrowWords('model.norm.weight', Float32Array.of(0, 65520), 'f16')).toThrow(
      /model.norm.weight holds 65520, which is too large for f16/,
    );
    expect(() => narrowWords('w', Float32Array.of(-3.4e38), 'bf16')).toThrow(/too large for bf16/);
  });

  it('of a tensor: as they are stored, or rounded, whatever the slice, and never more than a slice', async () => {
    const data = random(1001);
    for (const dtype of ['F32', 'F16'] as const) {
      const source = bytesSource('m', writeSafetensors(new Map([['a', { shape: [7, 143], data }]]), dtype));
      const tensor = { ...(await readHeader(source)).tensors.get('a')!, source };
      const stored = dtype === 'F16' ? widenWords(narrowWords('a', data, 'f16'), 'f16') : data;
      for (const as of ['f16', 'bf16'] as const)
        for (const sliceBytes of [8, 100, 1001, 1 << 20]) {
          const got: number[] = [];
          for await (const { at, values } of readWords(tensor, as, sliceBytes)) {
            expect(at).toBe(got.length);
            expect(values.byteLength).toBeLessThanOrEqual(sliceBytes);
            got.push(...values);
          }
          expect(got).toEqual([...narrowWords('a', stored, as)]);
        }
    }
  });
});
