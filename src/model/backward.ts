import type { Binding, Op } from '../gpu/program.ts';
import { attentionBackward } from '../kernels/attention.ts';
import type { Dims, Size } from '../kernels/common.ts';
import { combine, embedBackward, rope, scatterRows, swigluBackward } from '../kernels/elementwise.ts';
import { matmul } from '../kernels/matmul.ts';
import { columnSum, NORM_BLOCK, rmsnormBackward, rmsnormWeight } from '../kernels/rmsnorm.ts';
import { widths } from './activations.ts';
import type { Capacity } from './batch.ts';
import { headName, headsOf, layerNames, type Network } from './forward.ts';
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

export function backwardScratch(net: Network, capacity: Capacity): BackwardScratch {
  const w = widths(net.config);
  const { maxTokens: n, maxRows: rows } = capacity;
  const make = (label: string, floats: number) => net.acts.make(label, floats);
  // a norm's partial sums start at a binding boundary: blocks x hidden is rounded to 64 floats
  const blocks = Math.ceil(Math.max(n, rows) / NORM_BLOCK);
  return {
    dx: make('d residual', n * w.hidden),
    dnorm: make('d norm', n * w.hidden),
    dqkv: make('d qkv', n * w.qkv),
    dattn: make('d attention', n * w.attn),
    dact: make('d mlp', n * w.mlp),
    delta: make('d softmax', n * net.config.num_attention_heads),
    drow: make('d row', rows * w.hidden),
    drowNorm: make('d row norm', rows * w.hidden),
    partial: make('norm partial', (2 * net.config.num_hidden_layers + 1) * partialStride(blocks, w.hidden)),
    blocks,
  };
}

function partialStride(blocks: number, hidden: number): number {
  return Math.ceil((blocks * hidden) / 64) * 64;
}

export interface BackwardInput {
  rowOf: Binding;
  distinct: Binding;
  order: Binding;
}

/**
 * The backward pass from the logits' gradient (standing in the logits' place) to every parameter: the mirror of forwardOps,
 * layer by layer. Gradients are added to `grads`: those of all weights, or with adapters those of the last one only.
 */
export function backwardOps(
  net: Network,
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
  const partialOf = (norm: number): Binding => ({
    buffer: s.partial.buffer,
    offset: norm * stride * 4,
    size: stride * 4,
  });
  /** dx = dy W; dW += dyᵀ x */
  const weightBackward = (
    [first, last]: readonly [string, string?],
    at: { x: Binding; dy: Binding; dx: Binding; in: number; out: number; rows: Size },
  ) => {
    const { x, dy, dx, in: width, out, rows } = at;
    const W = params.binding(first, last);
    ops.push(matmul(gpu, { layout: 'NN', a: dy, b: W, c: dx, M: rows, N: width, K: out }));
    if (!full) return;
    const dW = grads.binding(first, last);
    ops.push(matmul(gpu, { layout: 'TN', a: dy, b: x, c: dW, M: out, N: width, K: rows, accumulate: true }));
  };
  const linearBackward = (layer: number, group: LinearGroup, x: Binding, dy: Binding, dx: Binding) => {
    weightBackward(layerNames(layer)[group], { x, dy, dx, ...linearGroup(config, group), rows: 'tokens' });
    if (lora) ops.push(...loraBackward(gpu, config, lora, { layer, group, x, dy, dx }, grads));
  };
  /** Adds what is injected at a layer's output, and keeps the sum. */
  const tapHidden = (l: number) => {
    if (!taps) return;
    const rows = 'tokens';
    ops.push(combine({ x: taps.hidden.inject[l]!, y: s.dx, a: 1, b: 1, rows, width: w.hidden }));
    ops.push(combine({ x: s.dx, y: taps.hidden.grad[l]!, a: 1, b: 0, rows, width: w.hidden }));
  };
  /**
   * The gradient that enters o_proj. What is injected at an attention output flows on through the attention only: the residual
   * stream beside it does not depend on that output.
   */
  const tapAttn = (l: number): Binding => {
    if (!taps) return s.dx;
    const rows = 'tokens';
    const grad = taps.attn.grad[l]!;
    ops.push(combine({ x: s.dx, y: grad, a: 1, b: 0, rows, width: w.hidden }));
    ops.push(combine({ x: taps.attn.inject[l]!, y: grad, a: 1, b: 1, rows, width: w.hidden }));
    return grad;
  };

  // head and final norm, on the wanted rows only
  weightBackward([headName(config)], {
    x: acts.rowNorm,
    dy: acts.logits,
    dx: s.drowNorm,
    in: w.hidden,
    out: w.vocab,
    rows: 'rows',
  });
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
    tapHidden(l);
    linearBackward(l, 'down', a.act, s.dx, s.dact);
    ops.push(swigluBackward({ gu: a.gu, dact: s.dact, width: w.mlp }));
    linearBackward(l, 'gateUp', a.norm2, a.gu, s.dnorm);
    norm(1);
    const dAttnOut = tapAttn(l);
    linearBackward(l, 'o', a.attn, dAttnOut, s.dattn);
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
    linearBackward(l, 'qkv', a.norm1, s.dqkv, s.dnorm);
    norm(0);
  }

  if (!full) return ops;
  const normGrads = grads.norms();
  const normStride = grads.layout.normStride;
  ops.push(
    columnSum({
      partial: s.partial,
      grad: normGrads,
      norms: 2 * L,
      rows: 'tokens',
      width: w.hidden,
      partialStride: stride,
      gradStride: normStride,
    }),
    columnSum({
      partial: partialOf(2 * L),
      grad: grads.binding('model.norm.weight'),
      norms: 1,
      rows: 'rows',
      width: w.hidden,
      partialStride: stride,
      gradStride: normStride,
    }),
    embedBackward({
      distinct: input.distinct,
      order: input.order,
      dx: s.dx,
      grad: grads.binding('model.embed_tokens.weight'),
      width: w.hidden,
    }),
  );
  return ops;
}
