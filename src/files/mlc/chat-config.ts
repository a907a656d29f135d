/** mlc-chat-config.json: what WebLLM must know of a model beside its weights, and what it tells of one. */
import * as v from 'valibot';
import type { LlamaConfig } from '../../core/config.ts';
import type { Dtype } from '../dtypes.ts';
import { jinjaOf, type ConvTemplate } from './conversation.ts';

export const CHAT_CONFIG = 'mlc-chat-config.json';

/**
 * Tokens of context that WebLLM is to hold. It reserves the whole key/value cache when it loads a model, and for the longest
 * context of Llama 3.2 that alone is 4 GB; its own list of models names 4096 for these, too.
 */
const CONTEXT = 4096;
/** Tokens that the stock libraries take at once (`cs1k` in their names). */
const PREFILL = 1024;

/** `q0`: not quantised. f32-to-bf16 is float32 in memory. */
export const quantisationOf = (dtype: Dtype): 'q0f16' | 'q0f32' => (dtype === 'F16' ? 'q0f16' : 'q0f32');

/**
 * The content of mlc-chat-config.json by the fields of MLC's own converter.
 * @param o.tokenizer tokenizer.json, parsed
 * @param o.ends ids that end an answer
 */
export function chatConfig(
  config: LlamaConfig,
  o: { dtype: Dtype; conversation: ConvTemplate; tokenizer: unknown; tokenizerFiles: readonly string[] },
): Record<string, unknown> {
  const context = Math.min(config.max_position_embeddings, CONTEXT);
  const ends = o.conversation.stop_token_ids;
  return {
    version: '0.1.0',
    model_type: 'llama',
    quantization: quantisationOf(o.dtype),
    model_config: {
      hidden_size: config.hidden_size,
      intermediate_size: config.intermediate_size,
      num_attention_heads: config.num_attention_heads,
      num_hidden_layers: config.num_hidden_layers,
      rms_norm_eps: config.rms_norm_eps,
      vocab_size: config.vocab_size,
      tie_word_embeddings: config.tie_word_embeddings,
      position_embedding_base: config.rope_theta,
      rope_scaling: config.rope_scaling,
      context_window_size: config.max_position_embeddings,
      prefill_chunk_size: Math.min(config.max_position_embeddings, PREFILL),
      num_key_value_heads: config.num_key_value_heads,
      head_dim: config.head_dim,
      tensor_parallel_shards: 1,
      pipeline_parallel_stages: 1,
      max_batch_size: 1,
    },
    vocab_size: config.vocab_size,
    context_window_size: context,
    sliding_window_size: -1,
    prefill_chunk_size: Math.min(context, PREFILL),
    attention_sink_size: -1,
    tensor_parallel_shards: 1,
    pipeline_parallel_stages: 1,
    // greedy, as this lab asks; a user of the bundle sets what they like
    temperature: 0,
    presence_penalty: 0,
    frequency_penalty: 0,
    repetition_penalty: 1,
    top_p: 1,
    tokenizer_files: [...o.tokenizerFiles],
    tokenizer_info: tokenizerInfo(o.tokenizer),
    conv_template: o.conversation,
    pad_token_id: config.pad_token_id ?? 0,
    bos_token_id: config.bos_token_id ?? undefined,
    eos_token_id: ends.length > 1 ? ends : (ends[0] ?? config.eos_token_id),
  };
}

/** Steps of a part of tokenizer.json: one, or those of a sequence. */
function steps(part: unknown, list: string): { type?: unknown }[] {
  if (typeof part !== 'object' || part === null) return [];
  const inner = (part as Record<string, unknown>)[list];
  return (Array.isArray(inner) ? inner : [part]) as { type?: unknown }[];
}

