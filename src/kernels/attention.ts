import type { Gpu } from '../gpu/gpu.ts';
import { f32, grid1d, type Binding, type Op } from '../gpu/program.ts';
import type { Dims } from './common.ts';

/** Heads as in the config; qkv rows hold `heads` queries, `kvHeads` keys, `kvHeads` values of `headDim` each. */
export interface Heads {
  heads: number;
  kvHeads: number;
  headDim: number;
}

/**
 * Products of a query's row with a key's that each kernel makes: scores and values; in the backward both kernels make the scores
 * and the gradient of the probabilities anew, then dq, or dk and dv.
 */
export const PRODUCTS = { forward: 2, dq: 3, dkv: 4 } as const;

/**
 * Tile of the subgroup kernels: R queries (or keys) that one subgroup owns, and how lanes are walked. More rows reuse each load
 * more often, spill sooner and compile longer. SwiftShader (4 lanes) picks a lane at a known number much faster than at a
 * computed one, so its loops are written out; see 05_attention_subgroup.wgsl for the figures.
 */
function tileOf(subgroupSize: number): { R: number; UNROLLED: boolean; UNROLL: number; PICK: string } {
  if (subgroupSize <= 4) return { R: 4, UNROLLED: true, UNROLL: subgroupSize, PICK: 'subgroupBroadcast' };
  return { R: 8, UNROLLED: false, UNROLL: 1, PICK: 'subgroupShuffle' };
}

/** @param products of headDim multiply-adds that it makes of each pair of tokens and each query head */
function attentionOp(
  gpu: Gpu,
  name: string,
  products: number,
  h: Heads,
  groups: number,
  access: string,
  bindings: readonly Binding[],
): Op<Dims> {
  const subgroup = gpu.table.attention === 'subgroup';
  const lanes = gpu.table.subgroupSize;
  const tile = tileOf(lanes);
  const rows = subgroup ? tile.R : 64;
  return {
    shader: `${name}_${subgroup ? 'subgroup' : 'plain'}`,
    defines: {
      HEADS: h.heads,
      KV: h.kvHeads,
      HD: h.headDim,
      ...(subgroup ? { ...tile, DD: Math.ceil(h.headDim / lanes) } : {}),
    },
    access,
    bindings,
    uniforms: (d) => [d.tokens, f32(1 / Math.sqrt(h.headDim))],
    workgroups: (d) => [Math.ceil(d.tokens / rows), groups, 1],
    flops: (d) => 2 * products * h.heads * h.headDim * d.pairs,
  };
}

/** shaders/05_attention_*.wgsl: out [tokens, heads * headDim], lse [tokens, heads] */
export function attention(
  gpu: Gpu,
  h: Heads,
  o: { tokens: Binding; qkv: Binding; out: Binding; lse: Binding },
): Op<Dims> {
  return attentionOp(gpu, '05_attention', PRODUCTS.forward, h, h.heads, 'rrww', [
    o.tokens,
    o.qkv,
    o.out,
    o.lse,
  ]);
}

export interface AttentionBackward {
  tokens: Binding;
  qkv: Binding;
  out: Binding;
  lse: Binding;
  dout: Binding;
  /** [tokens, heads], scratch */
  delta: Binding;
  dqkv: Binding;
}

/** shaders/14_attention_dq_*.wgsl and 15_attention_dkv_*.wgsl, in this order: the second reads `delta`. */
export function attentionBackward(gpu: Gpu, h: Heads, o: AttentionBackward): Op<Dims>[] {
  return [
    attentionOp(gpu, '14_attention_dq', PRODUCTS.dq, h, h.heads, 'rrrrrww', [
      o.tokens,
      o.qkv,
      o.out,
      o.lse,
      o.dout,
      o.delta,
      o.dqkv,
    ]),
    attentionOp(gpu, '15_attention_dkv', PRODUCTS.dkv, h, h.kvHeads, 'rrrrrw', [
      o.tokens,
      o.qkv,
      o.lse,
      o.dout,
      o.delta,
      o.dqkv,
    ]),
  ];
}

/** shaders/30_cache_append.wgsl: cache [rows, positions, 2, kvHeads * headDim] */
export function cacheAppend(
  h: Heads,
  o: { tokens: Binding; qkv: Binding; cache: Binding; positions: number },
): Op<Dims> {
  const width = h.kvHeads * h.headDim;
  return {
    shader: '30_cache_append',
    defines: {},
    access: 'rrw',
    bindings: [o.tokens, o.qkv, o.cache],
    uniforms: (d) => [d.tokens, h.heads * h.headDim + 2 * width, h.heads * h.headDim, width, o.positions],
    workgroups: (d) => grid1d(d.tokens * 2 * width, 64),
  };
}

/** shaders/31_attention_decode.wgsl: one new token a row. */
export function attentionDecode(
  h: Heads,
  o: { tokens: Binding; qkv: Binding; cache: Binding; out: Binding; positions: number },
): Op<Dims> {
  return {
    shader: '31_attention_decode',
    defines: { HEADS: h.heads, KV: h.kvHeads, HD: h.headDim, POSITIONS: o.positions },
    access: 'rrrw',
    bindings: [o.tokens, o.qkv, o.cache, o.out],
    uniforms: (d) => [d.tokens, f32(1 / Math.sqrt(h.headDim))],
    workgroups: (d) => [d.tokens, h.heads, 1],
    flops: (d) => 2 * PRODUCTS.forward * h.heads * h.headDim * d.pairs,
  };
}
