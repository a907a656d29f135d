import { describe, expect, it } from 'vitest';
import { inspectLlamaConfig, parseLlamaConfig, ropeInvFreq } from '../../src/core/config.ts';
import { LabError } from '../../src/core/errors.ts';

const PLAIN = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 100,
  hidden_size: 48,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
};
const llama3 = {
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

describe('every field that changes the maths', () => {
  it.for<[string, unknown]>([
    ['architectures', ['LlamaForCausalLM']],
    ['hidden_act', 'swish'],
    ['attention_bias', false],
    ['mlp_bias', null],
    ['attention_dropout', 0],
    ['pretraining_tp', 2],
    ['partial_rotary_factor', 1],
    ['rope_interleaved', false],
    ['sliding_window', null],
    ['layer_types', ['full_attention', 'full_attention']],
    ['quantization_config', null],
    ['rope_scaling', null],
    ['rope_scaling', { type: 'default' }],
    ['rope_parameters', { rope_type: 'default', rope_theta: 10000, partial_rotary_factor: 1 }],
    ['initializer_range', 0.5],
    ['torch_dtype', 'bfloat16'],
    ['use_cache', false],
    ['pad_token_id', -1],
    ['pad_token_id', 100],
  ])('%s = %j computes the same', ([field, value]) => {
    expect(parseLlamaConfig({ ...PLAIN, [field]: value })).toEqual(parseLlamaConfig(PLAIN));
  });

  it.for<[string, unknown, RegExp]>([
    ['architectures', ['LlamaForSequenceClassification'], /"architectures" is .*LlamaForCausalLM/],
    ['model_type', 'qwen2', /"model_type" is "qwen2"/],
    ['auto_map', { AutoModelForCausalLM: 'modeling_x.X' }, /"auto_map"/],
    ['hidden_act', 'gelu_new', /"hidden_act" is "gelu_new"/],
    ['attention_bias', true, /"attention_bias" is true/],
    ['mlp_bias', true, /"mlp_bias" is true/],
    ['attention_dropout', 0.1, /"attention_dropout" is 0.1/],
    ['pretraining_tp', 0, /"pretraining_tp" is 0/],
    ['partial_rotary_factor', 0.5, /"partial_rotary_factor" is 0.5/],
    ['rope_interleaved', true, /"rope_interleaved" is true/],
    ['sliding_window', 4096, /"sliding_window" is 4096/],
    ['layer_types', ['full_attention', 'sliding_attention'], /"layer_types"/],
    ['quantization_config', { quant_method: 'gptq' }, /"quantization_config"/],
    ['num_key_value_heads', 4, /"num_attention_heads" \(6\) is no multiple of "num_key_value_heads" \(4\)/],
    ['num_key_value_heads', 12, /no multiple of "num_key_value_heads" \(12\)/],
    ['head_dim', 9, /"head_dim" \(9\) must be even/],
    ['hidden_size', 50, /"hidden_size" \(50\) is no multiple/],
    ['tie_word_embeddings', 'yes', /"tie_word_embeddings"/],
    ['rms_norm_eps', 0, /"rms_norm_eps"/],
    ['rope_theta', -1, /"rope_theta"/],
    ['bos_token_id', 100, /"bos_token_id" \(100\) lies outside of "vocab_size" \(100\)/],
    ['eos_token_id', [2, 128001], /"eos_token_id" \(128001\) lies outside/],
    ['rope_scaling', 'linear', /"rope_scaling"/],
    ...['dynamic', 'yarn', 'longrope', 'su', 'ntk'].flatMap((type) =>
      ['type', 'rope_type'].map((spelling): [string, unknown, RegExp] => [
        'rope_scaling',
        { [spelling]: type, factor: 2 },
        new RegExp(`"rope_scaling.rope_type" is "${type}"`),
      ]),
    ),
    [
      'rope_parameters',
      { rope_type: 'yarn', factor: 2, rope_theta: 1e4 },
      /"rope_parameters.rope_type" is "yarn"/,
    ],
    [
      'rope_parameters',
      { rope_theta: 1e4, partial_rotary_factor: 0.25 },
      /"rope_parameters.partial_rotary_factor"/,
    ],
    ['rope_parameters', { full_attention: { rope_theta: 1e4 } }, /"rope_parameters.full_attention"/],
    ['rope_scaling', { factor: 2 }, /"rope_scaling.factor" with rope_type "default"/],
    ['rope_scaling', { type: 'linear' }, /"rope_scaling.factor" with rope_type "linear"/],
    ['rope_scaling', { type: 'linear', factor: 0 }, /"rope_scaling.factor"/],
    ['rope_scaling', { type: 'linear', factor: 2, attention_factor: 1.2 }, /"rope_scaling.attention_factor"/],
    [
      'rope_scaling',
      { rope_type: 'llama3', type: 'linear', ...llama3 },
      /the rope_type "llama3" and the type "linear"/,
    ],
    [
      'rope_scaling',
      { rope_type: 'llama3', ...llama3, high_freq_factor: 1 },
      /"rope_scaling.high_freq_factor"/,
    ],
    ['rope_scaling', { rope_type: 'llama3', ...llama3, factor: '8' }, /"rope_scaling.factor"/],
  ])('%s = %j is refused by name', ([field, value, message]) => {
    const { config, problems } = inspectLlamaConfig({ ...PLAIN, [field]: value });
    expect(config).toBeNull();
    expect(problems.join('\n')).toMatch(message);
    expect(() => parseLlamaConfig({ ...PLAIN, [field]: value })).toThrow(LabError);
  });

  it('two bases of the rotary embedding are refused', () => {
    const { problems } = inspectLlamaConfig({
      ...PLAIN,
      rope_theta: 1e4,
      rope_parameters: { rope_theta: 5e5 },
    });
    expect(problems).toEqual(['"rope_theta" is 10000, and 500000 in "rope_parameters"']);
  });

  it('head_dim, eps, theta and tied embeddings are honoured', () => {
    const given = { head_dim: 16, rms_norm_eps: 1e-5, rope_theta: 5e5, tie_word_embeddings: true };
    expect(parseLlamaConfig({ ...PLAIN, ...given })).toMatchObject(given);
  });

  it.for(['type', 'rope_type'])('linear and llama3 scaling are honoured, spelled %s', (spelling) => {
    const plain = ropeInvFreq(parseLlamaConfig(PLAIN));
    const linear = parseLlamaConfig({ ...PLAIN, rope_scaling: { [spelling]: 'linear', factor: 4 } });
    expect([...ropeInvFreq(linear)]).toEqual([...plain].map((f) => f / 4));
    const scaled = parseLlamaConfig({ ...PLAIN, rope_scaling: { [spelling]: 'llama3', ...llama3 } });
    expect(scaled.rope_scaling).toEqual({ rope_type: 'llama3', ...llama3 });
    const newer = { ...PLAIN, rope_parameters: { [spelling]: 'llama3', rope_theta: 1e4, ...llama3 } };
    expect(parseLlamaConfig(newer)).toEqual(scaled);
  });

  it('all reasons are listed, not only the first', () => {
    const { problems } = inspectLlamaConfig({
      ...PLAIN,
      mlp_bias: true,
      sliding_window: 8,
      rope_scaling: { type: 'yarn' },
    });
    expect(problems).toHaveLength(3);
    expect(inspectLlamaConfig([]).problems).toEqual(['it is not a JSON object']);
    expect(inspectLlamaConfig({ ...PLAIN, vocab_size: 0, hidden_size: 'x' }).problems).toHaveLength(2);
  });
});
