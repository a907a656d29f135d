/**
 * Downloads in the browser's own file system (OPFS): a folder for each, which holds
 *
 *   plan.json   what is fetched, from where, with which hashes; written before anything else
 *   files/      the files; a file's length is how far it has come, because bytes are written in their order
 *   checked/    an empty file by the name of each whose hash was right
 *
 * Nothing here has to be written twice to stay true, so a tab may end at any moment.
 */
import * as v from 'valibot';
import { LabError } from '../core/errors.ts';
import { blobSource, readJson, type FileFolder, type FileSource } from '../files/source.ts';
import { storeError } from '../store/failures.ts';
import { planSchema, type HubFile, type Plan } from './plan.ts';

/** TypeScript knows it only among a worker's types. */
export interface SyncAccess {
  getSize(): number;
  write(bytes: Uint8Array, at: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}
interface SyncFile {
  createSyncAccessHandle(): Promise<SyncAccess>;
}

const ROOT = 'downloads';
const PLAN = 'plan.json';

export interface Kept {
  id: string;
  /** Null: the tab ended before it was written whole; the download can only be deleted. */
  plan: Plan | null;
  haveBytes: number;
  /** Every file is there, with the right hash. */
  complete: boolean;
}

export class Shelf {
  #root: () => Promise<FileSystemDirectoryHandle>;

  /** @param root the top of the browser's file system for this page */
  constructor(root: () => Promise<FileSystemDirectoryHandle> = browserRoot) {
    this.#root = root;
  }

