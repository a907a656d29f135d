/** The shards and lists of MLC bundles: against bytes written by hand, an independent rounding, and files that lie. */
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseLlamaConfig, tensorShapes, type LlamaConfig } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import type { Dtype } from '../../src/files/dtypes.ts';
import { decodeMlc } from '../../src/files/mlc/decode.ts';
import { encodeMlc, planMlcShards, type TensorSource } from '../../src/files/mlc/encode.ts';
import { parseManifest } from '../../src/files/mlc/manifest.ts';
import { llamaToMlc, mlcShapes } from '../../src/files/mlc/names.ts';
import { readValues } from '../../src/files/safetensors.ts';
import { bytesSource, type FileFolder, type FileSource } from '../../src/files/source.ts';

const CAP = 32 * 2 ** 20;
const text = (s: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(s);
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

function source(tensors: Record<string, { shape: number[]; data: Float32Array }>, slice = 3): TensorSource {
  return {
    shapes: new Map(Object.entries(tensors).map(([name, { shape }]) => [name, shape])),
    values: async function* (name) {
      const { data } = tensors[name]!;
      for (let at = 0; at < data.length; at += slice)
        yield await Promise.resolve({ at, values: data.slice(at, at + slice) });
    },
  };
}

/** Encodes into memory; a file that was opened and not closed fails. */
async function encoded(from: TensorSource, dtype: Dtype, cap?: number) {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  let largest = 0;
  const { files: names } = await encodeMlc(from, {
    dtype,
    ...(cap !== undefined && { cap }),
    open: (file) => {
      const parts: Uint8Array[] = [];
      return Promise.resolve({
        write: (bytes) => {
          if (file.endsWith('.bin')) largest = Math.max(largest, bytes.length);
          parts.push(bytes);
          return Promise.resolve();
        },
        close: () => {
          files.set(file, new Uint8Array(Buffer.concat(parts)));
          return Promise.resolve();
        },
      });
    },
  });
  return { files, names, largest };
}

const folder = (files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): FileFolder =>
  new Map([...files].map(([name, bytes]) => [name, bytesSource(name, bytes)]));

describe('a bundle', () => {
  const tensors = {
    'model.embed_tokens.weight': { shape: [2, 2], data: new Float32Array([1, -2, 0.5, 3]) },
    'model.norm.weight': { shape: [2], data: new Float32Array([1, 1]) },
  };
  const shard = new Uint8Array([
    0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x3f,
  ]);
  const list = `{
  "metadata": {
    "ParamSize": 2,
    "ParamBytes": 24,
    "BitsPerParam": 32
  },
  "records": [
    {
      "dataPath": "params_shard_0.bin",
      "format": "raw-shard",
      "nbytes": 24,
      "md5sum": "${md5(shard)}",
      "records": [
        {
          "name": "model.embed_tokens.weight",
          "shape": [
            2,
            2
          ],
          "dtype": "float32",
          "format": "raw",
          "nbytes": 16,
          "byteOffset": 0
        },
        {
          "name": "model.norm.weight",
          "shape": [
            2
          ],
          "dtype": "float32",
          "format": "raw",
          "nbytes": 8,
          "byteOffset": 16
        }
      ]
    }
  ]
}
`;

  test('is these bytes, under both names of its list, which come last', async () => {
    const { files, names } = await encoded(source(tensors), 'F32');
    expect(names).toEqual(['params_shard_0.bin', 'ndarray-cache.json', 'tensor-cache.json']);
    expect([...files.keys()]).toEqual(names);
    expect(files.get('params_shard_0.bin')).toEqual(shard);
    for (const name of names.slice(1)) expect(new TextDecoder().decode(files.get(name))).toBe(list);
  });

  test.each([
    ['F16', { dtype: 'float16', format: 'raw' }, 16, 12, 2],
    ['BF16', { dtype: 'float32', format: 'f32-to-bf16' }, 32, 24, 2],
  ] as const)('says of %s what MLC calls it', async (dtype, wanted, bits, memory, width) => {
    const { files } = await encoded(source(tensors), dtype);
    const { metadata, records } = JSON.parse(new TextDecoder().decode(files.get('tensor-cache.json'))) as {
      metadata: object;
      records: { nbytes: number; records: object[] }[];
    };
    expect(metadata).toEqual({ ParamSize: 2, ParamBytes: memory, BitsPerParam: bits });
    expect(records[0]!.nbytes).toBe(6 * width);
    expect(records[0]!.records[0]).toMatchObject({ ...wanted, nbytes: 4 * width });
  });

  test('never holds more than a slice', async () => {
    const data = new Float32Array(10_000).fill(1);
    const { largest, files } = await encoded(source({ a: { shape: [10_000], data } }, 16), 'F32');
    expect(largest).toBe(64);
    expect(files.get('params_shard_0.bin')!.length).toBe(40_000);
  });
});

describe('shards', () => {
  const plan = (lengths: number[], cap = 100) =>
    planMlcShards(new Map(lengths.map((n, i) => [`t${i}`, [n]])), 'F32', cap).map((s) =>
      s.records.map((r) => `${r.name}@${r.byteOffset}`),
    );

  test('are filled in order and stay below the cap', () => {
    // 40 bytes each: two fit below 100, and three would not
    expect(plan([10, 10, 10, 10, 10])).toEqual([['t0@0', 't1@40'], ['t2@0', 't3@40'], ['t4@0']]);
    // exactly the cap is not below it
    expect(plan([12, 12, 1])).toEqual([['t0@0', 't1@48'], ['t2@0']]);
    expect(plan([12, 10, 3])).toEqual([['t0@0', 't1@48'], ['t2@0']]);
  });

  test('a tensor of half the cap or more that does not fit goes alone, before the shard that is filled', () => {
    expect(plan([5, 30, 5])).toEqual([['t1@0'], ['t0@0', 't2@20']]);
    // half the cap, and it fits: it stays with the others
    expect(plan([13, 5])).toEqual([['t0@0', 't1@52']]);
    expect(plan([13, 13, 5])).toEqual([['t1@0'], ['t0@0', 't2@52']]);
  });

  test('names count up, and a model of Llama-3.2-1B has its embedding alone', () => {
    const shards = planMlcShards(
      new Map([
        ['e', [128256, 2048]],
        ['n', [2048]],
      ]),
      'F32',
    );
    expect(shards.map((s) => [s.dataPath, s.nbytes])).toEqual([
      ['params_shard_0.bin', 128256 * 2048 * 4],
      ['params_shard_1.bin', 8192],
    ]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 }), (lengths) => {
        const all = planMlcShards(new Map(lengths.map((n, i) => [`t${i}`, [n]])), 'F32', 100);
        all.forEach((s, i) => expect(s.dataPath).toBe(`params_shard_${i}.bin`));
        for (const { nbytes, records } of all) {
          if (records.length > 1) expect(nbytes).toBeLessThan(100);
          let at = 0;
          for (const r of records) {
            expect(r.byteOffset).toBe(at);
            at += r.nbytes;
          }
          expect(at).toBe(nbytes);
        }
        expect(all.flatMap((s) => s.records.map((r) => r.name)).sort()).toEqual(
          lengths.map((_, i) => `t${i}`).sort(),
        );
      }),
    );
    expect(CAP).toBe(33554432);
  });
});

