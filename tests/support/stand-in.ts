import { join } from 'node:path';
import { writeModelFolder } from '../../src/cli/model-folder.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { tokenizerConfigJson, tokenizerJson } from '../../src/data/tokenizer-files.ts';
import { initTensors, tinyConfigJson } from '../../src/recipes/tiny.ts';

/**
 * The shape of a small relative of the shipped models, with their words: a software adapter trains and asks it in a tenth of the time.
 * Tests of bookkeeping and of bits share it, so that its kernels are compiled once.
 */
export const STAND_IN = {
  ...tinyConfigJson(),
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  head_dim: 16,
};

/** Writes folders as `npm run pretrain` leaves them, of that shape and with random weights. */
export function standInFolders(dir: string, models: readonly string[]): void {
  for (const [seed, model] of models.entries())
    writeModelFolder(join(dir, model), {
      config: STAND_IN,
      tokenizer: tokenizerJson(),
      tokenizerConfig: tokenizerConfigJson(),
      tensors: initTensors(parseLlamaConfig(STAND_IN), seed),
      record: { model, worldSeed: 0, steps: 0, adapter: '', date: '2026-11-28', firstLosses: [], curve: [] },
      card: '',
    });
}
