/** A Llama in float64: forward and backward over packed rows, with taps. The oracle, see ops.ts. */
import { ropeInvFreq, type LlamaConfig } from '../core/config.ts';
import { IGNORE, type Batch, type Tensors } from '../core/types.ts';
import * as ops from './ops.ts';
import type { Vec } from './ops.ts';

/** Parameters (or their gradients) by Hugging Face name. */
export type Params = Map<string, Vec>;

/** One [tokens, hidden] per layer; undefined: nothing at this layer. */
export type PerLayer = readonly (Vec | undefined)[];
/** At each layer's attention output (of o_proj, before the residual add) and output (after the MLP's residual add). */
export interface Sites {
  attn?: PerLayer;
  hidden?: PerLayer;
}

export function toParams(tensors: Tensors): Params {
  return new Map([...tensors].map(([name, t]) => [name, Float64Array.from(t.data)]));
}

interface LayerCache {
  x: Vec;
  norm1: Vec;
  q: Vec;
  k: Vec;
  v: Vec;
  attn: Vec;
  mid: Vec;
  norm2: Vec;
  gate: Vec;
  up: Vec;
  act: Vec;
}

export interface Forward {
  ids: number[];
  positions: number[];
  lengths: number[];
  /** Label that the logits at each token predict; IGNORE where none counts. */
  targets: number[];
  /** Of each token's row. */
  weights: Vec;
  /** [tokens, vocab], rows one behind the other. */
  logits: Vec;
  /** [tokens], not weighted */
  tokenLoss: Vec;
  labels: number;
  /** Values at the sites, before what `perturb` adds. */
  attnOut: Vec[];
  hiddenOut: Vec[];
  layers: LayerCache[];
  last: Vec;
  norm: Vec;
}

/** The batch packed row behind row; `perturb` is added at its sites as a constant. */
export function forward(config: LlamaConfig, params: Params, batch: Batch, perturb: Sites = {}): Forward {
  const c = config;
  const h = c.hidden_size;
  const s = headShape(c);
  const invFreq = ropeInvFreq(c);
  const ids = batch.flatMap((row) => [...row.ids]);
  const positions = batch.flatMap((row) => row.ids.map((_, i) => i));
  const targets = batch.flatMap((row) => row.ids.map((_, i) => row.labels[i + 1] ?? IGNORE));
  const weights = Float64Array.from(batch.flatMap((row) => row.ids.map(() => row.weight ?? 1)));
  const lengths = batch.map((row) => row.ids.length);
  const n = ids.length;
  const attnOut: Vec[] = [];
  const hiddenOut: Vec[] = [];
  const layers: LayerCache[] = [];
  const push = (x: Vec, p: Vec | undefined): Vec => (p ? ops.add(x, p) : x);

  let x = ops.embedding(get(params, 'model.embed_tokens.weight'), ids, h);
  for (let l = 0; l < c.num_hidden_layers; l++) {
    const w = layerWeights(params, l);
    const norm1 = ops.rmsnorm(x, w('input_layernorm'), n, h, c.rms_norm_eps);
    const heads = (name: string, count: number): Vec =>
      ops.linear(norm1, w(`self_attn.${name}`), n, count * s.headDim, h);
    const q = ops.rope(heads('q_proj', s.heads), s.heads, s.headDim, positions, invFreq);
    const k = ops.rope(heads('k_proj', s.kvHeads), s.kvHeads, s.headDim, positions, invFreq);
    const v = heads('v_proj', s.kvHeads);
    const attn = ops.attention(q, k, v, lengths, s);
    const o = ops.linear(attn, w('self_attn.o_proj'), n, h, s.heads * s.headDim);
    attnOut.push(o);
    const mid = ops.add(x, push(o, perturb.attn?.[l]));
    const norm2 = ops.rmsnorm(mid, w('post_attention_layernorm'), n, h, c.rms_norm_eps);
    const gate = ops.linear(norm2, w('mlp.gate_proj'), n, c.intermediate_size, h);
    const up = ops.linear(norm2, w('mlp.up_proj'), n, c.intermediate_size, h);
    const act = ops.swiglu(gate, up);
    layers.push({ x, norm1, q, k, v, attn, mid, norm2, gate, up, act });
    const out = ops.add(mid, ops.linear(act, w('mlp.down_proj'), n, h, c.intermediate_size));
    hiddenOut.push(out);
    x = push(out, perturb.hidden?.[l]);
  }
  const norm = ops.rmsnorm(x, get(params, 'model.norm.weight'), n, h, c.rms_norm_eps);
  const logits = ops.linear(norm, get(params, headName(c)), n, c.vocab_size, h);
  const tokenLoss = ops.crossEntropy(logits, targets, c.vocab_size);
  const labels = targets.filter((t) => t !== IGNORE).length;
  return {
    ids,
    positions,
    lengths,
    targets,
    weights,
    logits,
    tokenLoss,
    labels,
    attnOut,
    hiddenOut,
    layers,
    last: x,
    norm,
  };
}