/**
 * Bits of the bfloat16 nearest to a float32, ties to even, NaN for NaN: the value in float64, divided by what its last place is
 * worth (a power of two, so nothing is rounded), and no shift of bits.
 */
function referenceBF16(bits: number): number {
  const value = new Float32Array(new Uint32Array([bits]).buffer)[0]!;
  if (Number.isNaN(value)) return NaN;
  const sign = bits >= 2 ** 31 ? 0x8000 : 0;
  const field = Math.max(1, Math.floor((bits % 2 ** 31) / 2 ** 23));
  if (!Number.isFinite(value)) return sign + 0x7f80;
  const places = Math.abs(value) / 2 ** (field - 127 - 7);
  const below = Math.floor(places);
  const rest = places - below;
  const units = below + (rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? 1 : 0);
  // 128 places and more are a normal number; 256 carry into the exponent
  return sign + units + (field - 1) * 128;
}

async function stored(bits: Uint32Array): Promise<Uint16Array> {
  const data = new Float32Array(bits.buffer);
  const { files } = await encoded(source({ t: { shape: [data.length], data } }, 65536), 'BF16');
  return new Uint16Array(files.get('params_shard_0.bin')!.buffer);
}
const isNaN16 = (word: number): boolean => (word & 0x7f80) === 0x7f80 && (word & 0x7f) !== 0;

