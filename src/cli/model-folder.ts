import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLlamaConfig } from '../core/config.ts';
import type { LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import { loadTensors } from '../model/hf.ts';
import { writeSafetensors } from '../model/safetensors.ts';
import { writeAtomic } from './checkpoint-file.ts';
import type { TrainingSegment } from './checkpoint-file.ts';

/** training.json beside the weights: the machine-readable half of the model card. */
export interface TrainingRecord {
  model: string;
  /** Seed of the world, of the initial weights and of the order of the data. */
  worldSeed: number;
  steps: number;
  adapter: string;
  /** What each part of the run was computed with; absent in records that were made before it was kept. */
  segments?: TrainingSegment[];
  date: string;
  /** SHA-256 (hex) of model.safetensors: a browser that holds other weights under this name notices. */
  weightsSha256: string;
  /** Loss of each of the first steps, for replaying; steps count from 1. */
  firstLosses: number[];
  /** [step, mean loss since the entry before] */
  curve: [number, number][];
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** A model folder in Hugging Face layout, weights in f16. */
export function writeModelFolder(
  dir: string,
  files: {
    config: Record<string, unknown>;
    tokenizer: unknown;
    tokenizerConfig: unknown;
    tensors: Tensors;
    record: Omit<TrainingRecord, 'weightsSha256'>;
    card: string;
  },
): void {
  mkdirSync(dir, { recursive: true });
  writeAtomic(join(dir, 'config.json'), json(files.config));
  writeAtomic(join(dir, 'tokenizer.json'), json(files.tokenizer));
  writeAtomic(join(dir, 'tokenizer_config.json'), json(files.tokenizerConfig));
  const metadata = { format: 'pt', world_seed: String(files.record.worldSeed), model: files.record.model };
  const weights = writeSafetensors(files.tensors, 'F16', metadata);
  const weightsSha256 = createHash('sha256').update(weights).digest('hex');
  writeAtomic(join(dir, 'model.safetensors'), weights);
  writeAtomic(join(dir, 'training.json'), json({ ...files.record, weightsSha256 }));
  writeAtomic(join(dir, 'README.md'), files.card);
}

export interface ModelFolder {
  config: LlamaConfig;
  tensors: Tensors;
  record: TrainingRecord;
}

/** Throws LabError('bad-input') when the folder does not hold a model, and what loadTensors throws on a damaged one. */
export function readModelFolder(dir: string): ModelFolder {
  const path = (name: string): string => {
    const p = join(dir, name);
    if (!existsSync(p))
      throw new LabError('bad-input', `${p} does not exist.`, {
        next: 'Make the model with "npm run pretrain".',
      });
    return p;
  };
  const parse = (name: string): unknown => JSON.parse(readFileSync(path(name), 'utf8'));
  const json = parse('config.json');
  const config = parseLlamaConfig(json);
  const weights = [new Uint8Array(readFileSync(path('model.safetensors')))];
  return {
    config,
    tensors: loadTensors(config, { config: json, weights }),
    record: parse('training.json') as TrainingRecord,
  };
}
