/**
 * The browser's own file system, as far as downloads use it, on a folder of this machine's disk: what is written is on the disk
 * at once, and a file that is open for writing is refused to the next, as in a browser.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import type { SyncAccess } from '../../src/hub/shelf.ts';

const absent = (): DOMException => new DOMException('not there', 'NotFoundError');
const open = new Set<string>();

/** What a tab that died leaves: nothing is open any more. */
export const closeAll = (): void => open.clear();

class File_ {
  readonly kind = 'file';
  readonly name: string;
  #path: string;
  /** Bytes that the disk takes before it is full. */
  #room: () => number;

  constructor(path: string, name: string, room: () => number) {
    this.#path = path;
    this.name = name;
    this.#room = room;
  }

  getFile(): Promise<Blob> {
    return Promise.resolve(new Blob([readFileSync(this.#path)]));
  }

  createSyncAccessHandle(): Promise<SyncAccess> {
    const path = this.#path;
    if (open.has(path)) return Promise.reject(new DOMException('locked', 'NoModificationAllowedError'));
    open.add(path);
    const file = openSync(path, 'r+');
    return Promise.resolve({
      getSize: () => fstatSync(file).size,
      write: (bytes, { at }) => writeSync(file, bytes, 0, Math.min(bytes.length, this.#room()), at),
      truncate: (size) => ftruncateSync(file, size),
      flush: () => fsyncSync(file),
      close: () => {
        closeSync(file);
        open.delete(path);
      },
    });
  }
}

class Folder {
  readonly kind = 'directory';
  readonly name: string;
  #path: string;
  #room: () => number;

  constructor(path: string, name: string, room: () => number) {
    this.#path = path;
    this.name = name;
    this.#room = room;
  }

  async getDirectoryHandle(name: string, o: { create?: boolean } = {}): Promise<Folder> {
    const path = join(this.#path, name);
    if (!existsSync(path)) {
      if (!o.create) throw absent();
      mkdirSync(path);
    }
    return new Folder(path, name, this.#room);
  }

  async getFileHandle(name: string, o: { create?: boolean } = {}): Promise<File_> {
    const path = join(this.#path, name);
    if (!existsSync(path)) {
      if (!o.create) throw absent();
      closeSync(openSync(path, 'w'));
    }
    return new File_(path, name, this.#room);
  }

  async removeEntry(name: string, o: { recursive?: boolean } = {}): Promise<void> {
    const path = join(this.#path, name);
    if (!existsSync(path)) throw absent();
    if (open.has(resolve(path))) throw new DOMException('locked', 'NoModificationAllowedError');
    if (o.recursive) rmSync(path, { recursive: true });
    else unlinkSync(path);
  }

  async *entries(): AsyncGenerator<[string, Folder | File_]> {
    for (const name of readdirSync(this.#path)) {
      const path = join(this.#path, name);
      yield [
        name,
        statSync(path).isDirectory() ? new Folder(path, name, this.#room) : new File_(path, name, this.#room),
      ];
    }
  }
}

/** @param room bytes that one write can still take; a full disk takes fewer than it is given */
export const fileSystemOn =
  (path: string, room: () => number = () => Infinity) =>
  (): Promise<FileSystemDirectoryHandle> =>
    Promise.resolve(new Folder(path, '', room) as unknown as FileSystemDirectoryHandle);
