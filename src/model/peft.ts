import * as v from 'valibot';
import type { LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import { checkLora, LORA_TARGETS, loraLayout, type LoraConfig, type LoraTarget } from './lora.ts';
import { readSafetensors } from './safetensors.ts';

/** Settings of PEFT that change the maths, with the only value that this engine computes. */
const PLAIN = {
  bias: 'none',
  fan_in_fan_out: false,
  use_dora: false,
  use_rslora: false,
  lora_bias: false,
} as const;
/** Settings that must be absent or empty. */
const EMPTY = [
  'modules_to_save',
  'layers_to_transform',
  'layers_pattern',
  'rank_pattern',
  'alpha_pattern',
  'layer_replication',
  'exclude_modules',
  'trainable_token_indices',
] as const;

/** Starts whose base weights PEFT changes as well, unless the adapter was saved to be loaded on the untouched base. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq)/;

const schema = v.looseObject({
  peft_type: v.literal('LORA'),
  r: v.pipe(v.number(), v.integer(), v.minValue(1)),
  lora_alpha: v.number(),
  target_modules: v.array(v.string()),
});

/** adapter_config.json of PEFT. @throws LabError 'bad-config' naming a setting that this engine does not compute */
export function parsePeftConfig(json: unknown): LoraConfig {
  const parsed = v.safeParse(schema, json);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw wrong(`"${v.getDotPath(issue) ?? 'the file'}": ${issue.message}`);
  }
  const settings = parsed.output;
  for (const [key, plain] of Object.entries(PLAIN)) {
    const value = settings[key];
    if (value !== undefined && value !== null && value !== plain)
      throw wrong(`"${key}" is ${JSON.stringify(value)}; only ${JSON.stringify(plain)} is computed here`);
  }
  for (const key of EMPTY) {
    const value = settings[key];
    const empty =
      value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);
    if (!empty) throw wrong(`"${key}" is set, and this engine does not know it`);
  }
  if (typeof settings.init_lora_weights === 'string' && CHANGES_BASE.test(settings.init_lora_weights))
    throw wrong(
      `"init_lora_weights" is "${settings.init_lora_weights}": such an adapter belongs to base weights that were changed with it`,
    );
  const unknown = settings.target_modules.filter((t) => !LORA_TARGETS.includes(t as LoraTarget));
  if (unknown.length > 0)
    throw wrong(
      `"target_modules" names ${unknown.join(', ')}; only the projections ${LORA_TARGETS.join(', ')} can be adapted`,
    );
  const lora = {
    r: settings.r,
    alpha: settings.lora_alpha,
    targets: LORA_TARGETS.filter((t) => settings.target_modules.includes(t)),
  };
  checkLora(lora);
  return lora;
}

/** adapter_config.json as PEFT reads it. */
export function peftConfigJson(lora: LoraConfig, base = ''): Record<string, unknown> {
  return {
    base_model_name_or_path: base,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: lora.r,
    target_modules: [...lora.targets],
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
  };
}

/** Tensors of adapter_model.safetensors, checked against the model and the adapter's settings. @throws LabError 'corrupt-model' */
export function readPeftTensors(config: LlamaConfig, lora: LoraConfig, bytes: Uint8Array): Tensors {
  const { tensors } = readSafetensors(bytes);
  const { byName } = loraLayout(config, lora);
  const missing = [...byName.keys()].find((name) => !tensors.has(name));
  if (missing) throw corrupt(`"${missing}" is missing`);
  for (const [name, { shape }] of tensors) {
    const wanted = byName.get(name)?.shape;
    if (!wanted) throw corrupt(`"${name}" belongs to no adapted projection of this model`);
    if (wanted.join() !== shape.join())
      throw corrupt(`"${name}" has shape [${shape.join(', ')}] instead of [${wanted.join(', ')}]`);
  }
  return tensors;
}

function wrong(why: string): LabError {
  return new LabError('bad-config', `This adapter cannot be used: in its adapter_config.json, ${why}.`, {
    safe: 'Nothing was loaded.',
    next: 'Use a plain LoRA adapter of a Llama model, or merge the adapter into its model first.',
  });
}

function corrupt(why: string): LabError {
  return new LabError(
    'corrupt-model',
    `The adapter's weights do not fit its settings and the model: ${why}.`,
    {
      safe: 'Nothing was loaded.',
      next: 'Check that adapter and model belong together and are complete.',
    },
  );
}
