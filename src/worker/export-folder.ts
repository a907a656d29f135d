/** A node of a large opened model as a whole model: its user's files with the adapters folded in, straight into a folder. */
import { LabError } from '../core/errors.ts';
import { NODE_FILE } from '../files/attacked.ts';
import type { Sink } from '../files/sink.ts';
import { writeMerged } from '../model/merged-files.ts';
import type { Context } from './context.ts';
import { cancelled } from './error-info.ts';
import { confirmed, json, nodeFile, own } from './export.ts';
import type { Models } from './models.ts';

/** Characters of a folder's name that every file system takes. */
export const folderName = (name: string, id: string): string =>
  `${name.replace(/[^\p{L}\p{N}._-]+/gu, '-').slice(0, 60)}-${id.slice(0, 8)}`;

/**
 * Writes a folder of its own inside of the given one, each tensor in the type of the user's file; config.json comes last, so that
 * half a folder is no model, and what was begun is taken away again where it fails.
 * @throws LabError as exportNode, and 'bad-input' where the folder cannot be written
 */
export async function exportFolder(
  ctx: Context,
  models: Models,
  { nodeId, folder, confirm }: { nodeId: string; folder: FileSystemDirectoryHandle; confirm?: string },
  emit: (p: { loadedBytes: number; totalBytes: number }) => void,
  signal: AbortSignal,
): Promise<{ folder: string; files: string[] }> {
  const node = await ctx.node(nodeId);
  const card = await confirmed(ctx, node, confirm);
  const { config, bottom, adapters } = await models.read(node);
  if (!bottom.opened || bottom.opened.kept === 'copy') throw notLarge(node.name);
  const { tensors } = await models.opened.checkpoint(bottom);
  const source = await models.opened.weights(bottom);
  const texts = own(await models.opened.description(bottom.id))();
  const name = folderName(node.name, node.id);
  const totalBytes = [...tensors.values()].reduce((n, t) => n + t.end - t.begin, 0);
  let loadedBytes = 0;
  const files = await intoFolder(folder, name, async (open) => {
    const written = await writeMerged(config, source, adapters, {
      dtypeOf: (tensor) => tensors.get(tensor)!.dtype,
      open: async (file) => {
        const sink = await open(file);
        return {
          write: async (bytes) => {
            if (signal.aborted) throw cancelled();
            await sink.write(bytes);
            loadedBytes = Math.min(totalBytes, loadedBytes + bytes.length);
            emit({ loadedBytes, totalBytes });
          },
          close: () => sink.close(),
        };
      },
    });
    for (const file of [
      ...card,
      ...texts,
      json(NODE_FILE, nodeFile(node, card.length > 0)),
      json('config.json', node.modelConfig),
    ]) {
      const sink = await open(file.name);
      await sink.write(new Uint8Array(file.bytes));
      await sink.close();
      written.push(file.name);
    }
    return written;
  });
  return { folder: name, files };
}

/**
 * Runs `work` with a way to open files in a new folder inside of the given one; what was begun is taken away again where it fails.
 * @throws LabError 'bad-input' where there is such a folder already, or it cannot be written
 */
export async function intoFolder<T>(
  folder: FileSystemDirectoryHandle,
  name: string,
  work: (open: (file: string) => Promise<Sink>) => Promise<T>,
): Promise<T> {
  if (await exists(folder, name)) throw there(folder.name, name);
  try {
    const into = await folder.getDirectoryHandle(name, { create: true });
    return await work(async (file) => {
      const stream = await (await into.getFileHandle(file, { create: true })).createWritable();
      return { write: (bytes) => stream.write(bytes), close: () => stream.close() };
    });
  } catch (error) {
    await folder.removeEntry(name, { recursive: true }).catch(() => undefined);
    throw error instanceof LabError ? error : unwritten(folder.name, error);
  }
}

async function exists(folder: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  try {
    await folder.getDirectoryHandle(name);
    return true;
  } catch (e) {
    // a file of this name stands in the way as well
    return e instanceof DOMException && e.name === 'TypeMismatchError';
  }
}

function notLarge(name: string): LabError {
  return new LabError('bad-input', `'${name}' is small, and leaves the lab as files to download.`, {
    safe: 'Nothing was written.',
  });
}

function there(folder: string, name: string): LabError {
  return new LabError('bad-input', `'${folder}' has a folder '${name}' already.`, {
    safe: 'Nothing was written.',
    next: 'Choose another folder, or move that one away.',
  });
}

function unwritten(folder: string, cause: unknown): LabError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new LabError('bad-input', `The model could not be written into '${folder}': ${why}`, {
    safe: 'The model in the family tree and its files are untouched; what was begun was taken away again.',
    next: 'Check that the folder may be written and that the disk has room, then try again.',
    cause,
  });
}
