import { parseLlamaConfig } from '../../src/core/config.ts';
import { tokenizerConfigJson, tokenizerJson } from '../../src/data/tokenizer-files.ts';
import { writeSafetensors } from '../../src/model/safetensors.ts';
import { initTensors, tinyConfigJson } from '../../src/recipes/tiny.ts';

/** A model's files by name. */
export type Files = Record<string, string | Uint8Array<ArrayBuffer>>;

/** Random weights with the tiny world's tokenizer; `large` ones are too large to be copied into the store. */
export function checkpoint(o: { large?: boolean; seed?: number } = {}): Files {
  const large = { hidden_size: 512, intermediate_size: 2816, num_hidden_layers: 2, head_dim: 16 };
  const config = { ...tinyConfigJson(), ...(o.large && large) };
  const weights = writeSafetensors(initTensors(parseLlamaConfig(config), o.seed ?? 1), 'F16');
  return {
    'config.json': JSON.stringify(config),
    'tokenizer.json': JSON.stringify(tokenizerJson()),
    'tokenizer_config.json': JSON.stringify(tokenizerConfigJson()),
    'model.safetensors': weights.slice(),
  };
}