describe('f32-to-bf16', () => {
  test('gives each of the 65536 bfloat16 values back', async () => {
    const bits = Uint32Array.from({ length: 65536 }, (_, i) => i * 65536);
    const words = await stored(bits);
    for (let i = 0; i < 65536; i++)
      if (isNaN16(i)) expect(isNaN16(words[i]!) && words[i]! >> 15 === i >> 15).toBe(true);
      else if (words[i] !== i) expect.fail(`${i} became ${words[i]}`);
    // and reading widens them exactly
    const { files } = await encoded(
      source({ t: { shape: [65536], data: new Float32Array(bits.buffer) } }, 999),
      'BF16',
    );
    const file = bytesSource('params_shard_0.bin', files.get('params_shard_0.bin')!);
    let count = 0;
    for await (const { at, values } of readValues(
      { name: 't', dtype: 'BF16', shape: [65536], begin: 0, end: 131072, source: file },
      4096,
    ))
      for (let i = 0; i < values.length; i++) {
        const back = new Uint32Array(values.slice(i, i + 1).buffer)[0]!;
        if (!isNaN16(at + i) && back !== (at + i) * 65536) expect.fail(`${at + i} was read as ${back}`);
        count++;
      }
    expect(count).toBe(65536);
  });

  test('rounds 400000 random bit patterns, and the ties of every exponent, as the definition says', async () => {
    const rng = new Rng('bf16');
    const random = Uint32Array.from({ length: 400_000 }, () => Math.floor(rng.next() * 2 ** 32));
    const ties = Array.from({ length: 256 }, (_, e) =>
      [0, 1, 126, 127].flatMap((f) =>
        [0x7fff, 0x8000, 0x8001].flatMap((low) => [0, 2 ** 31].map((s) => s + e * 2 ** 23 + f * 65536 + low)),
      ),
    ).flat();
    const special = [
      0,
      2 ** 31,
      1,
      2 ** 31 + 1,
      0x007fffff,
      0x7f800000,
      0xff800000,
      0x7fc00000,
      0x7f800001,
      0xffffffff,
    ];
    // finite numbers that round to infinity are refused by name, see below
    const bits = Uint32Array.from([...random, ...ties, ...special]).filter(
      (b) =>
        Number.isNaN(referenceBF16(b)) || b % 2 ** 31 >= 0x7f800000 || referenceBF16(b) % 0x8000 < 0x7f80,
    );
    expect(bits.length).toBeGreaterThan(400_000);
    const words = await stored(bits);
    for (let i = 0; i < bits.length; i++) {
      const wanted = referenceBF16(bits[i]!);
      if (Number.isNaN(wanted)) {
        if (!isNaN16(words[i]!)) expect.fail(`NaN ${bits[i]!.toString(16)} became ${words[i]!.toString(16)}`);
      } else if (words[i] !== wanted)
        expect.fail(
          `${bits[i]!.toString(16)} became ${words[i]!.toString(16)} instead of ${wanted.toString(16)}`,
        );
    }
  });

  test('refuses a finite number that it would make infinite, by the name of its tensor', async () => {
    const bits = Uint32Array.from([0x7f7fffff]);
    expect(referenceBF16(0x7f7fffff)).toBe(0x7f80);
    await expect(stored(bits)).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('tensor t') as string,
    });
  });
});

const config = (o: Partial<LlamaConfig> = {}): LlamaConfig =>
  parseLlamaConfig({
    vocab_size: 11,
    hidden_size: 8,
    intermediate_size: 6,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 2,
    bos_token_id: 1,
    eos_token_id: 2,
    ...o,
  });

/** Every element of every tensor is another number. */
function numbered(c: LlamaConfig) {
  let next = 0;
  return new Map(
    [...tensorShapes(c)].map(([name, shape]) => {
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => ++next / 8);
      return [name, data] as const;
    }),
  );
}

async function there(c: LlamaConfig, slice: number, dtype: Dtype = 'F32') {
  const tensors = numbered(c);
  const from = llamaToMlc(c, {
    values: async function* (name) {
      const data = tensors.get(name)!;
      for (let at = 0; at < data.length; at += slice)
        yield await Promise.resolve({ at, values: data.slice(at, at + slice) });
    },
  });
  return { tensors, ...(await encoded(from, dtype, 400)) };
}

async function read(folder: FileFolder, c: LlamaConfig): Promise<Map<string, Float32Array>> {
  const checkpoint = await decodeMlc(folder, c);
  await checkpoint.verify!();
  const found = new Map<string, Float32Array>();
  for (const [name, tensor] of checkpoint.tensors) {
    const data = new Float32Array(tensor.shape.reduce((a, b) => a * b, 1));
    for await (const { at, values } of readValues(tensor, 64)) data.set(values, at);
    found.set(name, data);
  }
  return found;
}

