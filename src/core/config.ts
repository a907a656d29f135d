import * as v from 'valibot';
import { LabError } from './errors.ts';

export interface RopeScaling {
  rope_type: 'llama3';
  factor: number;
  low_freq_factor: number;
  high_freq_factor: number;
  original_max_position_embeddings: number;
}

/** A Llama architecture by Hugging Face's names, with every default filled in. */
export interface LlamaConfig {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  rms_norm_eps: number;
  rope_theta: number;
  rope_scaling: RopeScaling | null;
  tie_word_embeddings: boolean;
  max_position_embeddings: number;
  bos_token_id: number | null;
  /** The first one where the model lists several. */
  eos_token_id: number;
  pad_token_id: number | null;
}

const size = (max: number) => v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(max));
const positive = v.pipe(
  v.number(),
  v.finite(),
  v.check((x) => x > 0, 'must be greater than 0'),
);
const token = v.pipe(v.number(), v.integer(), v.minValue(0));

const LLAMA3 = v.object({
  factor: positive,
  low_freq_factor: positive,
  high_freq_factor: positive,
  original_max_position_embeddings: size(2 ** 24),
});

const SCHEMA = v.object({
  vocab_size: size(2 ** 20),
  hidden_size: size(2 ** 16),
  intermediate_size: size(2 ** 18),
  num_hidden_layers: size(1024),
  num_attention_heads: size(1024),
  num_key_value_heads: v.nullish(size(1024)),
  head_dim: v.nullish(size(4096)),
  rms_norm_eps: v.optional(positive, 1e-6),
  rope_theta: v.nullish(positive),
  rope_scaling: v.nullish(v.record(v.string(), v.unknown())),
  rope_parameters: v.nullish(v.record(v.string(), v.unknown())),
  tie_word_embeddings: v.optional(v.boolean(), false),
  max_position_embeddings: v.optional(size(2 ** 24), 2048),
  bos_token_id: v.optional(v.nullable(token), 1),
  eos_token_id: v.optional(v.union([token, v.pipe(v.array(token), v.minLength(1))]), 2),
  pad_token_id: v.optional(v.nullable(token), null),
});

/** Fields that change what the network computes, each with the values under which it computes what this engine does. */
const NEUTRAL: Record<string, readonly unknown[]> = {
  model_type: ['llama'],
  hidden_act: ['silu', 'swish'],
  attention_bias: [false],
  mlp_bias: [false],
  partial_rotary_factor: [1],
  sliding_window: [null],
  layer_types: [null],
  quantization_config: [null],
  num_local_experts: [null, 0],
  num_experts: [null, 0],
  qk_norm: [null, false],
  use_qk_norm: [null, false],
  no_rope_layers: [null],
  logits_scaling: [1],
  logit_scale: [1],
  final_logit_softcapping: [null],
  attn_logit_softcapping: [null],
  embedding_multiplier: [1],
  residual_multiplier: [1],
  attention_multiplier: [null],
};

function bad(what: string): LabError {
  return new LabError('bad-config', `This model's config.json does not fit: ${what}.`, {
    safe: 'Nothing was loaded.',
    next: 'Use a model of the Llama family whose config.json has only the supported settings.',
  });
}

/**
 * Checks the content of a config.json (already parsed) and fills in Hugging Face's defaults.
 * Throws LabError('bad-config') that names the field: wrong values, sizes that do not go together, and every setting
 * that would change the mathematics and is not built here.
 */
