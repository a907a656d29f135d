/** Fields of a config.json that change what a Llama computes, and for which values this engine computes the same. */

const one = (...values: readonly unknown[]) => ({
  allows: (x: unknown): boolean => values.includes(x),
  words: values.map((x) => JSON.stringify(x)).join(' or '),
});

/**
 * Each with the values that it may have; an absent field has the first of them. A field that is not here, not in the schema
 * and not in Hugging Face's Llama (dropout of other architectures, names of files, ...) changes nothing.
 */
const FIELDS: Record<string, { allows: (x: unknown) => boolean; words: string }> = {
  model_type: one('llama'),
  architectures: {
    // a classifier or an embedder has other weights at its end
    allows: (x) => x === null || (Array.isArray(x) && x.every((name) => name === 'LlamaForCausalLM')),
    words: '["LlamaForCausalLM"]',
  },
  // Python code in the repository that replaces the architecture
  auto_map: one(null),
  is_encoder_decoder: one(false, null),
  add_cross_attention: one(false, null),
  hidden_act: one('silu', 'swish'),
  attention_bias: one(false, null),
  mlp_bias: one(false, null),
  // only training has it, and training is what this engine is for
  attention_dropout: one(0, null),
  // sums the same products in parts: the same up to rounding
  pretraining_tp: {
    allows: (x) => Number.isInteger(x) && (x as number) >= 1,
    words: 'a whole number from 1',
  },
  partial_rotary_factor: one(1, null),
  rope_interleaved: one(false, null),
  sliding_window: one(null),
  layer_types: {
    allows: (x) => x === null || (Array.isArray(x) && x.every((type) => type === 'full_attention')),
    words: '"full_attention" in every layer',
  },
  quantization_config: one(null),
  num_local_experts: one(null, 0),
  num_experts: one(null, 0),
  qk_norm: one(null, false),
  use_qk_norm: one(null, false),
  no_rope_layers: one(null),
  no_rope_layer_interval: one(null),
  logits_scaling: one(1),
  logit_scale: one(1),
  final_logit_softcapping: one(null),
  attn_logit_softcapping: one(null),
  embedding_multiplier: one(1),
  residual_multiplier: one(1),
  attention_multiplier: one(null),
};

export const show = (x: unknown): string => JSON.stringify(x) ?? String(x);

/** Sentences, one for each field with a value that is not supported. */
export function fieldProblems(json: Record<string, unknown>): string[] {
  return Object.entries(FIELDS).flatMap(([field, { allows, words }]) => {
    const value = json[field];
    if (value === undefined || allows(value)) return [];
    return [`"${field}" is ${show(value)}, and only ${words} is supported`];
  });
}