  /** All downloads, whole or not. */
  async list(): Promise<Kept[]> {
    const downloads = await this.#downloads(false);
    if (!downloads) return [];
    const ids: string[] = [];
    await guarded('list the downloads', async () => {
      for await (const [id, entry] of downloads.entries()) if (entry.kind === 'directory') ids.push(id);
    });
    return Promise.all(ids.sort().map((id) => this.#kept(id)));
  }

  async #kept(id: string): Promise<Kept> {
    const place = await this.place(id);
    const plan = place && (await place.plan());
    if (!place || !plan) return { id, plan: null, haveBytes: 0, complete: false };
    const has = await Promise.all(plan.files.map((file) => place.has(file)));
    return {
      id,
      plan,
      haveBytes: has.reduce((sum, { bytes }) => sum + bytes, 0),
      complete: has.every(({ checked }) => checked),
    };
  }

  /** Null where there is no such download. */
  async place(id: string): Promise<Place | null> {
    const downloads = await this.#downloads(false);
    return downloads && folderIn(downloads, id, false).then((folder) => folder && new Place(folder));
  }

  async create(id: string, plan: Plan): Promise<Place> {
    const place = new Place((await folderIn((await this.#downloads(true))!, id, true))!);
    await place.write(plan);
    return place;
  }

  async remove(id: string): Promise<void> {
    const downloads = await this.#downloads(false);
    if (!downloads) return;
    await guarded('delete a download', async () => {
      try {
        await downloads.removeEntry(id, { recursive: true });
      } catch (e) {
        if (!isAbsent(e)) throw e;
      }
    });
  }

  #downloads(create: boolean): Promise<FileSystemDirectoryHandle | null> {
    return guarded('open its downloads', async () => folderIn(await this.#root(), ROOT, create));
  }
}

/** One download. */
export class Place {
  #folder: FileSystemDirectoryHandle;

  constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  /** Null where it was not written whole. */
  async plan(): Promise<Plan | null> {
    const source = await sourceIn(this.#folder, PLAN);
    if (!source) return null;
    try {
      return v.parse(planSchema, await readJson(source));
    } catch {
      return null;
    }
  }

  async write(plan: Plan): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(plan));
    const out = await open(this.#folder, PLAN);
    try {
      out.truncate(0);
      put(out, bytes, 0);
      out.flush();
    } finally {
      out.close();
    }
  }

  /** How much of a file is here, and whether its hash was found right. */
  async has({ name }: HubFile): Promise<{ bytes: number; checked: boolean }> {
    const files = await folderIn(this.#folder, 'files', false);
    const source = files && (await sourceIn(files, name));
    const marks = await folderIn(this.#folder, 'checked', false);
    return {
      bytes: source?.size ?? 0,
      checked: source !== null && marks !== null && (await sourceIn(marks, name)) !== null,
    };
  }

  /** For writing. The browser gives it to one tab at a time. */
  async open({ name }: HubFile): Promise<SyncAccess> {
    return open((await folderIn(this.#folder, 'files', true))!, name);
  }

  async source({ name }: HubFile): Promise<FileSource> {
    const files = await folderIn(this.#folder, 'files', false);
    const source = files && (await sourceIn(files, name));
    if (source) return source;
    throw new LabError('not-found', `${name} is not in the browser's storage any more.`, {
      safe: 'The other files of this download are kept.',
      next: 'Go on with the download: it fetches what is missing.',
    });
  }

  async markChecked({ name }: HubFile): Promise<void> {
    const marks = await folderIn(this.#folder, 'checked', true);
    await guarded('keep a download', () => marks!.getFileHandle(name, { create: true }));
  }

  async drop({ name }: HubFile): Promise<void> {
    const files = await folderIn(this.#folder, 'files', false);
    await guarded('delete a damaged file', () => files?.removeEntry(name));
  }

  /** Its files whose hash was right, and whether these are all of them. */
  async folder(): Promise<{ files: FileFolder; complete: boolean }> {
    const plan = await this.plan();
    const files = new Map<string, FileSource>();
    for (const file of plan?.files ?? [])
      if ((await this.has(file)).checked) files.set(file.name, await this.source(file));
    return { files, complete: plan !== null && files.size === plan.files.length };
  }
}

/** @throws LabError 'quota' when the disk is full */
export function put(out: SyncAccess, bytes: Uint8Array, at: number): void {
  let written: number;
  try {
    written = out.write(bytes, { at });
  } catch (e) {
    throw storeError(e, 'keep what was downloaded');
  }
  // a full disk may take a part of it, and say no more
  if (written !== bytes.length)
    throw storeError(new DOMException('', 'QuotaExceededError'), 'keep what was downloaded');
}

async function open(folder: FileSystemDirectoryHandle, name: string): Promise<SyncAccess> {
  return guarded('write a download', async () => {
    const handle = await folder.getFileHandle(name, { create: true });
    return (handle as unknown as SyncFile).createSyncAccessHandle();
  });
}

/** Null where it is not there, unless it is to be made. */
async function folderIn(
  folder: FileSystemDirectoryHandle,
  name: string,
  create: boolean,
): Promise<FileSystemDirectoryHandle | null> {
  return guarded('open a download', async () => {
    try {
      return await folder.getDirectoryHandle(name, { create });
    } catch (e) {
      if (!create && isAbsent(e)) return null;
      throw e;
    }
  });
}

async function sourceIn(folder: FileSystemDirectoryHandle, name: string): Promise<FileSource | null> {
  return guarded('read a download', async () => {
    try {
      return blobSource(await (await folder.getFileHandle(name)).getFile(), name);
    } catch (e) {
      if (isAbsent(e)) return null;
      throw e;
    }
  });
}

const isAbsent = (e: unknown): boolean => e instanceof Error && e.name === 'NotFoundError';

async function guarded<T>(doing: string, work: () => Promise<T>): Promise<T>;
async function guarded<T>(doing: string, work: () => Promise<T> | undefined): Promise<T | undefined>;
async function guarded<T>(doing: string, work: () => Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await work();
  } catch (e) {
    if (e instanceof Error && e.name === 'NoModificationAllowedError')
      throw new LabError('bad-input', 'Another tab of the lab has this download open.', {
        safe: 'It goes on there.',
        next: 'Use that tab, or close it and try again.',
        cause: e,
      });
    throw storeError(e, doing);
  }
}

function browserRoot(): Promise<FileSystemDirectoryHandle> {
  if (typeof navigator === 'undefined' || !navigator.storage?.getDirectory)
    throw new LabError(
      'storage',
      'This browser gives pages no file system of their own, so nothing can be downloaded into it.',
      {
        safe: 'Nothing was changed.',
        next: 'Leave private mode if it is on, or download the files yourself and open their folder.',
      },
    );
  return navigator.storage.getDirectory();
}