describe('Llama and MLC', () => {
  test('stack q, k, v and gate, up', () => {
    const shapes = mlcShapes(config({ tie_word_embeddings: true }));
    expect([...shapes].slice(0, 8)).toEqual([
      ['model.embed_tokens.weight', [11, 8]],
      ['model.layers.0.self_attn.qkv_proj.weight', [16, 8]],
      ['model.layers.0.self_attn.o_proj.weight', [8, 8]],
      ['model.layers.0.mlp.gate_up_proj.weight', [12, 8]],
      ['model.layers.0.mlp.down_proj.weight', [8, 6]],
      ['model.layers.0.input_layernorm.weight', [8]],
      ['model.layers.0.post_attention_layernorm.weight', [8]],
      ['model.layers.1.self_attn.qkv_proj.weight', [16, 8]],
    ]);
    expect([...shapes.keys()].at(-1)).toBe('model.norm.weight');
    expect([...mlcShapes(config()).keys()].at(-1)).toBe('lm_head.weight');
  });

  test('the stacked rows lie one behind the other', async () => {
    const c = config();
    const { tensors, files } = await there(c, 5);
    const shards = parseManifest('x', JSON.parse(new TextDecoder().decode(files.get('tensor-cache.json'))));
    const at = shards.flatMap((s) => s.tensors.map((t) => ({ ...t, file: s.file })));
    for (const [name, parts] of [
      ['model.layers.1.self_attn.qkv_proj.weight', ['self_attn.q', 'self_attn.k', 'self_attn.v']],
      ['model.layers.0.mlp.gate_up_proj.weight', ['mlp.gate', 'mlp.up']],
    ] as const) {
      const { file, begin, end } = at.find((t) => t.name === name)!;
      const layer = name.slice(0, 'model.layers.0'.length);
      const wanted = parts.flatMap((part) => [...tensors.get(`${layer}.${part}_proj.weight`)!]);
      expect([...new Float32Array(files.get(file)!.slice(begin, end).buffer)]).toEqual(wanted);
    }
  });

  test('there and back is the identity, for any heads, tied or not, in any slices', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          kv: fc.integer({ min: 1, max: 3 }),
          group: fc.integer({ min: 1, max: 4 }),
          head_dim: fc.constantFrom(2, 4),
          hidden_size: fc.constantFrom(8, 12),
          intermediate_size: fc.integer({ min: 1, max: 9 }),
          num_hidden_layers: fc.integer({ min: 1, max: 3 }),
          tie_word_embeddings: fc.boolean(),
          slice: fc.integer({ min: 1, max: 50 }),
        }),
        async ({ kv, group, slice, ...rest }) => {
          const c = config({ ...rest, num_key_value_heads: kv, num_attention_heads: kv * group });
          const { tensors, files } = await there(c, slice);
          expect(await read(folder(files), c)).toEqual(tensors);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('the older name of the list is read as well', async () => {
    const { tensors, files } = await there(config(), 7);
    files.delete('tensor-cache.json');
    expect(await read(folder(files), config())).toEqual(tensors);
  });

  test('a bundle of another shape is refused by the name of the tensor', async () => {
    const { files } = await there(config(), 7);
    await expect(decodeMlc(folder(files), config({ num_key_value_heads: 4 }))).rejects.toMatchObject({
      code: 'corrupt-model',
      message: expect.stringContaining(
        '"model.layers.0.self_attn.qkv_proj.weight" has shape [16, 8] instead of [24, 8]',
      ) as string,
    });
  });
});

