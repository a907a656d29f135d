import type { LlamaConfig } from '../core/config.ts';
import type { Binding, Op } from '../gpu/program.ts';
import { attentionBackward } from '../kernels/attention.ts';
import { spansOf, type Dims } from '../kernels/common.ts';
import { combine, embedBackward, rope, scatterRows, swigluBackward } from '../kernels/elementwise.ts';
import { columnSum, NORM_BLOCK, rmsnormBackward, rmsnormWeight } from '../kernels/rmsnorm.ts';
import { widths } from './activations.ts';
import type { Capacity } from './batch.ts';
import { headsOf, layerNames, layerOps, type Network } from './forward.ts';
import { lossBackwardOps, type Head, type LossBuffers } from './head.ts';
import { linearBackward } from './linear.ts';
import { linearGroup, type LinearGroup } from './lora.ts';
import { loraBackward } from './lora-ops.ts';
import type { ParamSet } from './params.ts';

/** Scratch of the backward pass, shared by all layers. */
export interface BackwardScratch {
  /** Gradient of the residual stream, [tokens, hidden]. */
  dx: Binding;
  /** Gradient of a norm's output. */
  dnorm: Binding;
  dqkv: Binding;
  dattn: Binding;
  dact: Binding;
  /** [tokens, heads] */
  delta: Binding;
  drow: Binding;
  drowNorm: Binding;
  /** [norms, blocks, hidden] partial sums of the norms' weight gradients */
  partial: Binding;
  blocks: number;
}

/** Floats of the scratch buffers; `full`: all weights are trained and not an adapter. */
export function scratchFloats(config: LlamaConfig, { maxTokens: n, maxRows: rows }: Capacity, full: boolean) {
  const w = widths(config);
  const norms = 2 * config.num_hidden_layers + 1;
  return {
    dx: n * w.hidden,
    dnorm: n * w.hidden,
    dqkv: n * w.qkv,
    dattn: n * w.attn,
    dact: n * w.mlp,
    delta: n * config.num_attention_heads,
    drow: rows * w.hidden,
    drowNorm: rows * w.hidden,
    partial: full ? norms * partialStride(normBlocks(n, rows), w.hidden) : 0,
  };
}

export function backwardScratch(net: Network, capacity: Capacity): BackwardScratch {
  const floats = scratchFloats(net.config, capacity, net.lora === undefined);
  const make = (label: string, name: keyof typeof floats) => net.acts.make(label, floats[name]);
  return {
    dx: make('d residual', 'dx'),
    dnorm: make('d norm', 'dnorm'),
    dqkv: make('d qkv', 'dqkv'),
    dattn: make('d attention', 'dattn'),
    dact: make('d mlp', 'dact'),
    delta: make('d softmax', 'delta'),
    drow: make('d row', 'drow'),
    drowNorm: make('d row norm', 'drowNorm'),
    partial: make('norm partial', 'partial'),
    blocks: normBlocks(capacity.maxTokens, capacity.maxRows),
  };
}

function normBlocks(tokens: number, rows: number): number {
  return Math.ceil(Math.max(tokens, rows) / NORM_BLOCK);
}

/** A norm's partial sums start at a binding boundary: blocks x hidden is rounded to 64 floats. */
function partialStride(blocks: number, hidden: number): number {
  return Math.ceil((blocks * hidden) / 64) * 64;
}

export interface BackwardInput {
  rowOf: Binding;
  distinct: Binding;
  order: Binding;
}

/**
 * The backward pass from the loss to every parameter: the mirror of forwardOps, layer by layer. Gradients are added to `grads`:
 * those of all weights, or with adapters those of the last one only. Where only the layers' inputs were kept, each layer is
 * computed again before its turn; but for the last one, whose values are still there.
 */
