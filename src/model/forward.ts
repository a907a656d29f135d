import type { LlamaConfig } from '../core/config.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Binding, Op } from '../gpu/program.ts';
import { attention, attentionDecode, cacheAppend, type Heads } from '../kernels/attention.ts';
import type { Dims, Size } from '../kernels/common.ts';
import { add, combine, embed, rope, swiglu } from '../kernels/elementwise.ts';
import { matmul } from '../kernels/matmul.ts';
import { rmsnorm } from '../kernels/rmsnorm.ts';
import { widths, type Activations } from './activations.ts';
import type { ParamSet } from './params.ts';
import type { Taps } from './taps.ts';

/** Everything the op lists are made from. */
export interface Network {
  gpu: Gpu;
  config: LlamaConfig;
  params: ParamSet;
  acts: Activations;
  /** Inputs of a batch, see PackedBatch. */
  input: { ids: Binding; tokens: Binding; rows: Binding };
  /** [positions, head_dim / 2] of (cos, sin) */
  ropeTable: Binding;
  taps?: Taps;
  /** Keys and values per layer; `decode` reads them instead of the batch's own. */
  cache?: { layers: Binding[]; positions: number; decode: boolean };
}

export function headsOf(c: LlamaConfig): Heads {
  return { heads: c.num_attention_heads, kvHeads: c.num_key_value_heads, headDim: c.head_dim };
}

/** Names of a layer's tensors. */
export function layerNames(l: number) {
  const at = `model.layers.${l}.`;
  return {
    q: `${at}self_attn.q_proj.weight`,
    v: `${at}self_attn.v_proj.weight`,
    o: `${at}self_attn.o_proj.weight`,
    gate: `${at}mlp.gate_proj.weight`,
    up: `${at}mlp.up_proj.weight`,
    down: `${at}mlp.down_proj.weight`,
    norm1: `${at}input_layernorm.weight`,
    norm2: `${at}post_attention_layernorm.weight`,
  };
}

export function headName(c: LlamaConfig): string {
  return c.tie_word_embeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
}

/**
 * The forward pass of a Llama (Touvron et al. 2023) up to the logits of the wanted rows. Each block writes its output to
 * `delta`; the next norm adds it to the residual stream.
 */
export function forwardOps(net: Network): Op<Dims>[] {
  const { gpu, config, params, acts, input, taps, cache } = net;
  const w = widths(config);
  const h = headsOf(config);
  const ops: Op<Dims>[] = [];
  const linear = (a: Binding, weight: Binding, c: Binding, N: number, K: number, M: Size = 'tokens') =>
    ops.push(matmul(gpu, { layout: 'NT', a, b: weight, c, M, N, K }));
  const keep = (x: Binding, y: Binding) =>
    ops.push(combine({ x, y, a: 1, b: 0, rows: 'tokens', width: w.hidden }));

  ops.push(
    embed({
      ids: input.ids,
      table: params.binding('model.embed_tokens.weight'),
      x: acts.layers[0]!.x,
      width: w.hidden,
    }),
  );
  acts.layers.forEach((a, l) => {
    const names = layerNames(l);
    const x = a.x;
    const before = acts.layers[l - 1];
    ops.push(
      rmsnorm({
        x: before ? before.mid : x,
        w: params.binding(names.norm1),
        y: a.norm1,
        rstd: a.rstd1,
        ...(before
          ? { add: { delta: acts.delta, sum: x, ...(taps ? { pert: taps.hidden.pert[l - 1]! } : {}) } }
          : {}),
        rows: 'tokens',
        width: w.hidden,
        eps: config.rms_norm_eps,
      }),
    );
    if (taps && l > 0) keep(x, taps.hidden.out[l - 1]!);
    linear(a.norm1, params.binding(names.q, names.v), a.qkv, w.qkv, w.hidden);
    ops.push(
      rope({
        tokens: input.tokens,
        table: net.ropeTable,
        qkv: a.qkv,
        stride: w.qkv,
        heads: h.heads + h.kvHeads,
        headDim: h.headDim,
        sign: 1,
      }),
    );
    if (cache) {
      const { positions } = cache;
      ops.push(cacheAppend(h, { tokens: input.tokens, qkv: a.qkv, cache: cache.layers[l]!, positions }));
    }
    ops.push(
      cache?.decode
        ? attentionDecode(h, {
            tokens: input.tokens,
            qkv: a.qkv,
            cache: cache.layers[l]!,
            out: a.attn,
            positions: cache.positions,
          })
        : attention(gpu, h, { tokens: input.tokens, qkv: a.qkv, out: a.attn, lse: a.lse }),
    );
    linear(a.attn, params.binding(names.o), acts.delta, w.hidden, w.attn);
    if (taps) keep(acts.delta, taps.attn.out[l]!);
    ops.push(
      rmsnorm({
        x,
        w: params.binding(names.norm2),
        y: a.norm2,
        rstd: a.rstd2,
        add: { delta: acts.delta, sum: a.mid, ...(taps ? { pert: taps.attn.pert[l]! } : {}) },
        rows: 'tokens',
        width: w.hidden,
        eps: config.rms_norm_eps,
      }),
    );
    linear(a.norm2, params.binding(names.gate, names.up), a.gu, 2 * w.mlp, w.hidden);
    ops.push(swiglu({ gu: a.gu, act: a.act, width: w.mlp }));
    linear(a.act, params.binding(names.down), acts.delta, w.hidden, w.mlp);
  });
  const end = acts.layers.at(-1)!;
  const lastLayer = acts.layers.length - 1;
  ops.push(
    add({
      a: end.mid,
      b: acts.delta,
      sum: acts.last,
      ...(taps ? { pert: taps.hidden.pert[lastLayer]! } : {}),
      rows: 'tokens',
      width: w.hidden,
    }),
  );
  if (taps) keep(acts.last, taps.hidden.out[lastLayer]!);
  ops.push(
    rmsnorm({
      x: acts.last,
      w: params.binding('model.norm.weight'),
      y: acts.rowNorm,
      rstd: acts.rowRstd,
      gather: { rows: input.rows, sum: acts.rowX },
      rows: 'rows',
      width: w.hidden,
      eps: config.rms_norm_eps,
    }),
  );
  linear(acts.rowNorm, params.binding(headName(config)), acts.logits, w.vocab, w.hidden, 'rows');
  return ops;
}
