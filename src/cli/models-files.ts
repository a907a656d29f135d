import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LabError } from '../core/errors.ts';
import type { FileFolder, FileSource } from '../files/source.ts';

/**
 * A file on disk. It is opened for each read: a slice costs far more than that, and nothing has to be closed.
 * @throws the file system's error
 */
export async function nodeFile(dir: string, name: string): Promise<FileSource> {
  const path = join(dir, name);
  const { size } = await stat(path);
  return {
    name,
    size,
    async read(offset, length, into = new Uint8Array(length)) {
      const handle = await open(path, 'r');
      try {
        let done = 0;
        while (done < length) {
          const { bytesRead } = await handle.read(into, done, length - done, offset + done);
          if (bytesRead === 0) break;
          done += bytesRead;
        }
        return into.subarray(0, done);
      } finally {
        await handle.close();
      }
    },
  };
}

/** The files of a folder, without those below it. @throws LabError 'not-found' when there is no such folder */
export async function nodeFolder(dir: string): Promise<FileFolder> {
  let names: string[];
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    // links too: Hugging Face's own cache is made of them
    names = entries.filter((e) => e.isFile() || e.isSymbolicLink()).map((e) => e.name);
  } catch (cause) {
    throw new LabError('not-found', `There is no folder ${dir}.`, {
      next: "Name the folder of a model in Hugging Face's layout.",
      cause,
    });
  }
  const files = new Map<string, FileSource>();
  for (const name of names.sort()) {
    try {
      files.set(name, await nodeFile(dir, name));
    } catch {
      // a link to nowhere: missing where it is needed, and then named
    }
  }
  return files;
}
