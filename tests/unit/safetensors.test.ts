import { describe, expect, it } from 'vitest';
import { LabError } from '../../src/core/errors.ts';
import { Rng } from '../../src/core/rng.ts';
import type { Tensors } from '../../src/core/types.ts';
import { readSafetensors, roundToF16, writeSafetensors } from '../../src/model/safetensors.ts';

/** A file from a header (object or text) and data. */
function file(header: unknown, data = new Uint8Array(0), claimedLength?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const out = new Uint8Array(8 + text.length + data.length);
  new DataView(out.buffer).setBigUint64(0, claimedLength ?? BigInt(text.length), true);
  out.set(text, 8);
  out.set(data, 8 + text.length);
  return out;
}

function refusal(bytes: Uint8Array): string {
  try {
    readSafetensors(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(LabError);
    expect((error as LabError).code).toBe('corrupt-model');
    return (error as LabError).message;
  }
  throw new Error('the file was accepted');
}

const t = (shape: unknown, begin: unknown, end: unknown, dtype: unknown = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});
const sixteen = new Uint8Array(16);

describe('readSafetensors', () => {
  it('reads F32, F16 and BF16 whatever the order of the data, from an unaligned view too', () => {
    const data = new Uint8Array(12);
    const view = new DataView(data.buffer);
    view.setUint16(0, 0x3f80, true); // BF16 1
    view.setUint16(2, 0xc049, true); // BF16 -3.140625
    view.setFloat32(4, 0.1, true);
    view.setUint16(8, 0x0001, true); // the smallest F16, 2^-24
    view.setUint16(10, 0xfbff, true); // F16 -65504
    const bytes = file({ a: t([1], 4, 8), b: t([2], 8, 12, 'F16'), c: t([2, 1], 0, 4, 'BF16') }, data);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    for (const source of [bytes, shifted.subarray(1)]) {
      const { tensors } = readSafetensors(source);
      expect([...tensors.keys()]).toEqual(['a', 'b', 'c']);
      expect([...tensors.get('a')!.data]).toEqual([Math.fround(0.1)]);
      expect([...tensors.get('b')!.data]).toEqual([2 ** -24, -65504]);
      expect([...tensors.get('c')!.data]).toEqual([1, -3.140625]);
      expect(tensors.get('c')!.shape).toEqual([2, 1]);
    }
  });

  it.for<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(0), /only 0 bytes/],
    ['a header longer than the file', file({}, undefined, 1000n), /claims 1000 bytes/],
    ['a header of 2^63 bytes', file({}, undefined, 2n ** 63n), /claims 9223372036854775808/],
    ['no JSON', file('hello'), /not JSON/],
    ['invalid UTF-8', file('{"a": 1}').map((b) => (b === 0x61 ? 0xff : b)), /not JSON/],
    ['an array as header', file('[]'), /not a JSON object/],
    ['offsets beyond the end', file({ w: t([8], 0, 32) }, sixteen), /"w" lies at bytes 0 to 32 of 16/],
    ['offsets the wrong way round', file({ w: t([0], 8, 4) }, sixteen), /"w" lies at bytes 8 to 4/],
    ['negative offsets', file({ w: t([1], -4, 0) }, sixteen), /"w" has no valid data_offsets/],
    ['fractional offsets', file({ w: t([1], 0.5, 4.5) }, sixteen), /"w" has no valid data_offsets/],
    [
      'a shape that does not fill its bytes',
      file({ w: t([5], 0, 16) }, sixteen),
      /"w" of shape \[5\] in F32/,
    ],
    ['a dtype of other width', file({ w: t([4], 0, 16, 'F16') }, sixteen), /"w" of shape \[4\] in F16/],
    ['a size that overflows', file({ w: t([2 ** 40, 2 ** 40], 0, 16) }, sixteen), /"w" of shape/],
    ['a claimed terabyte', file({ w: t([2 ** 38], 0, 2 ** 40) }, sixteen), /"w" lies at/],
    ['a negative shape', file({ w: t([-4], 0, 16) }, sixteen), /"w" has no valid shape/],
    ['a text as shape', file({ w: t('4', 0, 16) }, sixteen), /"w" has no valid shape/],
    ['an unsupported dtype', file({ w: t([4], 0, 16, 'I32') }, sixteen), /"w" is stored as I32/],
    ['a dtype with the name of a method', file({ w: t([4], 0, 16, 'toString') }, sixteen), /toString/],
    ['overlap', file({ a: t([3], 0, 12), b: t([2], 8, 16) }, sixteen), /"b" overlaps tensor "a"/],
    ['a hole', file({ a: t([1], 0, 4), b: t([2], 8, 16) }, sixteen), /4 bytes before tensor "b"/],
    ['bytes left over', file({ a: t([1], 0, 4) }, sixteen), /last 12 bytes/],
    ['a name twice', file('{"a": {}, "b{\\"": 1, "\\u0061": {}}'), /"a" occurs twice/],
    ['no description', file({ w: 3 }), /"w" has no description/],
    ['metadata that is no text', file({ __metadata__: { a: 1 } }), /"a" in its __metadata__/],
  ])('refuses %s', ([, bytes, message]) => {
    expect(refusal(bytes)).toMatch(message);
  });

  it('survives 500 mutated files: valid tensors or a clear refusal, never anything else', () => {
    const rng = new Rng('fuzz');
    const original = writeSafetensors(
      new Map([
        [
          'model.embed_tokens.weight',
          { shape: [3, 5], data: Float32Array.from({ length: 15 }, () => rng.normal()) },
        ],
        ['model.norm.weight', { shape: [5], data: new Float32Array(5).fill(1) }],
      ]),
      'F16',
    );
    let refused = 0;
    for (let i = 0; i < 500; i++) {
      let bytes = original.slice();
      for (let k = rng.int(4) + 1; k > 0; k--) {
        const at = rng.int(bytes.length);
        const kind = rng.int(4);
        if (kind === 0) bytes[at] = rng.int(256);
        else if (kind === 1) bytes[at]! ^= 1 << rng.int(8);
        else if (kind === 2) bytes = bytes.slice(0, at + 1);
        else bytes = Uint8Array.from([...bytes.slice(0, at), 0x30 + rng.int(10), ...bytes.slice(at)]);
      }
      try {
        for (const { shape, data } of readSafetensors(bytes).tensors.values())
          expect(shape.reduce((a, b) => a * b, 1)).toBe(data.length);
      } catch (error) {
        if (!(error instanceof LabError) || error.code !== 'corrupt-model') throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(250);
  });
});

