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
 * Buffers of the forward pass. With `keep` each layer has its own (training); without, all layers share one set
 * (generation): a layer reads the residual stream in `mid` and `x` by turns, so nothing is overwritten too early.
 */
export class Activations {
  readonly layers: LayerActivations[];
  /** Output of a block before it joins the residual stream. */
  readonly delta: Binding;
  /** Residual stream after the last layer. */
  readonly last: Binding;
  /** Rows taken to the head: before and after the final norm. */
  readonly rowX: Binding;
  readonly rowNorm: Binding;
  readonly rowRstd: Binding;
  readonly logits: Binding;
  readonly loss: Binding;
  private readonly gpu: Gpu;
  private readonly owned: GPUBuffer[] = [];

  constructor(gpu: Gpu, config: LlamaConfig, capacity: Capacity, keep: boolean) {
    this.gpu = gpu;
    const w = widths(config);
    const { maxTokens: n, maxRows: rows } = capacity;
    const layer = (): LayerActivations => ({
      x: this.make('x', n * w.hidden),
      norm1: this.make('norm1', n * w.hidden),
      rstd1: this.make('rstd1', n),
      qkv: this.make('qkv', n * w.qkv),
      lse: this.make('lse', n * config.num_attention_heads),
      attn: this.make('attention', n * w.attn),
      mid: this.make('mid', n * w.hidden),
      norm2: this.make('norm2', n * w.hidden),
      rstd2: this.make('rstd2', n),
      gu: this.make('gate and up', n * 2 * w.mlp),
      act: this.make('mlp', n * w.mlp),
    });
    const first = layer();
    this.layers = Array.from({ length: config.num_hidden_layers }, (_, l) =>
      l === 0 ? first : keep ? layer() : first,
    );
    this.delta = this.make('block output', n * w.hidden);
    this.last = this.make('last hidden', n * w.hidden);
    this.rowX = this.make('row hidden', rows * w.hidden);
    this.rowNorm = this.make('row norm', rows * w.hidden);
    this.rowRstd = this.make('row rstd', rows);
    this.logits = this.make('logits', rows * w.vocab);
    this.loss = this.make('loss', rows);
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
