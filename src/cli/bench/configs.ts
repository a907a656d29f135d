/** The models and batches of the benchmark: made by a fixed generator, so that any engine can be laid beside this one. */
import { parseLlamaConfig, type LlamaConfig } from '../../core/config.ts';
import { LabError } from '../../core/errors.ts';
import type { Batch, Tensors } from '../../core/types.ts';

/** A Llama with tied embeddings, and the batch it is trained on. */
export interface BenchConfig {
  hidden: number;
  layers: number;
  heads: number;
  kvHeads: number;
  ff: number;
  vocab: number;
  seq: number;
  rows: number;
}

export const CONFIGS: Record<string, BenchConfig> = {
  nano: { hidden: 128, layers: 4, heads: 4, kvHeads: 2, ff: 352, vocab: 1024, seq: 128, rows: 8 },
  small: { hidden: 256, layers: 6, heads: 8, kvHeads: 4, ff: 688, vocab: 2048, seq: 256, rows: 4 },
  // one layer of SmolLM2-135M with its whole vocabulary
  smol1: { hidden: 576, layers: 1, heads: 9, kvHeads: 3, ff: 1536, vocab: 49152, seq: 256, rows: 1 },
};

/** Marsaglia's xorshift32 (13, 17, 5) as a fraction of 2^32. */
function xorshift32(seed: number): () => number {
  let x = seed >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

/**
 * Initial weights from seed 7: tensors in the order embedding, then per layer input norm, q, k, v, o, post-attention norm,
 * gate, up, down, then the final norm. Matrices are drawn input-major (the embedding token-major), each value as the sum
 * of four uniforms less two, times sqrt(3) * 0.02, with o and down divided by sqrt(2 layers); norms are 1.
 */
export function benchWeights(c: BenchConfig): Tensors {
  const uniform = xorshift32(7);
  const out: Tensors = new Map();
  const draw = (std: number): number => (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508 * std;
  const norm = (name: string): unknown =>
    out.set(name, { shape: [c.hidden], data: new Float32Array(c.hidden).fill(1) });
  const linear = (name: string, inputs: number, outputs: number, std = 0.02): void => {
    const data = new Float32Array(inputs * outputs);
    for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) data[o * inputs + i] = draw(std);
    out.set(name, { shape: [outputs, inputs], data });
  };
  const embedding = new Float32Array(c.vocab * c.hidden).map(() => draw(0.02));
  out.set('model.embed_tokens.weight', { shape: [c.vocab, c.hidden], data: embedding });
  const kv = (c.hidden / c.heads) * c.kvHeads;
  const residual = 0.02 * (1 / Math.sqrt(2 * c.layers));
  for (let l = 0; l < c.layers; l++) {
    const layer = `model.layers.${l}`;
    norm(`${layer}.input_layernorm.weight`);
    linear(`${layer}.self_attn.q_proj.weight`, c.hidden, c.hidden);
    linear(`${layer}.self_attn.k_proj.weight`, c.hidden, kv);
    linear(`${layer}.self_attn.v_proj.weight`, c.hidden, kv);
    linear(`${layer}.self_attn.o_proj.weight`, c.hidden, c.hidden, residual);
    norm(`${layer}.post_attention_layernorm.weight`);
    linear(`${layer}.mlp.gate_proj.weight`, c.hidden, c.ff);
    linear(`${layer}.mlp.up_proj.weight`, c.hidden, c.ff);
    linear(`${layer}.mlp.down_proj.weight`, c.ff, c.hidden, residual);
  }
  norm('model.norm.weight');
  return out;
}

/**
 * Rows of seq + 1 tokens from seed 11: a token follows its predecessor t as (31 t + 17) mod vocab with probability 3/4,
 * else it is drawn at random. The last token is only a target; its own position changes no loss.
 */
export function benchBatch(c: BenchConfig): Batch {
  const uniform = xorshift32(11);
  const any = (): number => Math.floor(uniform() * c.vocab);
  return Array.from({ length: c.rows }, () => {
    let token = any();
    const ids = Array.from({ length: c.seq + 1 }, () => {
      const now = token;
      token = uniform() < 0.75 ? (token * 31 + 17) % c.vocab : any();
      return now;
    });
    return { ids, labels: ids };
  });
}

/** Multiply-adds of causal attention in a training step, as two operations each; backward = twice forward. */
export function attentionFlops(c: BenchConfig): number {
  return 3 * 2 * c.layers * c.rows * c.seq * c.seq * c.hidden;
}

/** Multiply-adds of a training step counted as two operations each: linears and causal attention, backward = twice forward. */
export function trainedFlops(c: BenchConfig): number {
  const kv = (c.hidden / c.heads) * c.kvHeads;
  const layer = 2 * c.hidden * c.hidden + 2 * c.hidden * kv + 3 * c.hidden * c.ff;
  const linears = 2 * c.rows * c.seq * (c.layers * layer + c.vocab * c.hidden);
  return 3 * linears + attentionFlops(c);
}

/** @throws LabError 'bad-input' naming the configurations that there are */
export function benchConfig(name: string): BenchConfig {
  const c = Object.hasOwn(CONFIGS, name) ? CONFIGS[name] : undefined;
  if (c) return c;
  throw new LabError('bad-input', `There is no bench config "${name}".`, {
    next: `Known: ${Object.keys(CONFIGS).join(', ')}.`,
  });
}

export const llamaOf = (c: BenchConfig): LlamaConfig =>
  parseLlamaConfig({
    model_type: 'llama',
    vocab_size: c.vocab,
    hidden_size: c.hidden,
    intermediate_size: c.ff,
    num_hidden_layers: c.layers,
    num_attention_heads: c.heads,
    num_key_value_heads: c.kvHeads,
    hidden_act: 'silu',
    max_position_embeddings: c.seq + 1,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    bos_token_id: 0,
    eos_token_id: 0,
    pad_token_id: 0,
  });
