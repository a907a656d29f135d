/** A writable folder in memory, as the browser's File System Access gives one. */
export class FakeFolder {
  readonly name: string;
  readonly folders = new Map<string, FakeFolder>();
  readonly files = new Map<string, Uint8Array<ArrayBuffer>[]>();
  /** Largest single write so far, in bytes. */
  largest = 0;
  /** Bytes after which the disk is full. */
  room = Infinity;
  /** Told of each write. */
  onWrite: (() => void) | undefined;
  readonly #parent: FakeFolder | null;

  constructor(name: string, parent: FakeFolder | null = null) {
    this.name = name;
    this.#parent = parent;
  }

  get handle(): FileSystemDirectoryHandle {
    return this as unknown as FileSystemDirectoryHandle;
  }

  bytes(file: string): Uint8Array<ArrayBuffer> {
    const parts = this.files.get(file)!;
    const whole = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  getDirectoryHandle(name: string, { create = false } = {}): Promise<FakeFolder> {
    const known = this.folders.get(name);
    if (known) return Promise.resolve(known);
    if (!create) return Promise.reject(new DOMException('no such folder', 'NotFoundError'));
    const made = new FakeFolder(name, this);
    this.folders.set(name, made);
    return Promise.resolve(made);
  }

  removeEntry(name: string): Promise<void> {
    this.folders.delete(name);
    return Promise.resolve();
  }

  getFileHandle(name: string) {
    return Promise.resolve({
      createWritable: () => {
        const parts: Uint8Array<ArrayBuffer>[] = [];
        return Promise.resolve({
          write: (data: ArrayBuffer | Uint8Array<ArrayBuffer>) => {
            // a real one copies what it is given, too
            const part = new Uint8Array(data instanceof Uint8Array ? data : new Uint8Array(data));
            const top = this.#parent ?? this;
            if (part.length > top.room)
              return Promise.reject(new DOMException('The disk is full.', 'QuotaExceededError'));
            top.room -= part.length;
            top.largest = Math.max(top.largest, part.length);
            parts.push(part);
            top.onWrite?.();
            // as a disk does, it lets others run
            return new Promise<void>((done) => setTimeout(done));
          },
          close: () => {
            this.files.set(name, parts);
            return Promise.resolve();
          },
        });
      },
    });
  }
}
