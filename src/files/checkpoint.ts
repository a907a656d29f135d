/** A model's weights in Hugging Face layout: one safetensors file, or shards and their index. Only headers are read. */
import { LabError } from '../core/errors.ts';
import type { Precision } from '../core/types.ts';
import { readHeader, type StoredTensor } from './safetensors.ts';
import { readJson, type FileFolder, type FileSource } from './source.ts';

export const SINGLE = 'model.safetensors';
export const INDEX = 'model.safetensors.index.json';

export interface Checkpoint {
  /** Files of MLC have no header: what lies in them is said beside them. */
  layout: 'safetensors' | 'mlc';
  files: FileSource[];
  /** Every tensor of every file, in the order of files and headers. */
  tensors: Map<string, StoredTensor>;
  /** Reads every byte, once, and compares the checksums that the layout has. @throws LabError 'wrong-hash' */
  verify?(): Promise<void>;
}

function corrupt(what: string): LabError {
  return new LabError('corrupt-model', `The model's files do not belong together: ${what}.`, {
    safe: 'Nothing was loaded; models and checkpoints that are already here are untouched.',
    next: 'Check that all files come from the same model and are complete.',
  });
}

/**
 * Finds the weights in a folder and checks every header. Where both are there, the single file counts and not the
 * index, as in Hugging Face's loader.
 * @throws LabError 'not-found' when there are no weights, 'corrupt-model' when a shard is missing or damaged or says
 *   something else than the index
 */
export async function openCheckpoint(folder: FileFolder): Promise<Checkpoint> {
  const single = folder.get(SINGLE);
  if (single) return { layout: 'safetensors', files: [single], tensors: await readHeaders([single]) };
  const index = folder.get(INDEX);
  if (!index) throw noWeights(folder);
  const map = parseWeightMap(await readJson(index));
  const names = [...new Set(map.values())];
  const absent = names.filter((name) => !folder.has(name));
  if (absent.length > 0) throw corrupt(`the index names ${listed('file', absent)}, not in this folder`);
  const files = names.map((name) => folder.get(name)!);
  const tensors = await readHeaders(files);
  checkWeightMap(map, tensors);
  return { layout: 'safetensors', files, tensors };
}

/** The 16-bit type in which every matrix is stored; f32 where there is no such one. */
export function storedPrecision({ tensors }: Pick<Checkpoint, 'tensors'>): Precision {
  const types = new Set([...tensors.values()].filter((t) => t.shape.length > 1).map((t) => t.dtype));
  if (types.size !== 1) return 'f32';
  return types.has('BF16') ? 'bf16' : types.has('F16') ? 'f16' : 'f32';
}

async function readHeaders(files: readonly FileSource[]): Promise<Map<string, StoredTensor>> {
  const found = new Map<string, StoredTensor>();
  for (const source of files)
    for (const entry of (await readHeader(source)).tensors.values()) {
      if (found.has(entry.name)) throw corrupt(`tensor "${entry.name}" is in more than one file`);
      found.set(entry.name, { ...entry, source });
    }
  return found;
}

/** A file outside of the model's folder: a way to make a reader open what its user did not choose. */
const OUTSIDE = /[/\\]|\.\./;

/**
 * Tensor name -> file name, from the content of an index.
 * @throws LabError 'corrupt-model' when there is no such map or it points outside of the folder
 */
export function parseWeightMap(index: unknown): Map<string, string> {
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw corrupt('the index of the shards has no weight_map');
  const entries = Object.entries(map);
  for (const [tensor, file] of entries) {
    if (typeof file !== 'string' || file === '')
      throw corrupt(`the index names no file for tensor "${tensor}"`);
    if (OUTSIDE.test(file)) throw corrupt(`the index names "${file}", which is not a plain file name`);
  }
  if (entries.length === 0) throw corrupt('the index of the shards names no tensor');
  return new Map(entries as [string, string][]);
}

/**
 * Both ways: what the index names lies in the file it names, and the files hold nothing else.
 * @param found tensors that the files hold, with their file where it is known
 */
export function checkWeightMap(
  map: ReadonlyMap<string, string>,
  found: ReadonlyMap<string, { source?: { name: string } }>,
): void {
  const absent = [...map.keys()].filter((name) => !found.has(name));
  if (absent.length > 0)
    throw corrupt(`the index names ${listed('tensor', absent)}, which no given file holds`);
  const unnamed = [...found.keys()].filter((name) => !map.has(name));
  if (unnamed.length > 0)
    throw corrupt(`the shards hold ${listed('tensor', unnamed)} that the index does not name`);
  for (const [name, file] of map) {
    const actual = found.get(name)!.source?.name;
    if (actual !== undefined && actual !== file)
      throw corrupt(`the index puts tensor "${name}" into ${file}, but it is in ${actual}`);
  }
}

/** `tensors "a", "b" and 3 more` */
export function listed(kind: string, names: readonly string[]): string {
  const shown = names.slice(0, 4).map((name) => `"${name}"`);
  const rest = names.length - shown.length;
  return `${kind}${names.length > 1 ? 's' : ''} ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function noWeights(folder: FileFolder): LabError {
  const others = [...folder.keys()].filter((name) => /\.(safetensors|bin|gguf|pth?|ckpt|onnx)$/.test(name));
  const seen = others.length > 0 ? ` It has ${listed('file', others)}.` : '';
  return new LabError('not-found', `This folder has no ${SINGLE} and no ${INDEX}.${seen}`, {
    safe: 'Nothing was loaded.',
    next: "Open a folder in Hugging Face's layout; weights in other formats are converted with its own tools.",
  });
}
