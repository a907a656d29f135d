import { BlobWriter, configure, TextReader, ZipWriter } from '@zip.js/zip.js';
import { createSHA256 } from 'hash-wasm';
import { ARCHIVE_VERSION, ENTRY_NAME, MANIFEST, type Manifest } from './format.ts';

// The engine's worker is a worker already, and nothing is compressed.
configure({ useWebWorkers: false });

/** Writes entries one after the other; nothing but the piece at hand is in memory. */
export class ArchiveWriter {
  #zip: ZipWriter<Blob | unknown>;
  #entries: Manifest['entries'] = [];

  /** @param sink null: into a Blob, which the browser keeps on disk where it is large */
  constructor(sink: WritableStream<Uint8Array> | null) {
    this.#zip = new ZipWriter<unknown>(sink ?? new BlobWriter('application/zip'), {
      level: 0,
      extendedTimestamp: false,
    });
  }

  /** @returns SHA-256 (hex) of what was written */
  async add(name: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
    if (!ENTRY_NAME.test(name)) throw new Error(`an archive has no place for ${name}`);
    const hash = await createSHA256();
    let bytes = 0;
    const iterator = Symbol.asyncIterator in parts ? parts[Symbol.asyncIterator]() : parts[Symbol.iterator]();
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const next = await iterator.next();
        if (next.done === true) return controller.close();
        hash.update(next.value);
        bytes += next.value.byteLength;
        controller.enqueue(next.value);
      },
    });
    await this.#zip.add(name, stream);
    const sha256 = hash.digest('hex');
    this.#entries.push({ name, bytes, sha256 });
    return sha256;
  }

  /** A list of records; one record a line, so that a person finds what differs between two archives. */
  async records(kind: string, list: readonly unknown[]): Promise<void> {
    const encoder = new TextEncoder();
    function* lines(): Generator<Uint8Array> {
      for (const [i, one] of list.entries())
        yield encoder.encode(`${i === 0 ? '[\n' : ',\n'}${JSON.stringify(one)}`);
      yield encoder.encode(list.length === 0 ? '[]\n' : '\n]\n');
    }
    await this.add(`records/${kind}.json`, lines());
  }

  /** @returns the Blob, where there was no sink */
  async close(madeAt: number): Promise<Blob | null> {
    const manifest: Manifest = { app: 'sdd-lab', version: ARCHIVE_VERSION, madeAt, entries: this.#entries };
    await this.#zip.add(MANIFEST, new TextReader(`${JSON.stringify(manifest, null, 1)}\n`));
    const out = await this.#zip.close();
    return out instanceof Blob ? out : null;
  }
}