/** How tokens become text, as MLC's own DetectTokenizerInfo reads it from tokenizer.json; WebLLM needs it for grammars. */
function tokenizerInfo(json: unknown): Record<string, unknown> {
  const { decoder, normalizer, pre_tokenizer } = (json ?? {}) as Record<string, unknown>;
  const decoders = steps(decoder, 'decoders');
  const has = (list: { type?: unknown }[], type: string): boolean => list.some((s) => s.type === type);
  const bytes = has(decoders, 'ByteLevel');
  return {
    token_postproc_method: bytes ? 'byte_level' : has(decoders, 'ByteFallback') ? 'byte_fallback' : 'raw',
    prepend_space_in_encode:
      has(steps(normalizer, 'normalizers'), 'Prepend') ||
      has(steps(pre_tokenizer, 'pretokenizers'), 'Metaspace'),
    strip_space_in_decode: has(decoders, 'Strip'),
  };
}

// ------------------------------------------------------------------------------------------------------------ reading

const text = v.string();
const texts = v.record(v.string(), v.string());
const CONVERSATION = v.object({
  name: v.optional(text, 'mlc'),
  system_template: text,
  system_message: v.optional(text, ''),
  system_prefix_token_ids: v.nullish(v.array(v.number()), null),
  add_role_after_system_message: v.optional(v.boolean(), true),
  render_empty_system_message: v.optional(v.boolean(), true),
  roles: v.object({ user: text, assistant: text }),
  role_templates: v.optional(texts, {}),
  seps: v.pipe(v.array(text), v.minLength(1)),
  role_content_sep: v.optional(text, ': '),
  role_empty_sep: v.optional(text, ': '),
});

/**
 * A chat template in Hugging Face's language from mlc-chat-config.json; undefined where there is none to be read.
 * @param tokenizer tokenizer.json, parsed: it spells the tokens that open a conversation
 */
export function templateOfChatConfig(json: unknown, tokenizer: unknown): string | undefined {
  const parsed = v.safeParse(CONVERSATION, (json as { conv_template?: unknown } | null)?.conv_template);
  if (!parsed.success) return undefined;
  const c = parsed.output;
  const template: ConvTemplate = {
    ...c,
    roles: { ...c.roles, tool: c.roles.user },
    role_templates: {
      user: c.role_templates.user ?? '{user_message}',
      assistant: c.role_templates.assistant ?? '{assistant_message}',
      tool: '{tool_message}',
    },
    messages: [],
    seps: [c.seps[0]!, c.seps[1 % c.seps.length]!],
    stop_str: [],
    stop_token_ids: [],
  };
  return jinjaOf(template, (id) => addedToken(tokenizer, id));
}

function addedToken(tokenizer: unknown, id: number): string {
  const { added_tokens: added } = (tokenizer ?? {}) as { added_tokens?: unknown };
  const found = (Array.isArray(added) ? (added as { id?: unknown; content?: unknown }[]) : []).find(
    (t) => t.id === id,
  );
  return typeof found?.content === 'string' ? found.content : '';
}

/**
 * config.json in Hugging Face's form from mlc-chat-config.json. What it says is checked where every config.json is
 * (`parseLlamaConfig`): here names change, and nothing is filled in.
 */
export function configOfChatConfig(json: unknown): Record<string, unknown> | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { model_config: given, model_type, ...chat } = json as Record<string, unknown>;
  if (typeof given !== 'object' || given === null) return undefined;
  const c = given as Record<string, unknown>;
  const kept = [
    'vocab_size',
    'hidden_size',
    'intermediate_size',
    'num_hidden_layers',
    'num_attention_heads',
    'num_key_value_heads',
    'head_dim',
    'rms_norm_eps',
    'rope_scaling',
    'tie_word_embeddings',
    'attention_bias',
    'hidden_act',
  ];
  const renamed = {
    rope_theta: c.position_embedding_base ?? c.rope_theta,
    max_position_embeddings: c.context_window_size ?? chat.context_window_size,
    bos_token_id: chat.bos_token_id ?? null,
    eos_token_id: chat.eos_token_id,
    // -1 and 0 stand for none there
    pad_token_id: chat.pad_token_id,
  };
  return Object.fromEntries(
    Object.entries({
      ...(model_type === 'llama' && { architectures: ['LlamaForCausalLM'] }),
      model_type,
      ...Object.fromEntries(kept.map((key) => [key, c[key]])),
      ...renamed,
    }).filter(([, value]) => value !== undefined),
  );
}