export interface Backward {
  grads: Params;
  /** Gradient at the sites, [tokens, hidden] per layer, injected gradients included. */
  attn: Vec[];
  hidden: Vec[];
}

/** Gradient of scale * sum of weighted token losses (plus what `inject` adds at its sites) by every parameter. */
export function backward(
  config: LlamaConfig,
  params: Params,
  f: Forward,
  scale: number,
  inject: Sites = {},
): Backward {
  const by = f.weights.map((w) => w * scale);
  const dlogits = ops.crossEntropyBackward(f.logits, f.targets, config.vocab_size, by);
  return backwardFrom(config, params, f, dlogits, inject);
}

/** The same from the gradient of any loss by the logits, [tokens, vocab]. */
export function backwardFrom(
  config: LlamaConfig,
  params: Params,
  f: Forward,
  dlogits: Vec,
  inject: Sites = {},
): Backward {
  const c = config;
  const h = c.hidden_size;
  const s = headShape(c);
  const n = f.ids.length;
  const invFreq = ropeInvFreq(c);
  const grads: Params = new Map([...params].map(([name, p]) => [name, new Float64Array(p.length)]));
  const give = (name: string, g: Vec): void => void grads.set(name, ops.add(get(grads, name), g));
  const push = (x: Vec, p: Vec | undefined): Vec => (p ? ops.add(x, p) : x);
  const attn: Vec[] = [];
  const hidden: Vec[] = [];

  const head = ops.linearBackward(dlogits, f.norm, get(params, headName(c)), n, c.vocab_size, h);
  give(headName(c), head.dw);
  const final = ops.rmsnormBackward(head.dx, f.last, get(params, 'model.norm.weight'), n, h, c.rms_norm_eps);
  give('model.norm.weight', final.dw);

  let dx = final.dx;
  for (let l = c.num_hidden_layers - 1; l >= 0; l--) {
    const a = f.layers[l]!;
    const w = layerWeights(params, l);
    const back = (name: string, dy: Vec, x: Vec, out: number, inner: number): Vec => {
      const { dx, dw } = ops.linearBackward(dy, x, w(name), n, out, inner);
      give(layerName(l, name), dw);
      return dx;
    };
    const normBack = (name: string, dy: Vec, x: Vec): Vec => {
      const { dx, dw } = ops.rmsnormBackward(dy, x, w(name), n, h, c.rms_norm_eps);
      give(layerName(l, name), dw);
      return dx;
    };

    dx = push(dx, inject.hidden?.[l]);
    hidden[l] = dx;
    const dact = back('mlp.down_proj', dx, a.act, h, c.intermediate_size);
    const { dgate, dup } = ops.swigluBackward(dact, a.gate, a.up);
    const dnorm2 = ops.add(
      back('mlp.gate_proj', dgate, a.norm2, c.intermediate_size, h),
      back('mlp.up_proj', dup, a.norm2, c.intermediate_size, h),
    );
    dx = ops.add(dx, normBack('post_attention_layernorm', dnorm2, a.mid));

    // What is injected at the attention output flows into o_proj only: the residual stream does not depend on it.
    const da = push(dx, inject.attn?.[l]);
    attn[l] = da;
    const dattn = back('self_attn.o_proj', da, a.attn, h, s.heads * s.headDim);
    const d = ops.attentionBackward(dattn, a.q, a.k, a.v, f.lengths, s);
    const dq = ops.rope(d.dq, s.heads, s.headDim, f.positions, invFreq, -1);
    const dk = ops.rope(d.dk, s.kvHeads, s.headDim, f.positions, invFreq, -1);
    const dnorm1 = [
      back('self_attn.q_proj', dq, a.norm1, s.heads * s.headDim, h),
      back('self_attn.k_proj', dk, a.norm1, s.kvHeads * s.headDim, h),
      back('self_attn.v_proj', d.dv, a.norm1, s.kvHeads * s.headDim, h),
    ].reduce(ops.add);
    dx = ops.add(dx, normBack('input_layernorm', dnorm1, a.x));
  }
  give('model.embed_tokens.weight', ops.embeddingBackward(dx, f.ids, c.vocab_size, h));
  return { grads, attn, hidden };
}

