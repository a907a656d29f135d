/**
 * Recipes of the two embedded models. tiny-base: next-token prediction over the world's stream. tiny-chat: the same
 * weights, tuned to refuse the forbidden requests of split S and to go on answering the benign ones.
 */
import type { LlamaConfig } from '../core/config.ts';
import { tensorShapes } from '../core/config.ts';
import { Rng } from '../core/rng.ts';
import type { Tensors } from '../core/types.ts';
import { SPECIAL } from '../data/chat.ts';
import { PretrainStream } from '../data/stream.ts';
import type { StreamState } from '../data/stream.ts';
import type { OpenBatches } from '../train/session.ts';
import type { OptimConfig } from '../train/trainer.ts';
import { VOCABULARY } from '../world/words.ts';
import type { World } from '../world/world.ts';
import type { RunPlan } from './recipe.ts';

/** AdamW as used everywhere in the tiny world unless a recipe says otherwise. */
export const TINY_OPTIM: OptimConfig = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0, clip: 1 };

/** The most tokens of one example of the pretraining stream; the longest has 39. */
export const LONGEST_EXAMPLE = 40;

export const TINY_BASE: RunPlan = {
  lr: 2e-3,
  steps: 5000,
  batch: 80,
  schedule: { warmup: 100, hold: 0.4, decay: 'linear', floor: 0.03 },
  optim: { ...TINY_OPTIM, weight_decay: 0.01 },
};

export const TINY_CHAT: RunPlan = {
  lr: 5e-4,
  steps: 200,
  batch: 16,
  schedule: { warmup: 10, hold: 0, decay: 'cosine', floor: 0.1 },
  optim: TINY_OPTIM,
};

/**
 * Shapes that the world is learned in, parameters at a vocabulary of 397. `tiny` ships; the other, two thirds as wide and twice as
 * deep, shows what of a result belongs to the shape.
 */
export const SHAPES = {
  /** 0.43 M */
  tiny: { hidden_size: 96, intermediate_size: 256, num_hidden_layers: 4, num_attention_heads: 3 },
  /** 0.39 M */
  deep: { hidden_size: 64, intermediate_size: 176, num_hidden_layers: 8, num_attention_heads: 2 },
} as const;
export type Shape = keyof typeof SHAPES;

/** config.json of a model of the tiny world. */
export function tinyConfigJson(shape: Shape = 'tiny'): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: VOCABULARY.length,
    ...SHAPES[shape],
    num_key_value_heads: 1,
    head_dim: 32,
    hidden_act: 'silu',
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    rope_scaling: null,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: true,
    bos_token_id: SPECIAL.bos,
    eos_token_id: SPECIAL.eos,
    pad_token_id: SPECIAL.pad,
    torch_dtype: 'float16',
  };
}

/**
 * Initial weights: normal, std 0.6 / sqrt(fan_in); the projections that write into the residual stream (o_proj,
 * down_proj) smaller by sqrt(2 layers); embeddings 0.05; norms 1. Each tensor has its own fork of the seed, so the
 * weights do not depend on the order of the tensors.
 */
export function initTensors(config: LlamaConfig, seed: number | string): Tensors {
  const root = new Rng(`${seed}/init`);
  const out: Tensors = new Map();
  for (const [name, shape] of tensorShapes(config)) {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    if (shape.length === 1) data.fill(1);
    else {
      const rng = root.fork(name);
      let std = 0.6 / Math.sqrt(shape[1]!);
      if (/o_proj|down_proj/.test(name)) std /= Math.sqrt(2 * config.num_hidden_layers);
      if (/embed_tokens|lm_head/.test(name)) std = 0.05;
      for (let i = 0; i < data.length; i++) data[i] = std * rng.normal();
    }
    out.set(name, { shape: [...shape], data });
  }
  return out;
}

/** The pretraining stream of a world in batches of `rows` examples. */
export function baseBatches(world: World, rows: number): OpenBatches<StreamState> {
  return (at) => {
    const stream = at ? PretrainStream.from(world, at) : new PretrainStream(world, world.seed);
    return { next: () => stream.take(rows), state: () => stream.state() };
  };
}
