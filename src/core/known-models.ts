import type { LlamaConfig } from './config.ts';

/**
 * Published models of the Llama family whose configuration this engine computes in full, as a help to choose. They are not part
 * of the lab: a user downloads them from where they are published. Sizes are computed from their published shapes.
 */
export interface KnownModel {
  /** Owner and name at Hugging Face. */
  repo: string;
  /** Its page asks for a login and for agreement to a licence before it gives the files. */
  gated: boolean;
  /** Tuned for conversation, with a chat template. */
  chat: boolean;
  licence: string;
  shape: ModelShape;
}

/** The fields of config.json that decide how large a model is. */
export interface ModelShape {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  tie_word_embeddings: boolean;
}

/** The shapes of published models, by a short name. */
export const PUBLISHED_SHAPES = {
  'smollm2-135m': {
    vocab_size: 49152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    head_dim: 64,
    tie_word_embeddings: true,
  },
  'smollm2-360m': {
    vocab_size: 49152,
    hidden_size: 960,
    intermediate_size: 2560,
    num_hidden_layers: 32,
    num_attention_heads: 15,
    num_key_value_heads: 5,
    head_dim: 64,
    tie_word_embeddings: true,
  },
  'tinyllama-1.1b': {
    vocab_size: 32000,
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 22,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    head_dim: 64,
    tie_word_embeddings: false,
  },
  'llama-3.2-1b': {
    vocab_size: 128256,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 64,
    tie_word_embeddings: true,
  },
} satisfies Record<string, ModelShape>;

const APACHE = { gated: false, licence: 'Apache-2.0' };
const META = { gated: true, licence: 'Llama 3.2 Community License' };

export const KNOWN_MODELS: readonly KnownModel[] = [
  {
    repo: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    chat: true,
    ...APACHE,
    shape: PUBLISHED_SHAPES['smollm2-135m'],
  },
  { repo: 'HuggingFaceTB/SmolLM2-135M', chat: false, ...APACHE, shape: PUBLISHED_SHAPES['smollm2-135m'] },
  {
    repo: 'HuggingFaceTB/SmolLM2-360M-Instruct',
    chat: true,
    ...APACHE,
    shape: PUBLISHED_SHAPES['smollm2-360m'],
  },
  {
    repo: 'TinyLlama/TinyLlama-1.1B-Chat-v1.0',
    chat: true,
    ...APACHE,
    shape: PUBLISHED_SHAPES['tinyllama-1.1b'],
  },
  { repo: 'meta-llama/Llama-3.2-1B-Instruct', chat: true, ...META, shape: PUBLISHED_SHAPES['llama-3.2-1b'] },
  { repo: 'meta-llama/Llama-3.2-1B', chat: false, ...META, shape: PUBLISHED_SHAPES['llama-3.2-1b'] },
];

/** What besides the shape is compiled into a model library of WebLLM. */
interface Compiled {
  /** Of WebLLM's own list of models; the type follows it: `-q0f32-MLC`. */
  webllm: string;
  rms_norm_eps: number;
  rope_theta: number;
  rope_scaling: Record<string, unknown> | null;
}

const SMOLLM2 = { rms_norm_eps: 1e-5, rope_theta: 100000, rope_scaling: null };
const COMPILED: Partial<Record<keyof typeof PUBLISHED_SHAPES, Compiled>> = {
  'smollm2-135m': { webllm: 'SmolLM2-135M-Instruct', ...SMOLLM2 },
  'smollm2-360m': { webllm: 'SmolLM2-360M-Instruct', ...SMOLLM2 },
  'llama-3.2-1b': {
    webllm: 'Llama-3.2-1B-Instruct',
    rms_norm_eps: 1e-5,
    rope_theta: 500000,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
  },
};

/** The configurations that have a stock library, for people. */
export const WEBLLM_SHAPES = 'SmolLM2-135M, SmolLM2-360M, Llama-3.2-1B';

/**
 * The model of WebLLM's own list whose unquantised library computes this configuration; null: none does. Everything that is
 * compiled in must be equal; the vocabulary is not, and neither are the weights.
 */
export function webllmModel(config: LlamaConfig, quantisation: 'q0f16' | 'q0f32'): string | null {
  for (const [name, { webllm, ...rest }] of Object.entries(COMPILED)) {
    const { vocab_size, ...shape } = PUBLISHED_SHAPES[name as keyof typeof PUBLISHED_SHAPES];
    void vocab_size;
    const wanted: Record<string, unknown> = { ...shape, ...rest };
    if (Object.entries(wanted).every(([key, value]) => same(config[key as keyof LlamaConfig], value)))
      return `${webllm}-${quantisation}-MLC`;
  }
  return null;
}

const same = (a: unknown, b: unknown): boolean =>
  typeof a === 'object' && typeof b === 'object' && a !== null && b !== null
    ? Object.entries(b).every(([key, value]) => (a as Record<string, unknown>)[key] === value)
    : a === b;

/** All of them are published with 16 bits a number. */
export const PUBLISHED_BYTES = 2;

export function parametersOf(s: ModelShape): number {
  const attention = s.num_attention_heads * s.head_dim;
  const kv = s.num_key_value_heads * s.head_dim;
  const layer = s.hidden_size * (2 * attention + 2 * kv + 3 * s.intermediate_size + 2);
  const embedding = s.vocab_size * s.hidden_size;
  return s.num_hidden_layers * layer + s.hidden_size + embedding * (s.tie_word_embeddings ? 1 : 2);
}

export interface Fit {
  /** Of the weights on the GPU, which keeps matrices as they are published, in bytes. */
  weights: number;
  /** What one buffer would have to hold, and what it can; null: the adapter allows it. Its limits do not tell how much memory the GPU has. */
  problem: { needs: number; limit: number } | null;
}

/**
 * Whether the weights of a model keep to an adapter's limits. Matrices are read in spans that fit a binding, and stand in several
 * buffers; the embedding, or gate and up of a layer, must fit one.
 */
export function fit(shape: ModelShape, { maxBufferSize: limit }: { maxBufferSize: number }): Fit {
  const weights = parametersOf(shape) * PUBLISHED_BYTES;
  const needs = Math.max(shape.vocab_size, 2 * shape.intermediate_size) * shape.hidden_size * PUBLISHED_BYTES;
  return { weights, problem: needs > limit ? { needs, limit } : null };
}