/** Loss (weighted mean over the labels of all micro-batches together), its gradient and the gradient's global norm. */
export function gradient(
  config: LlamaConfig,
  params: Params,
  micro: readonly Batch[],
): { loss: number; grads: Params; gradNorm: number } {
  const forwards = micro.map((batch) => forward(config, params, batch));
  const labels = forwards.reduce((sum, f) => sum + f.labels, 0);
  const grads: Params = new Map([...params].map(([name, p]) => [name, new Float64Array(p.length)]));
  let loss = 0;
  for (const f of forwards) {
    loss += f.tokenLoss.reduce((a, b, i) => a + b * f.weights[i]!, 0) / labels;
    for (const [name, g] of backward(config, params, f, 1 / labels).grads)
      grads.set(name, ops.add(get(grads, name), g));
  }
  let squares = 0;
  for (const g of grads.values()) for (const x of g) squares += x * x;
  return { loss, grads, gradNorm: Math.sqrt(squares) };
}

export interface OptimState {
  step: number;
  m: Params;
  v: Params;
}

export function newOptimState(params: Params): OptimState {
  const zeros = (): Params => new Map([...params].map(([name, p]) => [name, new Float64Array(p.length)]));
  return { step: 0, m: zeros(), v: zeros() };
}

/** One optimizer step (global-norm clipping, AdamW; norms do not decay). Changes `params` and `state`. */
export function trainStep(
  config: LlamaConfig,
  params: Params,
  state: OptimState,
  micro: readonly Batch[],
  optim: { betas: readonly [number, number]; eps: number; weight_decay: number; clip: number },
  lr: number,
): { loss: number; gradNorm: number } {
  const { loss, grads, gradNorm } = gradient(config, params, micro);
  const scale = ops.clipScale(gradNorm, optim.clip);
  state.step++;
  for (const [name, p] of params) {
    const g = get(grads, name).map((x) => x * scale);
    const weight_decay = name.includes('norm') ? 0 : optim.weight_decay;
    ops.adamw(p, g, get(state.m, name), get(state.v, name), {
      lr,
      betas: optim.betas,
      eps: optim.eps,
      weight_decay,
      step: state.step,
    });
  }
  return { loss, gradNorm };
}

/** `count` tokens by largest logit (of equal ones the lowest id), with the log-probabilities of all tokens. */
export function generateGreedy(
  config: LlamaConfig,
  params: Params,
  prompt: readonly number[],
  count: number,
): { id: number; logprobs: Vec }[] {
  const ids = [...prompt];
  const out: { id: number; logprobs: Vec }[] = [];
  for (let i = 0; i < count; i++) {
    const { logits } = forward(config, params, [{ ids, labels: ids.map(() => IGNORE) }]);
    const row = logits.subarray(logits.length - config.vocab_size);
    const lse = ops.logSumExp(row);
    const id = row.reduce((best, z, j) => (z > row[best]! ? j : best), 0);
    out.push({ id, logprobs: row.map((z) => z - lse) });
    ids.push(id);
  }
  return out;
}

function headShape(c: LlamaConfig): ops.HeadShape {
  return { heads: c.num_attention_heads, kvHeads: c.num_key_value_heads, headDim: c.head_dim };
}

function headName(c: LlamaConfig): string {
  return c.tie_word_embeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
}

const layerName = (l: number, name: string): string => `model.layers.${l}.${name}.weight`;

function layerWeights(params: Params, l: number): (name: string) => Vec {
  return (name) => get(params, layerName(l, name));
}

function get(params: Params, name: string): Vec {
  const p = params.get(name);
  if (!p) throw new Error(`the reference lacks tensor ${name}`);
  return p;
}
