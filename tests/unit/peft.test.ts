import { describe, expect, test } from 'vitest';
import { LORA_TARGETS } from '../../src/model/lora.ts';
import { parsePeftConfig, peftConfigJson } from '../../src/model/peft.ts';

const lora = { r: 4, alpha: 8, targets: LORA_TARGETS };
const plain = peftConfigJson(lora);

describe('adapter_config.json', () => {
  test('is read as it is written', () => {
    expect(parsePeftConfig(plain)).toEqual(lora);
    expect(parsePeftConfig({ ...plain, target_modules: ['v_proj', 'q_proj'] }).targets).toEqual([
      'q_proj',
      'v_proj',
    ]);
  });

  test.each([
    ['peft_type', 'IA3'],
    ['r', 0],
    ['r', 2.5],
    ['lora_alpha', -1],
    ['target_modules', 'all-linear'],
    ['target_modules', ['q_proj', 'embed_tokens']],
    ['target_modules', []],
    ['use_dora', true],
    ['use_rslora', true],
    ['bias', 'all'],
    ['fan_in_fan_out', true],
    ['modules_to_save', ['lm_head']],
    ['layers_to_transform', [0]],
    ['rank_pattern', { q_proj: 2 }],
    ['init_lora_weights', 'pissa_niter_16'],
  ])('is refused in words with %s = %j', (key, value) => {
    expect(() => parsePeftConfig({ ...plain, [key]: value })).toThrow(/adapter/);
  });

  test.each([null, 7, [], 'LORA'])('is refused when it is %j', (json) => {
    expect(() => parsePeftConfig(json)).toThrow(/adapter_config\.json/);
  });
});
