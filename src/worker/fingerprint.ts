import type { Checkpoint } from '../files/checkpoint.ts';
import { readExactly } from '../files/source.ts';
import { sha256 } from '../store/digest.ts';

/** Places in each file that are looked at, and bytes at each: training a model changes all of its numbers. */
const WINDOWS = 64;
const WINDOW_BYTES = 4096;

/**
 * SHA-256 (hex) by which a model's weights are known again: over config.json, each file's size and header, and evenly spread
 * windows of it. Names do not count. It reads 256 KiB a file where a checksum would read gigabytes.
 */
export async function fingerprint(config: unknown, { files }: Checkpoint): Promise<string> {
  const parts = [new TextEncoder().encode(JSON.stringify(config))];
  for (const file of files) {
    parts.push(new TextEncoder().encode(`\n${file.size}\n`));
    const { buffer, byteOffset } = await readExactly(file, 0, 8);
    const headerBytes = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
    parts.push((await readExactly(file, 8, headerBytes)).slice());
    const length = Math.min(WINDOW_BYTES, file.size);
    for (let i = 0; i < WINDOWS; i++) {
      const at = Math.floor(((file.size - length) * i) / (WINDOWS - 1));
      // a source may give a view of a buffer that it uses again
      parts.push((await readExactly(file, at, length)).slice());
    }
  }
  const bytes = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return sha256(bytes);
}
