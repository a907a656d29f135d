import { describe, expect, it } from 'vitest';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import type { Tensors } from '../../src/core/types.ts';
import { decode, encode, narrowWords, widenWords, type Dtype } from '../../src/files/dtypes.ts';
import { loraLayout, mergeLora, type LoraConfig } from '../../src/model/lora.ts';
import { writeMerged } from '../../src/model/merged-files.ts';
import { readSafetensors } from '../../src/model/safetensors.ts';

const config = parseLlamaConfig({
  model_type: 'llama',
  vocab_size: 61,
  hidden_size: 24,
  intermediate_size: 37,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  tie_word_embeddings: false,
  max_position_embeddings: 32,
});
const random = (entries: Iterable<[string, readonly number[]]>, seed: string): Tensors => {
  const rng = new Rng(seed);
  return new Map(
    [...entries].map(([name, shape]) => [
      name,
      {
        shape: [...shape],
        data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
      },
    ]),
  );
};
const rounded = (data: Float32Array, dtype: Dtype): Float32Array => {
  if (dtype === 'F32') return data;
  const half = dtype === 'F16' ? 'f16' : 'bf16';
  return widenWords(narrowWords('', data, half), half);
};

describe('merged weights, written by slices', () => {
  const base = random(tensorShapes(config), 'base');
  const loras: LoraConfig[] = [
    { r: 3, alpha: 6, targets: ['q_proj', 'down_proj'] },
    { r: 2, alpha: 1, targets: ['q_proj', 'gate_proj'] },
  ];
  const adapters = loras.map((lora, i) => ({
    lora,
    tensors: random(
      loraLayout(config, lora).entries.map((e) => [e.name, e.shape] as [string, readonly number[]]),
      `adapter ${i}`,
    ),
  }));
  const whole = adapters.reduce((sum, { lora, tensors }) => mergeLora(config, sum, lora, tensors), base);
  const slices = (length: number) => ({
    async *values(name: string) {
      const { data } = base.get(name)!;
      for (let at = 0; at < data.length; at += length)
        yield await Promise.resolve({ at, values: data.slice(at, at + length) });
    },
  });

  it.each<[string, number, number, (name: string) => Dtype]>([
    ['F32, in one file', 1000, 1e9, () => 'F32'],
    ['F16, in several, slices that end inside of rows', 17, 5000, () => 'F16'],
    ['matrices in BF16 and norms in F32', 101, 1e9, (name) => (name.includes('norm') ? 'F32' : 'BF16')],
  ])('%s', async (_, length, shardBytes, dtypeOf) => {
    const files = new Map<string, Uint8Array<ArrayBuffer>[]>();
    let open = 0;
    const written = await writeMerged(config, slices(length), adapters, {
      dtypeOf,
      shardBytes,
      open: (file) => {
        const parts: Uint8Array<ArrayBuffer>[] = [];
        files.set(file, parts);
        open++;
        const close = () => Promise.resolve(open--);
        return Promise.resolve({ write: (bytes) => Promise.resolve(parts.push(bytes)), close });
      },
    });
    expect(open).toBe(0);
    expect(written).toEqual([...files.keys()]);
    expect(written.length > 1).toBe(shardBytes < 1e9);
    const found: Tensors = new Map();
    for (const [file, parts] of files) {
      if (!file.endsWith('.safetensors')) continue;
      const bytes = new Uint8Array(parts.flatMap((part) => [...part]));
      for (const [name, tensor] of readSafetensors(bytes).tensors) found.set(name, tensor);
    }
    expect([...found.keys()]).toEqual([...whole.keys()]);
    for (const [name, { shape, data }] of found) {
      expect(shape).toEqual(whole.get(name)!.shape);
      expect(data, name).toEqual(rounded(whole.get(name)!.data, dtypeOf(name)));
    }
  });
});

it('encode is the other way of decode, and refuses what a type cannot hold', () => {
  const values = Float32Array.from([0, -0, 1.5, -2.25, 65504, 2 ** -20]);
  for (const dtype of ['F32', 'F16', 'BF16'] as const)
    expect(decode(encode('x', values, dtype), dtype)).toEqual(rounded(values, dtype));
  expect(() => encode('model.norm.weight', Float32Array.of(1e6), 'F16')).toThrow(/model\.norm\.weight/);
});
