/** Unquantised MLC weights as a checkpoint in Hugging Face's names: nothing is copied, tensors are read where they lie. */
import type { LlamaConfig } from '../../core/config.ts';
import { LabError } from '../../core/errors.ts';
import { listed, type Checkpoint } from '../checkpoint.ts';
import type { StoredTensor } from '../safetensors.ts';
import { readExactly, readJson, type FileFolder, type FileSource } from '../source.ts';
import {
  corruptMlc,
  isMlcFolder,
  MANIFEST,
  OLD_MANIFEST,
  parseManifest,
  quantised,
  type ReadShard,
} from './manifest.ts';
import { mlcToLlama } from './names.ts';

/** Bytes hashed at a stretch. */
const SLICE = 2 * 2 ** 20;

/** The list of a folder, the newer one where both are there. @throws LabError as readJson and parseManifest */
export async function readManifest(folder: FileFolder): Promise<ReadShard[]> {
  const source = folder.get(MANIFEST) ?? folder.get(OLD_MANIFEST);
  if (!source) throw new Error('no MLC folder');
  const json = await readJson(source);
  return parseManifest(source.name, json);
}

export { isMlcFolder };

/**
 * Every shard must be there with its length; their MD5 sums are compared by `verify`, which reads all of them.
 * @throws LabError 'bad-input' for quantised weights, 'corrupt-model' where list and files disagree
 */
export async function decodeMlc(folder: FileFolder, config: LlamaConfig): Promise<Checkpoint> {
  const quantisation = await namedQuantisation(folder);
  if (quantisation !== null) throw quantised(`they are ${quantisation}`);
  const shards = await readManifest(folder);
  const absent = shards.filter((s) => !folder.has(s.file)).map((s) => s.file);
  if (absent.length > 0)
    throw corruptMlc(
      MANIFEST,
      `it names ${listed('file', absent)}, which ${absent.length > 1 ? 'are' : 'is'} not there`,
    );
  const tensors = new Map<string, StoredTensor>();
  for (const { file, bytes, tensors: own } of shards) {
    const source = folder.get(file)!;
    if (source.size !== bytes)
      throw corruptMlc(MANIFEST, `${file} has ${source.size} bytes instead of ${bytes}`);
    for (const tensor of own) tensors.set(tensor.name, { ...tensor, source });
  }
  let verified: Promise<void> | null = null;
  return {
    layout: 'mlc',
    files: shards.map((s) => folder.get(s.file)!),
    tensors: mlcToLlama(config, tensors),
    verify: () => (verified ??= verifyAll(folder, shards)),
  };
}

/** What mlc-chat-config.json calls the quantisation; null where there is none, or it is not said. */
async function namedQuantisation(folder: FileFolder): Promise<string | null> {
  const source = folder.get('mlc-chat-config.json');
  if (!source) return null;
  const { quantization } = ((await readJson(source)) ?? {}) as { quantization?: unknown };
  return typeof quantization === 'string' && !quantization.startsWith('q0') ? quantization : null;
}

async function verifyAll(folder: FileFolder, shards: readonly ReadShard[]): Promise<void> {
  const { createMD5 } = await import('hash-wasm');
  for (const { file, md5 } of shards) {
    if (md5 === null) continue;
    const hash = (await createMD5()).init();
    for await (const piece of pieces(folder.get(file)!)) hash.update(piece);
    const found = hash.digest();
    if (found !== md5) throw damaged(file, found, md5);
  }
}

async function* pieces(source: FileSource): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const into = new Uint8Array(Math.min(SLICE, source.size));
  for (let at = 0; at < source.size; at += SLICE)
    yield await readExactly(source, at, Math.min(SLICE, source.size - at), into);
}

const damaged = (file: string, found: string, wanted: string): LabError =>
  new LabError('wrong-hash', `${file} is damaged: its MD5 is ${found}, and the bundle names ${wanted}.`, {
    safe: 'Nothing was loaded; models and checkpoints that are already here are untouched.',
    next: 'Download or export the bundle again.',
  });
