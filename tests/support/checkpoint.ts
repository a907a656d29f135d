import { parseLlamaConfig } from '../../src/core/config.ts';
import { tokenizerConfigJson, tokenizerJson } from '../../src/data/tokenizer-files.ts';
import { writeSafetensors } from '../../src/model/safetensors.ts';
import { initTensors } from '../../src/recipes/tiny.ts';
import { STAND_IN } from './stand-in.ts';

/** A model's files by name. */
export type Files = Record<string, string | Uint8Array<ArrayBuffer>>;

/** Random weights with the tiny world's tokenizer; `large` ones are too large to be copied into the store. */
export function checkpoint(o: { large?: boolean; seed?: number } = {}): Files {
  const large = { hidden_size: 512, intermediate_size: 2816, num_attention_heads: 3 };
  const config = { ...STAND_IN, ...(o.large && large) };
  const weights = writeSafetensors(initTensors(parseLlamaConfig(config), o.seed ?? 1), 'F16');
  return {
    'config.json': JSON.stringify(config),
    'tokenizer.json': JSON.stringify(tokenizerJson()),
    'tokenizer_config.json': JSON.stringify(tokenizerConfigJson()),
    'model.safetensors': weights.slice(),
  };
}
