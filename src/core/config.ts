import * as v from 'valibot';
import { fieldProblems, show } from './config-fields.ts';
import { LabError } from './errors.ts';

export type RopeScaling =
  | { rope_type: 'linear'; factor: number }
  | {
      rope_type: 'llama3';
      factor: number;
      low_freq_factor: number;
      high_freq_factor: number;
      original_max_position_embeddings: number;
    };

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
  pad_token_id: v.optional(v.nullable(v.pipe(v.number(), v.integer())), null),
});

const fits = (what: string): LabError =>
  new LabError('bad-config', `This model's config.json does not fit: ${what}.`, {
    safe: 'Nothing was loaded.',
    next: 'Use a model of the Llama family whose config.json has only the supported settings.',
  });

/**
 * Checks the content of a config.json (already parsed) and fills in Hugging Face's defaults.
 * Throws LabError('bad-config') that names the field: wrong values, sizes that do not go together, and every setting
 * that would change the mathematics and is not built here.
 */
export function parseLlamaConfig(json: unknown): LlamaConfig {
  const { config, problems } = inspectLlamaConfig(json);
  if (!config) throw fits(problems[0]!);
  return config;
}

/** As parseLlamaConfig, but with every reason against a configuration and not only the first. */
export function inspectLlamaConfig(json: unknown): { config: LlamaConfig | null; problems: string[] } {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return { config: null, problems: ['it is not a JSON object'] };
  const problems = fieldProblems(json as Record<string, unknown>);
  const parsed = v.safeParse(SCHEMA, json);
  if (!parsed.success) {
    for (const issue of parsed.issues)
      problems.push(`"${v.getDotPath(issue) ?? 'config'}": ${issue.message}`);
    return { config: null, problems };
  }
  const c = parsed.output;
  const bad = (what: string): void => void problems.push(what);
  const kv = c.num_key_value_heads ?? c.num_attention_heads;
  if (c.num_attention_heads % kv !== 0)
    bad(`"num_attention_heads" (${c.num_attention_heads}) is no multiple of "num_key_value_heads" (${kv})`);
  const head_dim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  if (!Number.isInteger(head_dim))
    bad(
      `"hidden_size" (${c.hidden_size}) is no multiple of "num_attention_heads" (${c.num_attention_heads}) and there is no "head_dim"`,
    );
  else if (head_dim % 2 !== 0) bad(`"head_dim" (${head_dim}) must be even for rotary embeddings`);
  const eos = Array.isArray(c.eos_token_id) ? c.eos_token_id : [c.eos_token_id];
  for (const [field, id] of [
    ['bos_token_id', c.bos_token_id] as const,
    ...eos.map((id) => ['eos_token_id', id] as const),
  ])
    if (id !== null && id >= c.vocab_size)
      bad(`"${field}" (${id}) lies outside of "vocab_size" (${c.vocab_size})`);
  const rope = parseRope(c, bad);
  if (problems.length > 0) return { config: null, problems };
  const config: LlamaConfig = {
    vocab_size: c.vocab_size,
    hidden_size: c.hidden_size,
    intermediate_size: c.intermediate_size,
    num_hidden_layers: c.num_hidden_layers,
    num_attention_heads: c.num_attention_heads,
    num_key_value_heads: kv,
    head_dim,
    rms_norm_eps: c.rms_norm_eps,
    ...rope,
    tie_word_embeddings: c.tie_word_embeddings,
    max_position_embeddings: c.max_position_embeddings,
    bos_token_id: c.bos_token_id,
    eos_token_id: eos[0]!,
    // older exports write -1 for none, and some name one that the embedding has no row for; nothing here reads it
    pad_token_id:
      c.pad_token_id !== null && c.pad_token_id >= 0 && c.pad_token_id < c.vocab_size ? c.pad_token_id : null,
  };
  return { config, problems };
}

/** What each type of scaling may be described by, besides the type itself and the base. */
const SCALING = {
  default: v.strictObject({}),
  // `original_max_position_embeddings` says how the model was made; the frequencies do not depend on it
  linear: v.strictObject({ factor: positive, original_max_position_embeddings: v.optional(size(2 ** 24)) }),
  llama3: v.strictObject({
    factor: positive,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: size(2 ** 24),
  }),
};

interface RopeFields {
  rope_theta?: number | null | undefined;
  rope_scaling?: Record<string, unknown> | null | undefined;
  rope_parameters?: Record<string, unknown> | null | undefined;
}

/** Both spellings of both places: rope_theta and rope_scaling, or all of it in rope_parameters; `rope_type` or `type`. */
function parseRope(
  c: RopeFields,
  bad: (what: string) => void,
): { rope_theta: number; rope_scaling: RopeScaling | null } {
  const place = c.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  const {
    rope_type,
    type: older,
    rope_theta,
    partial_rotary_factor: part,
    ...rest
  } = {
    ...c.rope_scaling,
    ...c.rope_parameters,
  };
  const given = [rope_theta, c.rope_theta].filter((x) => x != null);
  const theta = v.safeParse(positive, given[0] ?? 10000);
  if (!theta.success) bad('"rope_theta" must be a number greater than 0');
  else if (given.some((x) => x !== theta.output))
    bad(`"rope_theta" is ${show(c.rope_theta)}, and ${show(rope_theta)} in "${place}"`);
  if (part != null && part !== 1)
    bad(`"${place}.partial_rotary_factor" is ${show(part)}, and only 1 is supported`);
  if (rope_type != null && older != null && rope_type !== older)
    bad(`"${place}" has the rope_type ${show(rope_type)} and the type ${show(older)}`);
  const none = { rope_theta: theta.success ? theta.output : 10000, rope_scaling: null };
  const type = rope_type ?? older ?? 'default';
  if (type !== 'default' && type !== 'linear' && type !== 'llama3') {
    bad(`"${place}.rope_type" is ${show(type)}, and only "llama3", "linear" or none is supported`);
    return none;
  }
  const present = Object.fromEntries(Object.entries(rest).filter(([, x]) => x !== null));
  const parsed = v.safeParse(SCALING[type], present);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    bad(`"${place}.${v.getDotPath(issue) ?? ''}" with rope_type "${type}": ${issue.message}`);
    return none;
  }
  if (type === 'default') return none;
  const o = parsed.output as v.InferOutput<(typeof SCALING)['llama3']>;
  if (type === 'linear') return { ...none, rope_scaling: { rope_type: type, factor: o.factor } };
  if (o.high_freq_factor <= o.low_freq_factor)
    bad(`"${place}.high_freq_factor" must be greater than "low_freq_factor"`);
  return { ...none, rope_scaling: { rope_type: type, ...o } };
}

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
 * With `linear` scaling all are slowed by `factor`. With `llama3` scaling (Llama 3.1): long wavelengths are slowed by `factor`, short ones kept, the middle interpolated.
 */
export function ropeInvFreq(c: LlamaConfig): Float64Array {
  const half = c.head_dim / 2;
  const freq = Float64Array.from({ length: half }, (_, i) => c.rope_theta ** (-i / half));
  const s = c.rope_scaling;
  if (!s) return freq;
  if (s.rope_type === 'linear') return freq.map((f) => f / s.factor);
  return freq.map((f) => {
    const turns = (s.original_max_position_embeddings * f) / (2 * Math.PI);
    if (turns < s.low_freq_factor) return f / s.factor;
    if (turns > s.high_freq_factor) return f;
    const smooth = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
    return (1 - smooth) * (f / s.factor) + smooth * f;
  });
}
