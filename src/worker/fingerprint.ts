import type { Checkpoint } from '../files/checkpoint.ts';
import { readExactly, type FileSource } from '../files/source.ts';
import { sha256 } from '../store/digest.ts';

/** Places in each file that are looked at, and bytes at each: training a model changes all of its numbers. */
const WINDOWS = 64;
const WINDOW_BYTES = 4096;

/**
 * SHA-256 (hex) by which a model's weights are known again: over config.json, each file's size and header, and evenly spread
 * windows of it. Names do not count. It reads 256 KiB a file where a checksum would read gigabytes.
 */
export async function fingerprint(config: unknown, { layout, files, tensors }: Checkpoint): Promise<string> {
  const parts = [new TextEncoder().encode(JSON.stringify(config))];
  // files without headers: what lies where is said beside them
  if (layout === 'mlc')
    parts.push(
      new TextEncoder().encode(
        JSON.stringify([...tensors.values()].map((t) => [t.name, t.dtype, t.shape, t.begin, t.end])),
      ),
    );
  for (const file of files) {
    parts.push(new TextEncoder().encode(`\n${file.size}\n`));
    if (layout === 'safetensors') parts.push(await headerOf(file));
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

async function headerOf(file: FileSource): Promise<Uint8Array<ArrayBuffer>> {
  const { buffer, byteOffset } = await readExactly(file, 0, 8);
  const length = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  return (await readExactly(file, 8, length)).slice();
}
