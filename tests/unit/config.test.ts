import { describe, expect, it } from 'vitest';
import { parseLlamaConfig, ropeInvFreq, tensorShapes } from '../../src/core/config.ts';
import { LabError } from '../../src/core/errors.ts';
import { caseDir, readJson } from '../golden/golden-dir.ts';

const A = readJson(caseDir('A_gqa_padded')!, 'config.json') as Record<string, unknown>;
const C = readJson(caseDir('C_tied_llama3rope_mqa')!, 'config.json') as Record<string, unknown>;

const refusal = (change: Record<string, unknown>): string => {
  try {
    parseLlamaConfig({ ...A, ...change });
  } catch (error) {
    expect(error).toBeInstanceOf(LabError);
    expect((error as LabError).code).toBe('bad-config');
    return (error as LabError).message;
  }
  throw new Error(`accepted ${JSON.stringify(change)}`);
};

describe('parseLlamaConfig', () => {
  it('fills in head_dim and the kv heads', () => {
    expect(parseLlamaConfig(A)).toMatchObject({ head_dim: 8, num_key_value_heads: 2, rope_scaling: null });
    expect(parseLlamaConfig({ ...A, num_key_value_heads: undefined }).num_key_value_heads).toBe(6);
    expect(parseLlamaConfig({ ...A, head_dim: 10 }).head_dim).toBe(10);
    expect(parseLlamaConfig({ ...A, eos_token_id: [7, 8] }).eos_token_id).toBe(7);
  });

  it('reads rope settings in the older and the newer place', () => {
    const old = parseLlamaConfig(C);
    const { rope_theta, rope_scaling, ...rest } = C;
    const newer = parseLlamaConfig({ ...rest, rope_parameters: { rope_theta, ...(rope_scaling as object) } });
    expect(newer).toEqual(old);
    expect(old.rope_scaling).toMatchObject({ rope_type: 'llama3', factor: 8 });
  });

  it.for([
    ['model_type', 'mistral'],
    ['hidden_act', 'gelu'],
    ['attention_bias', true],
    ['mlp_bias', true],
    ['sliding_window', 128],
    ['partial_rotary_factor', 0.5],
    ['quantization_config', { bits: 4 }],
    ['rope_scaling', { rope_type: 'yarn', factor: 4 }],
    ['rope_scaling', { factor: 4 }],
    ['rope_scaling', { rope_type: 'llama3', factor: 4 }],
    ['num_key_value_heads', 4],
    ['hidden_size', 50],
    ['hidden_size', 'big'],
    ['vocab_size', 1e12],
    ['num_hidden_layers', 0],
    ['head_dim', 7],
    ['rms_norm_eps', -1],
    ['rope_theta', 0],
    ['eos_token_id', null],
  ] as const)('refuses %s = %j by name', ([field, value]) => {
    expect(refusal({ [field]: value })).toContain(field);
  });

  it('refuses what is no object', () => {
    for (const x of [null, 3, [], 'text']) expect(() => parseLlamaConfig(x)).toThrow(/not a JSON object/);
  });
});

describe('tensorShapes', () => {
  it('names every tensor with its shape, the head only when untied', () => {
    const shapes = tensorShapes(parseLlamaConfig(A));
    expect(shapes.get('model.layers.1.self_attn.k_proj.weight')).toEqual([16, 48]);
    expect(shapes.get('lm_head.weight')).toEqual([131, 48]);
    expect(shapes.size).toBe(2 * 9 + 3);
    expect(tensorShapes(parseLlamaConfig(C)).has('lm_head.weight')).toBe(false);
  });
});

describe('ropeInvFreq', () => {
  it('is theta^(-2i/d), and with llama3 scaling keeps, mixes and slows the three bands', () => {
    const plain = ropeInvFreq(parseLlamaConfig({ ...C, rope_scaling: null }));
    const scaled = ropeInvFreq(parseLlamaConfig(C));
    expect(plain).toHaveLength(6);
    expect(plain[1]).toBeCloseTo(10000 ** (-1 / 6), 14);
    expect(scaled[0]).toBe(plain[0]);
    expect(scaled[5]).toBe(plain[5]! / 8);
    const middle = scaled.filter((f, i) => f !== plain[i] && f !== plain[i]! / 8);
    expect(middle.length).toBeGreaterThan(0);
  });
});
