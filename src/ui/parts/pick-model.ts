import type { LocalSource } from '../../worker/protocol.ts';

/** Parts of the File System Access API that not every browser has. */
interface Pickers {
  showDirectoryPicker?(options: {
    mode: 'read' | 'readwrite';
    id: string;
  }): Promise<FileSystemDirectoryHandle>;
}
interface HandleItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}
interface AskableHandle {
  requestPermission?(options: { mode: 'read' }): Promise<PermissionState>;
}

const isAbort = (e: unknown): boolean => e instanceof DOMException && e.name === 'AbortError';

export const canPickFolder = (): boolean => 'showDirectoryPicker' in window;

/** A folder that the browser can open again later; null where the user changed their mind. */
export async function pickFolder(): Promise<LocalSource | null> {
  const handle = await picked('read', 'model');
  return handle && { kind: 'folder', handle };
}

/** A folder to write into; null where the user changed their mind. */
export const pickTarget = (): Promise<FileSystemDirectoryHandle | null> => picked('readwrite', 'export');

async function picked(mode: 'read' | 'readwrite', id: string): Promise<FileSystemDirectoryHandle | null> {
  try {
    return await (window as Pickers).showDirectoryPicker!({ mode, id });
  } catch (e) {
    if (isAbort(e)) return null;
    throw e;
  }
}

/** Asks the browser, and the browser its user, to read a folder again. */
export async function mayReadAgain(handle: FileSystemDirectoryHandle): Promise<boolean> {
  return (await (handle as AskableHandle).requestPermission?.({ mode: 'read' })) === 'granted';
}

/** Chosen files, or a chosen folder's own files without those of the folders in it; null where there are none. */
export function fromInput(list: FileList | readonly File[]): LocalSource | null {
  const files = [...list].filter((file) => file.webkitRelativePath.split('/').length <= 2);
  if (files.length === 0) return null;
  const [folder, inside] = files[0]!.webkitRelativePath.split('/');
  return {
    kind: 'files',
    name: inside === undefined ? '' : (folder ?? ''),
    files: files.map((file) => ({ name: file.name, file })),
  };
}

/** What was dropped: a folder, or files; null for anything else. Its items are gone once the event is over. */
export async function fromDrop(transfer: DataTransfer): Promise<LocalSource | null> {
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  const loose = [...transfer.files];
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);
  const handles = await Promise.all(
    items.map((item) => (item as HandleItem).getAsFileSystemHandle?.().catch(() => null)),
  );
  const handle = handles.find((h) => h?.kind === 'directory');
  if (handle) return { kind: 'folder', handle: handle as FileSystemDirectoryHandle };
  const folder = entries.find((entry) => entry?.isDirectory) as FileSystemDirectoryEntry | undefined;
  if (!folder) return fromInput(loose);
  const files: { name: string; file: Blob }[] = [];
  const reader = folder.createReader();
  // a reader gives a hundred at a time, and none at the end
  for (let some = await entriesOf(reader); some.length > 0; some = await entriesOf(reader))
    for (const entry of some)
      if (entry.isFile) files.push({ name: entry.name, file: await fileOf(entry as FileSystemFileEntry) });
  return { kind: 'files', name: folder.name, files };
}

const entriesOf = (reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> =>
  new Promise((resolve, reject) => reader.readEntries(resolve, reject));
const fileOf = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject));