describe('a bundle that lies', () => {
  interface Record_ {
    name: string;
    shape: number[];
    dtype: string;
    format: string;
    nbytes: number;
    byteOffset: number;
  }
  interface List {
    records: { dataPath: string; format: string; nbytes: number; md5sum?: string; records: Record_[] }[];
  }
  async function forged(change: (list: List, files: Map<string, Uint8Array<ArrayBuffer>>) => unknown) {
    const { files } = await there(config(), 9);
    const list = JSON.parse(new TextDecoder().decode(files.get('tensor-cache.json'))) as List;
    const replaced = change(list, files);
    const whole = typeof replaced === 'string' && /^[{[<]/.test(replaced);
    files.set('tensor-cache.json', text(whole ? replaced : JSON.stringify(list)));
    const checkpoint = await decodeMlc(folder(files), config());
    await checkpoint.verify!();
  }
  const first = (list: List): Record_ => list.records[0]!.records[0]!;

  test.each<[string, Parameters<typeof forged>[0], string, RegExp]>([
    [
      'with a path upwards',
      (l) => (l.records[0]!.dataPath = '../../etc/passwd'),
      'corrupt-model',
      /plain file name/,
    ],
    [
      'with an absolute path',
      (l) => (l.records[0]!.dataPath = '/etc/passwd'),
      'corrupt-model',
      /plain file name/,
    ],
    ['with a backslash', (l) => (l.records[0]!.dataPath = 'a\\b'), 'corrupt-model', /plain file name/],
    [
      'with an address',
      (l) => (l.records[0]!.dataPath = 'https://x.invalid/a'),
      'corrupt-model',
      /plain file name/,
    ],
    ['with an escape', (l) => (l.records[0]!.dataPath = '%2e%2e%2fa'), 'corrupt-model', /plain file name/],
    [
      'with two tensors in one place',
      (l) => (l.records.find((s) => s.records.length > 1)!.records[1]!.byteOffset = 4),
      'corrupt-model',
      /overlaps/,
    ],
    [
      'with a tensor beyond the end',
      (l) => (first(l).byteOffset = l.records[0]!.nbytes),
      'corrupt-model',
      /lies at bytes/,
    ],
    [
      'with a number of bytes that is not the shape',
      (l) => (first(l).nbytes = 4),
      'corrupt-model',
      /are claimed/,
    ],
    [
      'with a shape that overflows',
      (l) => (first(l).shape = [2 ** 40, 2 ** 40]),
      'corrupt-model',
      /are claimed/,
    ],
    ['with a negative place', (l) => (first(l).byteOffset = -4), 'corrupt-model', /byteOffset/],
    ['with half an element', (l) => (first(l).shape = [0.5]), 'corrupt-model', /shape/],
    ['with a shard of another length', (l) => (l.records[0]!.nbytes += 4), 'corrupt-model', /instead of/],
    [
      'with a shard that is not there',
      (_, f) => void f.delete('params_shard_1.bin'),
      'corrupt-model',
      /params_shard_1.bin/,
    ],
    [
      'with a tensor twice',
      (l) => (l.records[1]!.records[0]!.name = first(l).name),
      'corrupt-model',
      /listed twice/,
    ],
    [
      'with a shard twice',
      (l) => (l.records[1]!.dataPath = l.records[0]!.dataPath),
      'corrupt-model',
      /listed twice/,
    ],
    ['with another form', (l) => (l.records[0]!.format = 'zip'), 'corrupt-model', /format/],
    ['without records', () => '{"metadata": {}}', 'corrupt-model', /records/],
    ['that is a list', () => '[]', 'corrupt-model', /damaged/],
    ['that is no JSON', () => '<html>', 'bad-input', /not JSON/],
    [
      'with a byte that changed',
      (_, f) => void (f.get('params_shard_0.bin')![5]! ^= 1),
      'wrong-hash',
      /params_shard_0.bin is damaged/,
    ],
    [
      'that is quantised',
      (l) => Object.assign(first(l), { dtype: 'uint32' }),
      'bad-input',
      /quantised.*uint32/,
    ],
    ['in an unknown packing', (l) => (first(l).format = 'q4'), 'bad-input', /quantised/],
    [
      'whose configuration names 4 bits',
      (_, f) => void f.set('mlc-chat-config.json', text('{"quantization":"q4f16_1"}')),
      'bad-input',
      /q4f16_1/,
    ],
  ])('%s is refused', async (_, change, code, message) => {
    await expect(forged(change)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  });

  test('without a checksum is read', async () => {
    await forged((l) => l.records.forEach((r) => delete r.md5sum));
  });

  test('with names of JavaScript’s own changes no object', async () => {
    const list = `{"__proto__": {"polluted": 1}, "records": [{"dataPath": "params_shard_0.bin", "format": "raw-shard", "nbytes": 8,
      "__proto__": {"polluted": 1}, "records": [
      {"name": "__proto__", "shape": [1], "dtype": "float32", "format": "raw", "nbytes": 4, "byteOffset": 0},
      {"name": "constructor", "shape": [1], "dtype": "float32", "format": "raw", "nbytes": 4, "byteOffset": 4}]}]}`;
    const files = new Map([
      ['tensor-cache.json', text(list)],
      ['params_shard_0.bin', new Uint8Array(8)],
    ]);
    const { tensors } = await decodeMlc(folder(files), config());
    expect([...tensors.keys()]).toEqual(['__proto__', 'constructor']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test('is never read beyond its files', async () => {
    const asked: [string, number, number][] = [];
    const { files } = await there(config(), 9);
    const watched: FileFolder = new Map(
      [...files].map(([name, bytes]): [string, FileSource] => [
        name,
        {
          ...bytesSource(name, bytes),
          read: (offset, length) => {
            asked.push([name, offset + length, bytes.length]);
            return Promise.resolve(bytes.subarray(offset, offset + length));
          },
        },
      ]),
    );
    await read(watched, config());
    expect(asked.length).toBeGreaterThan(20);
    for (const [name, end, size] of asked) expect(end, name).toBeLessThanOrEqual(size);
  });
});