export function parseLlamaConfig(json: unknown): LlamaConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw bad('it is not a JSON object');
  for (const [field, allowed] of Object.entries(NEUTRAL)) {
    const value: unknown = (json as Record<string, unknown>)[field];
    if (value !== undefined && !allowed.includes(value))
      throw bad(`"${field}" is ${show(value)}, and only ${allowed.map(show).join(' or ')} is supported`);
  }
  const parsed = v.safeParse(SCHEMA, json);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    throw bad(`"${v.getDotPath(issue) ?? 'config'}": ${issue.message}`);
  }
  const c = parsed.output;
  const rope = { ...c.rope_scaling, ...c.rope_parameters };
  const kv = c.num_key_value_heads ?? c.num_attention_heads;
  if (c.num_attention_heads % kv !== 0)
    throw bad(
      `"num_attention_heads" (${c.num_attention_heads}) is no multiple of "num_key_value_heads" (${kv})`,
    );
  if (c.head_dim == null && c.hidden_size % c.num_attention_heads !== 0)
    throw bad(
      `"hidden_size" (${c.hidden_size}) is no multiple of "num_attention_heads" (${c.num_attention_heads}) and there is no "head_dim"`,
    );
  const head_dim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  if (head_dim % 2 !== 0) throw bad(`"head_dim" (${head_dim}) must be even for rotary embeddings`);
  const theta = v.safeParse(positive, rope.rope_theta ?? c.rope_theta ?? 10000);
  if (!theta.success) throw bad('"rope_theta" must be a number greater than 0');
  return {
    vocab_size: c.vocab_size,
    hidden_size: c.hidden_size,
    intermediate_size: c.intermediate_size,
    num_hidden_layers: c.num_hidden_layers,
    num_attention_heads: c.num_attention_heads,
    num_key_value_heads: kv,
    head_dim,
    rms_norm_eps: c.rms_norm_eps,
    rope_theta: theta.output,
    rope_scaling: parseScaling(rope),
    tie_word_embeddings: c.tie_word_embeddings,
    max_position_embeddings: c.max_position_embeddings,
    bos_token_id: c.bos_token_id,
    eos_token_id: Array.isArray(c.eos_token_id) ? c.eos_token_id[0]! : c.eos_token_id,
    pad_token_id: c.pad_token_id,
  };
}

function parseScaling(rope: Record<string, unknown>): RopeScaling | null {
  const type = rope.rope_type ?? rope.type ?? 'default';
  if (type === 'default') {
    if (rope.factor !== undefined) throw bad('"rope_scaling" has a factor but no rope_type');
    return null;
  }
  if (type !== 'llama3')
    throw bad(`"rope_scaling.rope_type" is ${show(type)}, and only "llama3" or none is supported`);
  const parsed = v.safeParse(LLAMA3, rope);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    throw bad(`"rope_scaling.${v.getDotPath(issue) ?? ''}": ${issue.message}`);
  }
  if (parsed.output.high_freq_factor <= parsed.output.low_freq_factor)
    throw bad('"rope_scaling.high_freq_factor" must be greater than "low_freq_factor"');
  return { rope_type: 'llama3', ...parsed.output };
}

const show = (x: unknown): string => JSON.stringify(x) ?? String(x);

/** Shapes of all tensors of the model by Hugging Face name, in Hugging Face's order; matrices are [out, in]. */
export function tensorShapes(c: LlamaConfig): Map<string, number[]> {
  const h = c.hidden_size;
  const q = c.num_attention_heads * c.head_dim;
  const kv = c.num_key_value_heads * c.head_dim;
  const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [c.vocab_size, h]]]);
  for (let l = 0; l < c.num_hidden_layers; l++) {
    const layer = `model.layers.${l}`;
    shapes.set(`${layer}.self_attn.q_proj.weight`, [q, h]);
    shapes.set(`${layer}.self_attn.k_proj.weight`, [kv, h]);
    shapes.set(`${layer}.self_attn.v_proj.weight`, [kv, h]);
    shapes.set(`${layer}.self_attn.o_proj.weight`, [h, q]);
    shapes.set(`${layer}.mlp.gate_proj.weight`, [c.intermediate_size, h]);
    shapes.set(`${layer}.mlp.up_proj.weight`, [c.intermediate_size, h]);
    shapes.set(`${layer}.mlp.down_proj.weight`, [h, c.intermediate_size]);
    shapes.set(`${layer}.input_layernorm.weight`, [h]);
    shapes.set(`${layer}.post_attention_layernorm.weight`, [h]);
  }
  shapes.set('model.norm.weight', [h]);
  if (!c.tie_word_embeddings) shapes.set('lm_head.weight', [c.vocab_size, h]);
  return shapes;
}

/**
 * Inverse frequencies of the rotary embedding, [head_dim / 2]: angle of pair i at position p is p * result[i].
 * With `llama3` scaling (Llama 3.1): long wavelengths are slowed by `factor`, short ones kept, the middle interpolated.
 */
export function ropeInvFreq(c: LlamaConfig): Float64Array {
  const half = c.head_dim / 2;
  const freq = Float64Array.from({ length: half }, (_, i) => c.rope_theta ** (-i / half));
  const s = c.rope_scaling;
  if (!s) return freq;
  return freq.map((f) => {
    const turns = (s.original_max_position_embeddings * f) / (2 * Math.PI);
    if (turns < s.low_freq_factor) return f / s.factor;
    if (turns > s.high_freq_factor) return f;
    const smooth = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
    return (1 - smooth) * (f / s.factor) + smooth * f;
  });
}
