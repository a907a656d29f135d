/** The bytes of a data file, a slice at a time: hashed as they lie, unpacked where the file is gzip. */
import { Gunzip } from 'fflate';
import { LabError } from '../../core/errors.ts';
import { readExactly, readStream, type FileSource } from '../../files/source.ts';

/** Bytes that are read and parsed at a stretch: some 20 ms, during which the worker does nothing else. */
export const SLICE = 2 ** 20;

/** Compressed bytes unpacked at a stretch. Deflate packs at most 1032 : 1, so what comes of it stays under 17 MB. */
const PACKED = 2 ** 14;

export interface Reading {
  signal?: AbortSignal;
  /** Told of the file's own bytes, before they are unpacked. */
  onBytes?(bytes: Uint8Array, readBytes: number): void;
  /** Stops after about so many of the file's own bytes. */
  limit?: number;
}

export const isGzip = (head: Uint8Array): boolean => head[0] === 0x1f && head[1] === 0x8b && head[2] === 8;

/** Slices in the file's own order, the next one read while one is used. A slice is valid until the next one is asked for. */
export async function* slices(source: FileSource, o: Reading = {}): AsyncGenerator<Uint8Array> {
  const end = Math.min(source.size, o.limit ?? Infinity);
  const stream = source.stream?.(end);
  let at = 0;
  for await (const bytes of stream ? readStream(source, stream, end) : ranges(source, end)) {
    o.signal?.throwIfAborted();
    at += bytes.length;
    o.onBytes?.(bytes, at);
    yield bytes;
  }
}

async function* ranges(source: FileSource, end: number): AsyncGenerator<Uint8Array> {
  const buffers = [0, 1].map(() => new Uint8Array(Math.min(SLICE, end)));
  const read = (at: number): Promise<Uint8Array> => {
    const bytes = readExactly(source, at, Math.min(SLICE, end - at), buffers[(at / SLICE) % 2]);
    bytes.catch(() => {}); // thrown where it is awaited, unless nobody wants it any more
    return bytes;
  };
  let next = end > 0 ? read(0) : null;
  for (let at = 0; next;) {
    const bytes: Uint8Array = await next;
    at += bytes.length;
    next = at < end ? read(at) : null;
    yield bytes;
  }
}

/**
 * The same of a gzip file's content; members that follow each other count as one text.
 * @throws Damaged at its end, where the compressed data is damaged or ends too early: what could be unpacked came before
 */
export async function* unpacked(source: FileSource, o: Reading = {}): AsyncGenerator<Uint8Array> {
  let out: Uint8Array[] = [];
  let ended = false;
  const gunzip = new Gunzip((bytes, final) => {
    if (bytes.length > 0) out.push(bytes);
    size += bytes.length;
    ended ||= final;
  });
  // fflate looks at no checksum: what came out wrong mostly has another size than the last four bytes say (RFC 1952, ISIZE)
  let size = 0;
  gunzip.onmember = () => void (size = 0);
  let tail = new Uint8Array(0);
  let done = 0;
  let broken: unknown = null;
  for await (const slice of slices(source, o)) {
    tail = Uint8Array.from([...tail, ...slice.subarray(-4)]).slice(-4);
    // the rest of a damaged file is read for its hash
    for (let at = 0; at < slice.length && broken === null; at += PACKED) {
      const part = slice.subarray(at, at + PACKED);
      done += part.length;
      try {
        gunzip.push(part, done === source.size);
      } catch (cause) {
        // fflate throws plain Errors with a numeric code
        if (typeof (cause as { code?: unknown }).code !== 'number') throw cause;
        broken = cause;
      }
      const ready = out;
      out = [];
      yield* ready;
    }
  }
  const told = tail.reduce((sum, byte, i) => sum + byte * 2 ** (8 * i), 0);
  const cut = o.limit === undefined && (!ended || told !== size % 2 ** 32);
  if (broken !== null || cut) throw new Damaged(source.name, broken);
}

export class Damaged extends LabError {
  constructor(name: string, cause: unknown) {
    super('bad-input', `The compressed data of ${name} is damaged, or ends too early.`, {
      safe: 'Nothing of it was kept.',
      next: 'Download the file again and compare its size; or unpack it (gzip -d) and take what comes out.',
      cause,
    });
  }
}
