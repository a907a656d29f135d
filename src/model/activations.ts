import type { LlamaConfig } from '../core/config.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { range } from '../kernels/common.ts';
import type { Binding } from '../gpu/program.ts';
import type { Capacity } from './batch.ts';

/** What one layer leaves for its backward pass; [tokens, ...] each. */
export interface LayerActivations {
  /** Residual stream entering the layer. */
  x: Binding;
  norm1: Binding;
  rstd1: Binding;
  /** Queries, keys, values, rotated. */
  qkv: Binding;
  lse: Binding;
  attn: Binding;
  /** Residual stream after the attention. */
  mid: Binding;
  norm2: Binding;
  rstd2: Binding;
  gu: Binding;
  act: Binding;
}

/** Sizes of a Llama's inner tensors. */
export interface Widths {
  hidden: number;
  qkv: number;
  attn: number;
  mlp: number;
  vocab: number;
}

export function widths(c: LlamaConfig): Widths {
  return {
    hidden: c.hidden_size,
    qkv: (c.num_attention_heads + 2 * c.num_key_value_heads) * c.head_dim,
    attn: c.num_attention_heads * c.head_dim,
    mlp: c.intermediate_size,
    vocab: c.vocab_size,
  };
}

/**
 * What is kept of every layer until its backward pass: `all` of it; only its `inputs`, the rest being computed again (activation
 * checkpointing, Chen et al. 2016); or `nothing`, where there is no backward pass. What is not kept is shared by all layers: a
 * layer reads the residual stream in `mid` and `x` by turns, so nothing is overwritten too early.
 */
export type Keep = 'all' | 'inputs' | 'nothing';

/** Floats of a layer's buffers. */
export function layerFloats(config: LlamaConfig, tokens: number): Record<keyof LayerActivations, number> {
  const w = widths(config);
  return {
    x: tokens * w.hidden,
    norm1: tokens * w.hidden,
    rstd1: tokens,
    qkv: tokens * w.qkv,
    lse: tokens * config.num_attention_heads,
    attn: tokens * w.attn,
    mid: tokens * w.hidden,
    norm2: tokens * w.hidden,
    rstd2: tokens,
    gu: tokens * 2 * w.mlp,
    act: tokens * w.mlp,
  };
}

/** Floats of the buffers that stand outside of the layers. */
export function sharedFloats({ hidden_size }: LlamaConfig, { maxTokens, maxRows }: Capacity) {
  return {
    delta: maxTokens * hidden_size,
    last: maxTokens * hidden_size,
    rowX: maxRows * hidden_size,
    rowNorm: maxRows * hidden_size,
    rowRstd: maxRows,
  };
}

/** Floats of all buffers of the forward pass together. */
export function activationFloats(config: LlamaConfig, capacity: Capacity, keep: Keep): number {
  const layer = layerFloats(config, capacity.maxTokens);
  const copies = (name: keyof LayerActivations): number =>
    keep === 'all' || (keep === 'inputs' && name === 'x') ? config.num_hidden_layers : 1;
  return (
    sum(Object.values(sharedFloats(config, capacity))) +
    sum(Object.entries(layer).map(([name, floats]) => copies(name as keyof LayerActivations) * floats))
  );
}

const sum = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);

/** Buffers of the forward pass, up to the hidden states that the head takes. */
export class Activations {
  readonly keep: Keep;
  readonly layers: LayerActivations[];
  /** Output of a block before it joins the residual stream. */
  readonly delta: Binding;
  /** Residual stream after the last layer. */
  readonly last: Binding;
  /** Rows taken to the head: before and after the final norm. */
  readonly rowX: Binding;
  readonly rowNorm: Binding;
  readonly rowRstd: Binding;
  private readonly gpu: Gpu;
  private readonly owned: GPUBuffer[] = [];

  constructor(gpu: Gpu, config: LlamaConfig, capacity: Capacity, keep: Keep) {
    this.gpu = gpu;
    this.keep = keep;
    const floats = layerFloats(config, capacity.maxTokens);
    const layer = (): LayerActivations => ({
      x: this.make('x', floats.x),
      norm1: this.make('norm1', floats.norm1),
      rstd1: this.make('rstd1', floats.rstd1),
      qkv: this.make('qkv', floats.qkv),
      lse: this.make('lse', floats.lse),
      attn: this.make('attention', floats.attn),
      mid: this.make('mid', floats.mid),
      norm2: this.make('norm2', floats.norm2),
      rstd2: this.make('rstd2', floats.rstd2),
      gu: this.make('gate and up', floats.gu),
      act: this.make('mlp', floats.act),
    });
    const first = layer();
    this.layers = Array.from({ length: config.num_hidden_layers }, (_, l) => {
      if (l === 0 || keep === 'nothing') return first;
      return keep === 'all' ? layer() : { ...first, x: this.make('x', floats.x) };
    });
    const shared = sharedFloats(config, capacity);
    this.delta = this.make('block output', shared.delta);
    this.last = this.make('last hidden', shared.last);
    this.rowX = this.make('row hidden', shared.rowX);
    this.rowNorm = this.make('row norm', shared.rowNorm);
    this.rowRstd = this.make('row rstd', shared.rowRstd);
  }

  /** A buffer of `floats` that is freed with the rest. */
  make(label: string, floats: number): Binding {
    const buffer = this.gpu.buffer(label, Math.max(floats, 4) * 4);
    this.owned.push(buffer);
    return range(buffer, 0, Math.max(floats, 4));
  }

  destroy(): void {
    for (const buffer of this.owned) this.gpu.free(buffer);
    this.owned.length = 0;
  }
}
