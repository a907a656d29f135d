import type { LlamaConfig } from '../core/config.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Binding, Op } from '../gpu/program.ts';
import { attention, attentionDecode, cacheAppend, type Heads } from '../kernels/attention.ts';
import type { Dims } from '../kernels/common.ts';
import { add, combine, embed, rope, swiglu } from '../kernels/elementwise.ts';
import { rmsnorm } from '../kernels/rmsnorm.ts';
import { widths, type Activations } from './activations.ts';
import { linearForward, type Weight } from './linear.ts';
import { linearGroup, type LinearGroup } from './lora.ts';
import { loraForward, loraLow, type LoraStack } from './lora-ops.ts';
import type { Taps, TapSite } from './taps.ts';
import type { WeightSet } from './weights.ts';

/** Everything the op lists are made from. */
export interface Network {
  gpu: Gpu;
  config: LlamaConfig;
  params: WeightSet;
  acts: Activations;
  /** Inputs of a batch, see PackedBatch. */
  input: { ids: Binding; tokens: Binding; rows: Binding };
  /** [positions, head_dim / 2] of (cos, sin) */
  ropeTable: Binding;
  taps?: Taps;
  /** Low-rank changes of the projections, on top of frozen weights. */
  lora?: LoraStack;
  /** Keys and values per layer; `decode` reads them instead of the batch's own. */
  cache?: { layers: Binding[]; positions: number; decode: boolean };
}

export function headsOf(c: LlamaConfig): Heads {
  return { heads: c.num_attention_heads, kvHeads: c.num_key_value_heads, headDim: c.head_dim };
}

/** Names of a layer's tensors; of a group of projections the first and the last, which adjoin. */
export function layerNames(l: number) {
  const at = `model.layers.${l}.`;
  return {
    qkv: [`${at}self_attn.q_proj.weight`, `${at}self_attn.v_proj.weight`],
    o: [`${at}self_attn.o_proj.weight`],
    gateUp: [`${at}mlp.gate_proj.weight`, `${at}mlp.up_proj.weight`],
    down: [`${at}mlp.down_proj.weight`],
    norm1: `${at}input_layernorm.weight`,
    norm2: `${at}post_attention_layernorm.weight`,
  } satisfies Record<LinearGroup, Weight> & { norm1: string; norm2: string };
}

/**
 * One layer. Each block writes its output to `delta`; the next norm adds it to the residual stream.
 * @param again for the backward pass: from the layer's input `x`, which is there, all that it needs. The same kernels in the same
 * order on the same values, so the same bits; only the layer's output is left out.
 */
export function layerOps(net: Network, l: number, again = false): Op<Dims>[] {
  const { gpu, config, params, acts, input, taps, cache, lora } = net;
  const w = widths(config);
  const h = headsOf(config);
  const names = layerNames(l);
  const a = acts.layers[l]!;
  const before = again ? undefined : acts.layers[l - 1];
  const ops: Op<Dims>[] = [];
  const shared = { rows: 'tokens', width: w.hidden, eps: config.rms_norm_eps } as const;
  const few = cache?.decode === true;
  const linear = (group: LinearGroup, x: Binding, y: Binding) => {
    const { in: width, out } = linearGroup(config, group);
    const weight = names[group];
    ops.push(...linearForward({ gpu, params, weight, x, y, in: width, out, rows: 'tokens', few }));
    if (lora) ops.push(...loraForward(gpu, config, lora, { layer: l, group, x, y, few }));
  };
  ops.push(
    rmsnorm({
      x: before ? before.mid : a.x,
      w: params.binding(names.norm1),
      y: a.norm1,
      rstd: a.rstd1,
      ...(before && {
        add: { delta: acts.delta, sum: a.x, ...pertAt(taps?.hidden, l - 1) },
      }),
      ...shared,
    }),
  );
  if (before) ops.push(...keepTap(net, a.x, taps?.hidden, l - 1));
  linear('qkv', a.norm1, a.qkv);
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
  linear('o', a.attn, acts.delta);
  if (!again) ops.push(...keepTap(net, acts.delta, taps?.attn, l));
  ops.push(
    rmsnorm({
      x: a.x,
      w: params.binding(names.norm2),
      y: a.norm2,
      rstd: a.rstd2,
      add: { delta: acts.delta, sum: a.mid, ...pertAt(taps?.attn, l) },
      ...shared,
    }),
  );
  linear('gateUp', a.norm2, a.gu);
  ops.push(swiglu({ gu: a.gu, act: a.act, width: w.mlp }));
  if (!again) linear('down', a.act, acts.delta);
  else if (lora) ops.push(...loraLow(gpu, config, lora, { layer: l, group: 'down', x: a.act }));
  return ops;
}

/** What is added at a layer's site, where the site was asked for. */
function pertAt(site: TapSite | undefined, l: number): { pert?: Binding } {
  const pert = site?.pert[l];
  return pert ? { pert } : {};
}

function keepTap({ config }: Network, x: Binding, site: TapSite | undefined, l: number): Op<Dims>[] {
  const y = site?.out[l];
  return y ? [combine({ x, y, a: 1, b: 0, rows: 'tokens', width: config.hidden_size })] : [];
}

/** The forward pass of a Llama (Touvron et al. 2023) up to the hidden states of the wanted rows, which the head takes. */
export function forwardOps(net: Network): Op<Dims>[] {
  const { config, params, acts, input, taps } = net;
  const w = widths(config);
  const embedding = 'model.embed_tokens.weight';
  const ops: Op<Dims>[] = params.spans(embedding).map((part) =>
    embed({
      ids: input.ids,
      table: params.rows(embedding, undefined, part),
      part,
      x: acts.layers[0]!.x,
      width: w.hidden,
    }),
  );
  for (let l = 0; l < config.num_hidden_layers; l++) ops.push(...layerOps(net, l));
  const end = acts.layers.at(-1)!;
  const lastLayer = acts.layers.length - 1;
  ops.push(
    add({
      a: end.mid,
      b: acts.delta,
      sum: acts.last,
      ...pertAt(taps?.hidden, lastLayer),
      rows: 'tokens',
      width: w.hidden,
    }),
  );
  ops.push(...keepTap(net, acts.last, taps?.hidden, lastLayer));
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
  return ops;
}
