import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import type { Tensors } from '../../src/core/types.ts';
import { loadTensors, type ModelFiles } from '../../src/model/hf.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.ts';
import { caseDir, caseDirOr, readJson } from '../golden/golden-dir.ts';

const read = (dir: string, name: string): Uint8Array => new Uint8Array(readFileSync(join(dir, name)));
const dirA = caseDir('A_gqa_padded')!;
const dirC = caseDir('C_tied_llama3rope_mqa')!;

function load(
  dir: string,
  change: (t: Tensors) => void = () => undefined,
  more: Partial<ModelFiles> = {},
): Tensors {
  const config = readJson(dir, 'config.json');
  const { tensors } = readSafetensors(read(dir, 'model.safetensors'));
  change(tensors);
  return loadTensors(parseLlamaConfig(config), {
    config,
    weights: [writeSafetensors(tensors, 'F32')],
    ...more,
  });
}

describe('loadTensors', () => {
  it('gives every tensor in the order of the architecture', () => {
    const shapes = tensorShapes(parseLlamaConfig(readJson(dirA, 'config.json')));
    const tensors = load(dirA);
    expect([...tensors.keys()]).toEqual([...shapes.keys()]);
    for (const [name, t] of tensors) expect(t.shape).toEqual(shapes.get(name));
  });

  it('names what is missing, extra, misshapen or doubled', () => {
    expect(() => load(dirA, (t) => t.delete('model.norm.weight'))).toThrow(
      /missing tensor "model.norm.weight"/,
    );
    expect(() => load(dirA, (t) => t.set('extra.bias', { shape: [1], data: new Float32Array(1) }))).toThrow(
      /unknown tensor "extra.bias"/,
    );
    expect(() => load(dirA, (t) => t.get('lm_head.weight')!.shape.reverse())).toThrow(
      /"lm_head.weight" has shape \[48, 131\] instead of \[131, 48\]/,
    );
    const bytes = read(dirA, 'model.safetensors');
    expect(() => load(dirA, undefined, { weights: [bytes, bytes] })).toThrow(/in more than one file/);
  });

  it('drops a tied head that equals the embedding and refuses one that differs', () => {
    const withHead = load(dirC, (t) => t.set('lm_head.weight', t.get('model.embed_tokens.weight')!));
    expect(withHead.has('lm_head.weight')).toBe(false);
    const other = (t: Tensors): void => {
      const { shape, data } = t.get('model.embed_tokens.weight')!;
      t.set('lm_head.weight', { shape, data: data.map((x) => x + 1) });
    };
    expect(() => load(dirC, other)).toThrow(/"lm_head.weight" differs/);
  });

  it('loads BF16 weights exactly (case F)', ({ skip }) => {
    const dir = caseDirOr(skip, 'F_bf16', 'loading BF16 weights');
    const config = readJson(dir, 'config.json');
    const tensors = loadTensors(parseLlamaConfig(config), {
      config,
      weights: [read(dir, 'model.safetensors')],
    });
    for (const { data } of tensors.values()) {
      const bits = new Uint32Array(data.buffer);
      expect(bits.every((b) => (b & 0xffff) === 0)).toBe(true);
      expect(data.some((x) => x !== 0)).toBe(true);
    }
  });

  it('loads shards in any order and notices one that is absent (case G)', ({ skip }) => {
    const dir = caseDirOr(skip, 'G_sharded', 'loading shards');
    const config = readJson(dir, 'config.json');
    const index = readJson(dir, 'model.safetensors.index.json');
    const [one, two] = [1, 2].map((i) => read(dir, `model-0000${i}-of-00002.safetensors`)) as [
      Uint8Array,
      Uint8Array,
    ];
    const parsed = parseLlamaConfig(config);
    const tensors = loadTensors(parsed, { config, weights: [one, two], index });
    expect(tensors.size).toBe(3 * 9 + 3);
    expect(loadTensors(parsed, { config, weights: [two, one], index })).toEqual(tensors);
    expect(() => loadTensors(parsed, { config, weights: [one], index })).toThrow(/the index names tensors/);
  });
});
