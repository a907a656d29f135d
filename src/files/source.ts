import { LabError } from '../core/errors.ts';

/** Most bytes of a file that are read at once. */
export const SLICE_BYTES = 32 * 2 ** 20;

/**
 * A file that is read by ranges, wherever it lies: on a disk, in a browser's File, in memory. `read` may give less than
 * was asked for only where the file has become shorter; `readExactly` turns that into an error.
 */
export interface FileSource {
  /** Its bare name, for messages. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /**
   * The bytes from `offset`. With `into`, which holds at least `length` bytes, a source may put them there and give a view
   * of it, so that reading a long file by slices needs one buffer and not one for each slice.
   */
  read(offset: number, length: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * The first `end` bytes in order, in pieces as they come, of which each is valid until the next one is asked for. Only of sources
   * that are read faster so than by ranges.
   */
  stream?(end: number): AsyncGenerator<Uint8Array<ArrayBuffer>>;
}

/** Files of one folder by their bare names. */
export type FileFolder = ReadonlyMap<string, FileSource>;

export function bytesSource(name: string, bytes: Uint8Array<ArrayBuffer>): FileSource {
  return {
    name,
    size: bytes.length,
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  };
}

/** A browser's Blob or File; only the range that is read comes into memory. */
export function blobSource(blob: Blob, name = blob instanceof File ? blob.name : 'file'): FileSource {
  return {
    name,
    size: blob.size,
    read: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
    stream: (end) => streamed(blob.slice(0, end)),
  };
}

/** Bytes of a piece of a stream. */
const PIECE = 2 ** 18;

/**
 * A stream is read ahead by the browser, into one buffer that goes back and forth: several times as fast as a new buffer for each range. Browsers
 * whose Blobs give no byte streams choose their own pieces.
 */
async function* streamed(blob: Blob): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const stream = blob.stream();
  let own: ReadableStreamBYOBReader | null = null;
  try {
    own = stream.getReader({ mode: 'byob' });
  } catch {
    // not a byte stream
  }
  const theirs = own ? null : stream.getReader();
  let buffer = new ArrayBuffer(own ? PIECE : 0);
  try {
    for (;;) {
      const { value, done } = own ? await own.read(new Uint8Array(buffer)) : await theirs!.read();
      if (done) return;
      yield value;
      buffer = value.buffer;
    }
  } finally {
    await (own ?? theirs!).cancel().catch(() => {}); // at the end, or where nobody wants more: a failure was thrown above
  }
}

const unchanged = 'Nothing was loaded; models and checkpoints that are already here are untouched.';

/**
 * @throws LabError 'bad-input' when the file cannot be read, 'corrupt-model' when it ends before `offset + length`
 */
export async function readExactly(
  source: FileSource,
  offset: number,
  length: number,
  into?: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await source.read(offset, length, into);
  } catch (cause) {
    throw unreadable(source, cause);
  }
  if (bytes.length !== length) throw endsEarly(source, offset + bytes.length);
  return bytes;
}

/**
 * What comes of the stream of a source's first `end` bytes, as it comes.
 * @throws LabError as `readExactly`
 */
export async function* readStream(
  source: FileSource,
  pieces: AsyncGenerator<Uint8Array<ArrayBuffer>>,
  end: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let at = 0;
  try {
    for (;;) {
      let piece: IteratorResult<Uint8Array<ArrayBuffer>>;
      try {
        piece = await pieces.next();
      } catch (cause) {
        throw unreadable(source, cause);
      }
      if (piece.done) break;
      at += piece.value.length;
      yield piece.value;
    }
  } finally {
    await pieces.return(undefined);
  }
  if (at < end) throw endsEarly(source, at);
}

function unreadable(source: FileSource, cause: unknown): LabError {
  if (cause instanceof LabError) return cause;
  return new LabError('bad-input', `${source.name} cannot be read.`, {
    safe: unchanged,
    next: 'Check that the file is still there and may be read, then open the model again.',
    cause,
  });
}

function endsEarly(source: FileSource, at: number): LabError {
  return new LabError('corrupt-model', `${source.name} ends after ${at} of its ${source.size} bytes.`, {
    safe: unchanged,
    next: 'Wait until the file is completely written, then open the model again.',
  });
}

/** Larger files than any tokenizer.json in use (some 35 MB) are refused before they are read. */
const MAX_TEXT = 128 * 2 ** 20;

/** A small text file as a whole. @throws LabError as `readExactly`, and 'bad-input' when it is no UTF-8 or far too large */
export async function readText(source: FileSource): Promise<string> {
  if (source.size > MAX_TEXT)
    throw new LabError('bad-input', `${source.name} has ${source.size} bytes, too many for a text file.`, {
      safe: unchanged,
      next: "Check that this is the model's own file.",
    });
  const bytes = await readExactly(source, 0, source.size);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new LabError('bad-input', `${source.name} is not a text in UTF-8.`, {
      safe: unchanged,
      next: 'Download the file again.',
      cause,
    });
  }
}

/** @throws LabError as `readText`, and 'bad-input' when the file is not JSON */
export async function readJson(source: FileSource): Promise<unknown> {
  const text = await readText(source);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LabError('bad-input', `${source.name} is not JSON.`, {
      safe: unchanged,
      next: 'Download the file again; a page of HTML or a Git LFS pointer was perhaps saved in its place.',
      cause,
    });
  }
}
