import { tensorShapes, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import { readSafetensors } from './safetensors.ts';

/** A model folder in Hugging Face's layout. JSON is parsed already; the weights are one file or all shards. */
export interface ModelFiles {
  config: unknown;
  weights: Uint8Array[];
  /** Content of model.safetensors.index.json, where there are shards. */
  index?: unknown;
  tokenizer?: unknown;
  tokenizerConfig?: unknown;
}

function corrupt(what: string): LabError {
  return new LabError('corrupt-model', `The model's weights do not fit its config.json: ${what}.`, {
    safe: 'Nothing was loaded; models and checkpoints that are already here are untouched.',
    next: 'Check that all files come from the same model and are complete.',
  });
}

/** Buffers that older exports contain and the configuration determines anyway. */
const DERIVED = /\.rotary_emb\.inv_freq$/;

/**
 * The model's tensors in tensorShapes' order. Every name and shape is checked; missing and extra ones are named in
 * LabError('corrupt-model'). A tied model may carry lm_head.weight when it equals the embedding; it is then left out.
 */
export function loadTensors(config: LlamaConfig, files: ModelFiles): Tensors {
  const found: Tensors = new Map();
  for (const bytes of files.weights)
    for (const [name, tensor] of readSafetensors(bytes).tensors) {
      if (found.has(name)) throw corrupt(`tensor "${name}" is in more than one file`);
      if (!DERIVED.test(name)) found.set(name, tensor);
    }
  if (files.index !== undefined) checkIndex(files.index, found);
  if (config.tie_word_embeddings) dropTiedHead(found);

  const shapes = tensorShapes(config);
  const missing = [...shapes.keys()].filter((name) => !found.has(name));
  if (missing.length > 0) throw corrupt(`missing ${listNames(missing)}`);
  const extra = [...found.keys()].filter((name) => !shapes.has(name));
  if (extra.length > 0) throw corrupt(`unknown ${listNames(extra)}`);

  const tensors: Tensors = new Map();
  for (const [name, shape] of shapes) {
    const tensor = found.get(name)!;
    if (tensor.shape.join() !== shape.join())
      throw corrupt(`"${name}" has shape [${tensor.shape.join(', ')}] instead of [${shape.join(', ')}]`);
    tensors.set(name, tensor);
  }
  return tensors;
}

function checkIndex(index: unknown, found: Tensors): void {
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null) throw corrupt('the index of the shards has no weight_map');
  const absent = Object.keys(map).filter((name) => !found.has(name) && !DERIVED.test(name));
  if (absent.length > 0) throw corrupt(`the index names ${listNames(absent)}, which no given file holds`);
}

function dropTiedHead(found: Tensors): void {
  const head = found.get('lm_head.weight');
  if (!head) return;
  const embedding = found.get('model.embed_tokens.weight');
  const same =
    embedding?.data.length === head.data.length && head.data.every((x, i) => Object.is(x, embedding.data[i]));
  if (!same)
    throw corrupt(
      'tie_word_embeddings is true, but "lm_head.weight" differs from "model.embed_tokens.weight"',
    );
  found.delete('lm_head.weight');
}

function listNames(names: readonly string[]): string {
  const shown = names.slice(0, 4).map((name) => `"${name}"`);
  const rest = names.length - shown.length;
  return `tensor${names.length > 1 ? 's' : ''} ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
