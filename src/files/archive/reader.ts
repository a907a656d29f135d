import { BlobReader, configure, ERR_UNSAFE_FILENAME, ZipReader, type FileEntry } from '@zip.js/zip.js';
import { createSHA256 } from 'hash-wasm';
import * as v from 'valibot';
import { LabError } from '../../core/errors.ts';
import {
  badArchive,
  ENTRY_NAME,
  Manifest,
  MANIFEST,
  MOST_ENTRIES,
  MOST_MANIFEST_BYTES,
  MOST_RECORD_BYTES,
  strangersJson,
} from './format.ts';

configure({ useWebWorkers: false });

const STORED = 0;

/** An archive whose table of contents is in order. Whether its bytes are as well, `verify` tells. */
export class ArchiveReader {
  readonly manifest: Manifest;
  readonly #entries: ReadonlyMap<string, FileEntry>;

  private constructor(manifest: Manifest, entries: ReadonlyMap<string, FileEntry>) {
    this.manifest = manifest;
    this.#entries = entries;
  }

  /** @throws LabError 'bad-input' for whatever this lab did not write, 'newer-database' for what a newer one wrote */
  static async open(file: Blob): Promise<ArchiveReader> {
    const entries = await contents(file);
    const last = entries.get(MANIFEST);
    if (!last) throw badArchive('it holds no archive of this lab');
    entries.delete(MANIFEST);
    if (last.uncompressedSize > MOST_MANIFEST_BYTES) throw badArchive(`${MANIFEST} is too long`);
    const manifest = readManifest(strangersJson(await text(last), MANIFEST));
    const named = new Set(manifest.entries.map(({ name }) => name));
    if (named.size !== manifest.entries.length) throw badArchive(`${MANIFEST} names an entry twice`);
    const missing = manifest.entries.find(({ name }) => !entries.has(name));
    if (missing) throw badArchive(`${missing.name} is missing`);
    const extra = [...entries.keys()].find((name) => !named.has(name));
    if (extra !== undefined) throw badArchive(`it holds ${short(extra)}, which it does not name`);
    const wrong = manifest.entries.find(({ name, bytes }) => entries.get(name)!.uncompressedSize !== bytes);
    if (wrong) throw badArchive(`${wrong.name} has another size than it says`);
    return new ArchiveReader(manifest, entries);
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  bytes(name: string): number {
    return this.#require(name).uncompressedSize;
  }

  /**
   * Reads everything once.
   * @throws LabError 'bad-input' naming the first entry whose bytes are not those that were written
   */
  async verify(o: { signal?: AbortSignal; onBytes?(done: number, total: number): void } = {}): Promise<void> {
    const total = this.manifest.entries.reduce((sum, { bytes }) => sum + bytes, 0);
    let done = 0;
    for (const { name, sha256 } of this.manifest.entries) {
      const hash = await createSHA256();
      for await (const part of this.stream(name)) {
        if (o.signal?.aborted)
          throw new LabError('cancelled', 'Reading the file was stopped.', { safe: 'Nothing was changed.' });
        hash.update(part);
        done += part.byteLength;
        o.onBytes?.(done, total);
      }
      if (hash.digest('hex') !== sha256) throw damaged(name);
    }
  }

  /** A list of records; none where the archive has no such list. */
  async records(kind: string): Promise<unknown[]> {
    const name = `records/${kind}.json`;
    const entry = this.#entries.get(name);
    if (!entry) return [];
    if (entry.uncompressedSize > MOST_RECORD_BYTES) throw badArchive(`${name} is too long`);
    const list = strangersJson(await text(entry), name);
    if (!Array.isArray(list)) throw badArchive(`${name} is no list`);
    return list as unknown[];
  }

  /** Bytes of an entry as they come. */
  async *stream(name: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const entry = this.#require(name);
    const { readable, writable } = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>();
    const reading = entry.getData(writable).catch(() => {
      throw damaged(name);
    });
    reading.catch(() => {}); // thrown below, when what came has been handed out
    const reader = readable.getReader();
    try {
      for (;;) {
        const next = await reader.read().catch(() => {
          throw damaged(name);
        });
        if (next.done) break;
        yield next.value;
      }
      await reading;
    } finally {
      await reader.cancel().catch(() => {});
    }
  }

  #require(name: string): FileEntry {
    const entry = this.#entries.get(name);
    if (!entry) throw badArchive(`${short(name)} is missing`);
    return entry;
  }
}

/** The file's own table of contents, refused where it is not what the lab writes. */
async function contents(file: Blob): Promise<Map<string, FileEntry>> {
  const found = new Map<string, FileEntry>();
  let size = 0;
  try {
    for await (const entry of new ZipReader(new BlobReader(file)).getEntriesGenerator()) {
      const name = entry.filename;
      if (found.size >= MOST_ENTRIES) throw badArchive(`it holds more than ${MOST_ENTRIES} entries`);
      if (entry.directory || (name !== MANIFEST && !ENTRY_NAME.test(name)))
        throw badArchive(`it holds ${short(name)}, which is nothing of this lab's`);
      if (
        entry.encrypted ||
        entry.compressionMethod !== STORED ||
        entry.compressedSize !== entry.uncompressedSize
      )
        throw badArchive(`${name} is packed, and this lab writes its entries as they are`);
      if (found.has(name)) throw badArchive(`it holds ${name} twice`);
      // entries that share bytes would make a small file hold much
      size += entry.uncompressedSize;
      if (size > file.size) throw badArchive('its entries are longer than the file');
      found.set(name, entry);
    }
  } catch (e) {
    if (e instanceof LabError) throw e;
    if (e instanceof Error && e.message === ERR_UNSAFE_FILENAME)
      throw badArchive('it names a place outside of itself');
    throw badArchive(
      'it is no whole zip file',
      'Copy the file again, it may have been cut off, or choose another one.',
    );
  }
  return found;
}

function readManifest(json: unknown): Manifest {
  const about = json as { app?: unknown; version?: unknown } | null;
  if (typeof about !== 'object' || about === null || about.app !== 'sdd-lab')
    throw badArchive('it is the archive of another app');
  if (typeof about.version === 'number' && about.version > 1)
    throw new LabError(
      'newer-database',
      `This file was written by a newer version of the lab (format ${about.version}).`,
      {
        safe: 'Nothing was changed.',
        next: 'Reload the page to get the newest version, then choose the file again.',
      },
    );
  const parsed = v.safeParse(Manifest, json);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw badArchive(`${MANIFEST}: ${v.getDotPath(issue) ?? 'its top'}: ${short(issue.message)}`);
}

async function text(entry: FileEntry): Promise<string> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const sink = new WritableStream<Uint8Array<ArrayBuffer>>({
    write: (part) => void parts.push(part.slice()),
  });
  try {
    await entry.getData(sink);
    return new TextDecoder('utf-8', { fatal: true }).decode(await new Blob(parts).arrayBuffer());
  } catch {
    throw damaged(entry.filename);
  }
}

const damaged = (name: string): LabError =>
  badArchive(
    `${name} is damaged: its checksum does not match`,
    'Copy the file again from where it was written.',
  );

const short = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