describe('writeSafetensors', () => {
  it('writes what it reads, bit for bit in F32', () => {
    const rng = new Rng('write');
    const tensors: Tensors = new Map([
      ['a', { shape: [7, 3], data: Float32Array.from({ length: 21 }, () => rng.normal()) }],
      ['empty', { shape: [0, 4], data: new Float32Array(0) }],
      ['b', { shape: [2], data: Float32Array.from([-0, Infinity]) }],
    ]);
    const back = readSafetensors(writeSafetensors(tensors, 'F32', { format: 'pt', seed: '7' }));
    expect(back.tensors).toEqual(tensors);
    expect(back.metadata).toEqual({ format: 'pt', seed: '7' });
    expect(() =>
      writeSafetensors(new Map([['x', { shape: [3], data: new Float32Array(2) }]]), 'F32'),
    ).toThrow(/"x" of shape \[3\] has 2 values/);
  });

  it('rounds to the nearest float16, ties to even, and keeps every float16 as it is', () => {
    const h = 2 ** -10; // spacing above 1
    const sub = 2 ** -24; // spacing of the subnormals
    const cases: [number, number][] = [
      [1 + h / 2, 1],
      [1 + 1.5 * h, 1 + 2 * h],
      [1 + h / 2 + 2 ** -23, 1 + h],
      [-(1 + 1.5 * h), -(1 + 2 * h)],
      [65504, 65504],
      [65519.99, 65504],
      [65520, Infinity],
      [sub / 2, 0],
      [sub * 0.5000001, sub],
      [sub * 1.5, 2 * sub],
      [sub * 2.5, 2 * sub],
      [1023.5 * sub, 1024 * sub],
      [1e-40, 0],
      [-Infinity, -Infinity],
    ];
    expect([...roundToF16(Float32Array.from(cases, (c) => c[0]))]).toEqual(cases.map((c) => c[1]));
    expect(roundToF16(Float32Array.from([NaN]))[0]).toBeNaN();

    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((b) => (b & 0x7fff) <= 0x7c00);
    const bytes = file({ x: t([bits.length], 0, bits.length * 2, 'F16') }, new Uint8Array(bits.buffer));
    const all = readSafetensors(bytes).tensors.get('x')!.data;
    for (let b = 0, i = 0; b < 65536; b++) {
      if ((b & 0x7fff) > 0x7c00) continue;
      const [sign, e, f] = [b >> 15 ? -1 : 1, (b >> 10) & 31, b & 1023];
      const value = e === 31 ? Infinity : e === 0 ? f * sub : (1 + f / 1024) * 2 ** (e - 15);
      if (!Object.is(all[i], sign * value)) throw new Error(`float16 ${b.toString(16)} read as ${all[i]}`);
      i++;
    }
    expect(roundToF16(all)).toEqual(all);
  });

  it('rounds random values no worse than half a step, and never past a neighbour', () => {
    const rng = new Rng('half');
    const xs = Float32Array.from({ length: 20_000 }, () => rng.normal() * 2 ** (rng.int(40) - 28));
    roundToF16(xs).forEach((y, i) => {
      const x = xs[i]!;
      const step = Math.max(2 ** -24, 2 ** (Math.floor(Math.log2(Math.abs(x))) - 10));
      if (Math.abs(y - x) > step / 2) throw new Error(`${x} became ${y}`);
    });
  });
});
