import { tensorShapes, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import { checkWeightMap, listed, parseWeightMap, type Checkpoint } from '../files/checkpoint.ts';
import { readValues, readWords, type StoredTensor } from '../files/safetensors.ts';
import { SLICE_BYTES } from '../files/source.ts';
import { readSafetensors } from './safetensors.ts';
import type { WeightSource } from './weights.ts';

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
const HEAD = 'lm_head.weight';
const EMBEDDING = 'model.embed_tokens.weight';

interface Shaped {
  shape: readonly number[];
}

/**
 * What stands between a checkpoint's tensors and the architecture, in words: missing, unknown and misshapen tensors.
 * Empty when all is there. A tied model may carry a head of the embedding's shape; whether it is equal is not seen here.
 */
export function tensorProblems(config: LlamaConfig, found: ReadonlyMap<string, Shaped>): string[] {
  const shapes = tensorShapes(config);
  const optional = (name: string): boolean =>
    DERIVED.test(name) || (config.tie_word_embeddings && name === HEAD);
  const missing = [...shapes.keys()].filter((name) => !found.has(name));
  const extra = [...found.keys()].filter((name) => !shapes.has(name) && !optional(name));
  const problems: string[] = [];
  if (missing.length > 0) problems.push(`missing ${listed('tensor', missing)}`);
  if (extra.length > 0) problems.push(`unknown ${listed('tensor', extra)}`);
  for (const [name, shape] of shapes) {
    const actual = found.get(name)?.shape;
    if (actual && actual.join() !== shape.join())
      problems.push(`"${name}" has shape [${actual.join(', ')}] instead of [${shape.join(', ')}]`);
  }
  return problems;
}

const differs = (): LabError =>
  corrupt(`tie_word_embeddings is true, but "${HEAD}" differs from "${EMBEDDING}"`);

function checkTensors(config: LlamaConfig, found: ReadonlyMap<string, Shaped>): void {
  const [problem] = tensorProblems(config, found);
  if (problem !== undefined) throw corrupt(problem);
  if (config.tie_word_embeddings && found.has(HEAD))
    if (found.get(HEAD)!.shape.join() !== found.get(EMBEDDING)!.shape.join()) throw differs();
}

/**
 * The model's tensors in tensorShapes' order. Every name and shape is checked; missing and extra ones are named in
 * LabError('corrupt-model'). A tied model may carry lm_head.weight when it equals the embedding; it is then left out.
 * For models that fit into memory twice; `openWeights` is for all others.
 */
export function loadTensors(config: LlamaConfig, files: ModelFiles): Tensors {
  const found: Tensors = new Map();
  for (const bytes of files.weights)
    for (const [name, tensor] of readSafetensors(bytes).tensors) {
      if (found.has(name)) throw corrupt(`tensor "${name}" is in more than one file`);
      found.set(name, tensor);
    }
  if (files.index !== undefined)
    checkWeightMap(parseWeightMap(files.index), new Map([...found.keys()].map((name) => [name, {}])));
  checkTensors(config, found);
  const head = config.tie_word_embeddings ? found.get(HEAD) : undefined;
  if (head && !same(head.data, found.get(EMBEDDING)!.data)) throw differs();
  return new Map([...tensorShapes(config).keys()].map((name) => [name, found.get(name)!]));
}

/**
 * The model's tensors, checked as loadTensors checks them, to be read by slices.
 * @throws LabError 'corrupt-model' as loadTensors; what a slice throws when it is read is in src/files
 */
export async function openWeights(
  config: LlamaConfig,
  checkpoint: Checkpoint,
  sliceBytes = SLICE_BYTES,
): Promise<WeightSource> {
  const { tensors } = checkpoint;
  checkTensors(config, tensors);
  await checkpoint.verify?.();
  const head = config.tie_word_embeddings ? tensors.get(HEAD) : undefined;
  if (head && !(await sameStored(head, tensors.get(EMBEDDING)!, sliceBytes / 2))) throw differs();
  return {
    values: (name) => readValues(tensors.get(name)!, sliceBytes),
    words: (name, as) => readWords(tensors.get(name)!, as, sliceBytes),
  };
}

const same = (a: Float32Array, b: Float32Array): boolean =>
  a.length === b.length && a.every((x, i) => Object.is(x, b[i]));

async function sameStored(a: StoredTensor, b: StoredTensor, sliceBytes: number): Promise<boolean> {
  const others = readValues(b, sliceBytes);
  for await (const { values } of readValues(a, sliceBytes)) {
    const other = await others.next();
    if (other.done || !same(values, other.value.values)) return false;
  }
  return true;
}
