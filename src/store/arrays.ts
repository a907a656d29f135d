/** Large arrays in chunks: written under an owner that nothing refers to yet, read back against their digest. */
import type { IDBPDatabase } from 'idb';
import { LabError } from '../core/errors.ts';
import { sha256 } from './digest.ts';
import {
  chunksOf,
  type ArraysRef,
  type EvaluationRecord,
  type LabSchema,
  type NodeRecord,
} from './schema.ts';

export class Arrays<N extends NodeRecord, R, E extends EvaluationRecord> {
  readonly #db: IDBPDatabase<LabSchema<N, R, E>>;
  readonly #chunkBytes: number;

  constructor(db: IDBPDatabase<LabSchema<N, R, E>>, chunkBytes: number) {
    this.#db = db;
    this.#chunkBytes = chunkBytes;
  }

  /** Writes arrays one after the other as chunks under a new owner; on failure nothing of them stays. */
  async write(owner: string, arrays: readonly Float32Array[]): Promise<{ digest: string; chunks: number }> {
    const bytes = concat(arrays);
    const digest = await sha256(bytes);
    const chunks = Math.ceil(bytes.length / this.#chunkBytes);
    try {
      for (let index = 0; index < chunks; index++) {
        const part = bytes.slice(index * this.#chunkBytes, (index + 1) * this.#chunkBytes);
        await this.#db.put('weights', { owner, index, bytes: part.buffer });
      }
    } catch (e) {
      await this.drop(owner);
      throw e;
    }
    return { digest, chunks };
  }

  /** Reads them again. @throws LabError 'corrupt-model' when bytes are missing or do not match their digest */
  async read(ref: ArraysRef, name: string): Promise<Float32Array[]> {
    const chunks = await this.#db.getAll('weights', chunksOf(ref.owner));
    const bytes = new Uint8Array(ref.floats.reduce((a, b) => a + b, 0) * 4);
    let at = 0;
    for (const chunk of chunks) {
      if (at + chunk.bytes.byteLength > bytes.length) throw corrupt(name);
      bytes.set(new Uint8Array(chunk.bytes), at);
      at += chunk.bytes.byteLength;
    }
    if (at !== bytes.length || (await sha256(bytes)) !== ref.digest) throw corrupt(name);
    let offset = 0;
    return ref.floats.map((n) => {
      const array = new Float32Array(bytes.buffer, offset, n);
      offset += n * 4;
      return array;
    });
  }

  /** Best effort: what cannot be removed now is swept at the next start. */
  async drop(owner: string): Promise<void> {
    await this.#db.delete('weights', chunksOf(owner)).catch(() => {});
  }
}

export function newOwner(kind: 'node' | 'run', id: string): string {
  return `${kind}:${id}:${crypto.randomUUID()}`;
}

export async function requireChunks(count: Promise<number>, wanted: number): Promise<void> {
  if ((await count) !== wanted) throw new Error('the data was cleared while it was being written');
}

function concat(arrays: readonly Float32Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(arrays.reduce((n, a) => n + a.byteLength, 0));
  let at = 0;
  for (const a of arrays) {
    out.set(new Uint8Array(a.buffer, a.byteOffset, a.byteLength), at);
    at += a.byteLength;
  }
  return out;
}

function corrupt(name: string): LabError {
  return new LabError(
    'corrupt-model',
    `The stored weights of '${name}' are damaged: their checksum does not match.`,
    {
      safe: 'No other checkpoint is affected, and nothing was changed.',
      next: 'Delete this checkpoint and train it again from its parent with the same settings and seed.',
    },
  );
}
