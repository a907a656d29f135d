import { createSHA1, createSHA256 } from 'hash-wasm';
import { readExactly, type FileSource } from '../files/source.ts';
import type { HubFile } from './plan.ts';

/** Bytes hashed at a stretch: some 20 ms, during which the worker does nothing else. */
const SLICE = 2 * 2 ** 20;

/**
 * The hash of a file, in lower-case hex, read by slices. WebCrypto wants all bytes at once, which a shard of gigabytes has no
 * room for.
 * @param onRead told of the bytes read so far; what it throws ends the reading
 */
export async function checksum(
  source: FileSource,
  kind: HubFile['hash']['kind'],
  onRead?: (bytes: number) => void,
): Promise<string> {
  const hash = await (kind === 'sha256' ? createSHA256() : createSHA1());
  hash.init();
  if (kind === 'git') hash.update(`blob ${source.size}\0`);
  for (let at = 0; at < source.size;) {
    const length = Math.min(SLICE, source.size - at);
    hash.update(await readExactly(source, at, length));
    at += length;
    onRead?.(at);
  }
  return hash.digest();
}