export function backwardOps(
  net: Network,
  head: Head,
  loss: LossBuffers,
  s: BackwardScratch,
  input: BackwardInput,
  grads: ParamSet,
): Op<Dims>[] {
  const { gpu, config, params, acts, taps, lora } = net;
  /** With an adapter all weights are frozen: their gradients are not computed. */
  const full = lora === undefined;
  const w = widths(config);
  const h = headsOf(config);
  const L = config.num_hidden_layers;
  const ops: Op<Dims>[] = [];
  const stride = partialStride(s.blocks, w.hidden);
  const partialOf = (norm: number, count = 1): Binding => ({
    buffer: s.partial.buffer,
    offset: norm * stride * 4,
    size: count * stride * 4,
  });
  const backThrough = (layer: number, group: LinearGroup, x: Binding, dy: Binding, dx: Binding) => {
    const { in: width, out } = linearGroup(config, group);
    const weight = layerNames(layer)[group];
    const own = full ? grads : undefined;
    const at = { gpu, params, grads: own, weight, x, dy, dx, in: width, out, rows: 'tokens' as const };
    ops.push(...linearBackward(at));
    if (lora) ops.push(...loraBackward(gpu, config, lora, { layer, group, x, dy, dx }, grads));
  };
  /** Adds what is injected at a layer's output, and keeps the sum. */
  const tapHidden = (l: number) => {
    const [inject, grad] = [taps?.hidden.inject[l], taps?.hidden.grad[l]];
    const rows = 'tokens';
    if (inject) ops.push(combine({ x: inject, y: s.dx, a: 1, b: 1, rows, width: w.hidden }));
    if (grad) ops.push(combine({ x: s.dx, y: grad, a: 1, b: 0, rows, width: w.hidden }));
  };
  /**
   * The gradient that enters o_proj. What is injected at an attention output flows on through the attention only: the residual
   * stream beside it does not depend on that output. It is summed in `grad`, which `inject` therefore needs.
   */
  const tapAttn = (l: number): Binding => {
    const [inject, grad] = [taps?.attn.inject[l], taps?.attn.grad[l]];
    if (!grad) return s.dx;
    const rows = 'tokens';
    ops.push(combine({ x: s.dx, y: grad, a: 1, b: 0, rows, width: w.hidden }));
    if (inject) ops.push(combine({ x: inject, y: grad, a: 1, b: 1, rows, width: w.hidden }));
    return grad;
  };

  // head and final norm, on the wanted rows only
  ops.push(...lossBackwardOps(head, loss, s.drowNorm, full ? grads : undefined));
  if (full)
    ops.push(
      rmsnormWeight({
        dy: s.drowNorm,
        x: acts.rowX,
        rstd: acts.rowRstd,
        partial: partialOf(2 * L),
        rows: 'rows',
        width: w.hidden,
      }),
    );
  ops.push(
    rmsnormBackward({
      dy: s.drowNorm,
      x: acts.rowX,
      w: params.binding('model.norm.weight'),
      rstd: acts.rowRstd,
      dx: s.drow,
      accumulate: false,
      rows: 'rows',
      width: w.hidden,
    }),
    scatterRows({ rowOf: input.rowOf, drow: s.drow, dx: s.dx, width: w.hidden }),
  );

  for (let l = L - 1; l >= 0; l--) {
    const a = acts.layers[l]!;
    const names = layerNames(l);
    const norm = (which: 0 | 1) => {
      const shared = {
        dy: s.dnorm,
        x: which === 0 ? a.x : a.mid,
        rstd: which === 0 ? a.rstd1 : a.rstd2,
        rows: 'tokens' as const,
        width: w.hidden,
      };
      if (full) ops.push(rmsnormWeight({ ...shared, partial: partialOf(2 * l + which) }));
      ops.push(
        rmsnormBackward({
          ...shared,
          w: params.binding(which === 0 ? names.norm1 : names.norm2),
          dx: s.dx,
          accumulate: true,
        }),
      );
    };
    if (acts.keep === 'inputs' && l < L - 1) ops.push(...layerOps(net, l, true));
    tapHidden(l);
    backThrough(l, 'down', a.act, s.dx, s.dact);
    ops.push(swigluBackward({ gu: a.gu, dact: s.dact, width: w.mlp }));
    backThrough(l, 'gateUp', a.norm2, a.gu, s.dnorm);
    norm(1);
    const dAttnOut = tapAttn(l);
    backThrough(l, 'o', a.attn, dAttnOut, s.dattn);
    ops.push(
      ...attentionBackward(gpu, h, {
        tokens: net.input.tokens,
        qkv: a.qkv,
        out: a.attn,
        lse: a.lse,
        dout: s.dattn,
        delta: s.delta,
        dqkv: s.dqkv,
      }),
      rope({
        tokens: net.input.tokens,
        table: net.ropeTable,
        qkv: s.dqkv,
        stride: w.qkv,
        heads: h.heads + h.kvHeads,
        headDim: h.headDim,
        sign: -1,
      }),
    );
    backThrough(l, 'qkv', a.norm1, s.dqkv, s.dnorm);
    norm(0);
  }

  if (!full) return ops;
  const gradStride = grads.layout.normStride;
  const sums = { width: w.hidden, partialStride: stride, gradStride };
  const bindable = Math.floor(gpu.info.limits.maxStorageBufferBindingSize / 4 / stride);
  for (const { first, count } of spansOf(2 * L, Math.max(1, bindable)))
    ops.push(
      columnSum({
        partial: partialOf(first, count),
        grad: grads.norms(first, count),
        norms: count,
        rows: 'tokens',
        ...sums,
      }),
    );
  ops.push(
    columnSum({
      partial: partialOf(2 * L),
      grad: grads.binding('model.norm.weight'),
      norms: 1,
      rows: 'rows',
      ...sums,
    }),
  );
  const embedding = 'model.embed_tokens.weight';
  for (const part of grads.spans(embedding))
    ops.push(
      embedBackward({
        distinct: input.distinct,
        order: input.order,
        dx: s.dx,
        grad: grads.rows(embedding, undefined, part),
        part,
        width: w.hidden,
      }),
    );
  return ops;
}
