import { LabError } from '../core/errors.ts';
import { blobSource, type FileFolder, type FileSource } from '../files/source.ts';
import type { LocalSource } from './protocol.ts';

/** What a folder handle has beyond the standard, where the browser has it. */
interface Permissions {
  queryPermission?(options: { mode: 'read' }): Promise<PermissionState>;
}

/** Whether a folder may be read without asking its user. */
export async function mayRead(handle: FileSystemDirectoryHandle | null): Promise<boolean> {
  if (!handle) return false;
  const ask = (handle as Permissions).queryPermission;
  if (!ask) return false;
  try {
    return (await ask.call(handle, { mode: 'read' })) === 'granted';
  } catch {
    return false;
  }
}

/** A folder whose every read is told of, in bytes; what `onRead` throws ends the read. */
export function metered(folder: FileFolder, onRead: (bytes: number) => void): FileFolder {
  const meter = (source: FileSource): FileSource => ({
    name: source.name,
    size: source.size,
    read: async (offset, length, into) => {
      onRead(length);
      return source.read(offset, length, into);
    },
  });
  return new Map([...folder].map(([name, source]) => [name, meter(source)]));
}

/** The files of a source by name, those below its folders left out. @throws LabError 'bad-input' when it cannot be read */
export async function folderOf(source: LocalSource): Promise<FileFolder> {
  const files = new Map<string, FileSource>();
  if (source.kind === 'files') {
    for (const { name, file } of source.files) files.set(name, blobSource(file, name));
    return files;
  }
  try {
    for await (const [name, entry] of source.handle.entries())
      if (entry.kind === 'file')
        files.set(name, blobSource(await (entry as FileSystemFileHandle).getFile(), name));
  } catch (cause) {
    throw new LabError('bad-input', `The folder '${source.handle.name}' cannot be read.`, {
      safe: 'Nothing was changed.',
      next: 'Check that it is still there, then choose it again.',
      cause,
    });
  }
  return files;
}
