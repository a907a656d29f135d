import { parseLlamaConfig } from '../core/config.ts';
import { INDEX, openCheckpoint, SINGLE, type Checkpoint } from './checkpoint.ts';
import { decodeMlc } from './mlc/decode.ts';
import { isMlcFolder } from './mlc/manifest.ts';
import { readDescription } from './model-files.ts';
import type { FileFolder } from './source.ts';

/**
 * The weights of a folder in Hugging Face's layout or, where it has none of these, of an MLC bundle, by Hugging Face's names.
 * @throws LabError as openCheckpoint and decodeMlc
 */
export async function findCheckpoint(folder: FileFolder): Promise<Checkpoint> {
  if (folder.has(SINGLE) || folder.has(INDEX) || !isMlcFolder(folder)) return openCheckpoint(folder);
  // stacked tensors are cut by the model's own widths
  const { config } = await readDescription(folder);
  return decodeMlc(folder, parseLlamaConfig(config));
}
