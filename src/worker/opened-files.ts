/** What the files of an opened model say of it, and what it is called. */
import { tensorShapes } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Precision, Tensors } from '../core/types.ts';
import { storedPrecision, type Checkpoint } from '../files/checkpoint.ts';
import { nameOfUrl } from '../files/mlc/address.ts';
import type { ModelDescription } from '../files/model-files.ts';
import type { WeightSource } from '../model/weights.ts';
import type { OpenModel } from './open-model.ts';
import type { LabNode, ModelSource, OpenedModel } from './protocol.ts';

/** Models whose f32 weights take no more than this are copied into the lab's own storage, larger ones stay in their files. */
export const COPY_BYTES = 32 * 2 ** 20;

export const parametersOf = ({ tensors }: Checkpoint): number =>
  [...tensors.values()].reduce((n, t) => n + count(t.shape), 0);

export const isSmall = (checkpoint: Checkpoint): boolean => parametersOf(checkpoint) * 4 <= COPY_BYTES;

/** A small model may train all of its weights; of a large one only adapters are trained, so it stays in the 16 bits of its file. */
export const precisionOf = (checkpoint: Checkpoint): Precision =>
  isSmall(checkpoint) ? 'f32' : storedPrecision(checkpoint);

export const weightBytes = ({ tensors }: Checkpoint): number =>
  [...tensors.values()].reduce((n, t) => n + t.end - t.begin, 0);

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Equal small files, as far as the stored description has a place for them: an earlier version may have read fewer. */
export const sameTexts = (stored: ModelDescription, found: ModelDescription): boolean =>
  (Object.keys(stored) as (keyof ModelDescription)[]).every(
    (key) => JSON.stringify(stored[key]) === JSON.stringify(found[key]),
  );

/** Whole tensors in memory; for small models. */
export async function inMemory(config: OpenModel['config'], weights: WeightSource): Promise<Tensors> {
  const tensors: Tensors = new Map();
  for (const [name, shape] of tensorShapes(config)) {
    const data = new Float32Array(count(shape));
    for await (const { at, values } of weights.values(name)) data.set(values, at);
    tensors.set(name, { shape: [...shape], data });
  }
  return tensors;
}

export const folderIn = (source: ModelSource): FileSystemDirectoryHandle | null =>
  source.kind === 'folder' ? source.handle : null;

export const keptFrom = ({ kind }: ModelSource): OpenedModel['kept'] => (kind === 'files' ? 'nowhere' : kind);

/** What the user calls the model: the folder's name, or what its config says where single files were chosen. */
export function nameOf(source: ModelSource, { config }: ModelDescription): string {
  const given = givenName(source);
  const path = (config as { _name_or_path?: unknown })._name_or_path;
  const name = given.trim() || (typeof path === 'string' ? path.split(/[\\/]/).at(-1)!.trim() : '');
  return name.slice(0, 80) || 'my model';
}

function givenName(source: ModelSource): string {
  if (source.kind === 'folder') return source.handle.name;
  if (source.kind === 'webllm') return nameOfUrl(source.url).split('/').at(-1)!;
  return source.kind === 'files' ? source.name : '';
}

export function filesNeeded({ name }: LabNode): LabError {
  return new LabError('files-needed', `The weights of '${name}' are not kept in this browser.`, {
    safe: 'The model in the family tree and every checkpoint made from it are still here.',
    next: 'Open its files again: its card in the family tree has a button for it.',
  });
}

export function otherFiles({ name }: LabNode): LabError {
  return new LabError('bad-input', `These are not the files of '${name}'.`, {
    safe: 'Nothing was changed.',
    next: 'Choose the folder that it was opened from, or open these files as a model of their own in Model.',
  });
}
