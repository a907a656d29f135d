/**
 * Records of the store on their way into an archive and out of one. What comes in is written like everything else: bytes first, under
 * owners that nothing refers to yet, then one transaction that makes all of it visible, or none of it.
 */
import type { IDBPDatabase } from 'idb';
import { createSHA256 } from 'hash-wasm';
import { LabError } from '../core/errors.ts';
import { newOwner, requireChunks } from './arrays.ts';
import {
  chunksOf,
  type EvaluationRecord,
  type LabelRecord,
  type LabSchema,
  type ModelRecord,
  type NodeRecord,
  type PromptsRecord,
  type SnapshotRecord,
} from './schema.ts';
import { settle, writing } from './transactions.ts';

type Guard = <T>(doing: string, work: () => Promise<T>) => Promise<T>;
export type Bytes = AsyncIterable<Uint8Array>;

/** A node that comes in: where its weights lie is the store's. */
export type ComingNode<N extends NodeRecord> = Omit<N, 'weightsKey'>;

export interface Coming<N extends NodeRecord, E extends EvaluationRecord> {
  /** Parents before their children; a parent that is not among them is here already. */
  nodes: readonly ComingNode<N>[];
  weights(node: ComingNode<N>): Bytes;
  evaluations: readonly E[];
  models: readonly ModelRecord[];
  prompts: readonly PromptsRecord[];
  labels: readonly LabelRecord[];
  snapshots: readonly Omit<SnapshotRecord, 'bytes'>[];
  snapshot(about: Omit<SnapshotRecord, 'bytes'>): Promise<ArrayBuffer>;
}

export class Archives<N extends NodeRecord, R, E extends EvaluationRecord> {
  readonly #db: IDBPDatabase<LabSchema<N, R, E>>;
  readonly #guard: Guard;
  readonly #chunkBytes: number;

  constructor(db: IDBPDatabase<LabSchema<N, R, E>>, guard: Guard, chunkBytes: number) {
    this.#db = db;
    this.#guard = guard;
    this.#chunkBytes = chunkBytes;
  }

  /** The stored bytes of a node's weights, chunk by chunk; what they are worth, their digest tells. */
  async *weights({ weightsKey }: NodeRecord): AsyncGenerator<Uint8Array> {
    for (let index = 0; ; index++) {
      const chunk = await this.#guard('read a checkpoint', () =>
        this.#db.get('weights', [weightsKey, index]),
      );
      if (!chunk) return;
      yield new Uint8Array(chunk.bytes);
    }
  }

  /** Labels and prompts files, all of them. */
  allLabels(): Promise<LabelRecord[]> {
    return this.#guard('read the verdicts', () => this.#db.getAll('labels'));
  }

  allModels(): Promise<ModelRecord[]> {
    return this.#guard('read the opened models', () => this.#db.getAll('models'));
  }

  /**
   * Takes everything in, or nothing. Of prompts files, labels and kept steps, what is here already stays.
   * @throws LabError 'corrupt-model' where bytes do not match a node's digest, 'quota', 'cancelled'
   */
  adopt(coming: Coming<N, E>, o: { signal?: AbortSignal; onBytes?(bytes: number): void } = {}): Promise<N[]> {
    return this.#guard('take in the file', () =>
      writing(async () => {
        const owners: { owner: string; chunks: number }[] = [];
        const steps: [string, number][] = [];
        try {
          const nodes: N[] = [];
          for (const node of coming.nodes) {
            const owner = newOwner('node', node.id);
            owners.push({ owner, chunks: 0 });
            const { chunks, bytes, sha256 } = await this.#write(owner, coming.weights(node), o);
            owners.at(-1)!.chunks = chunks;
            if (bytes !== node.weightsBytes || sha256 !== node.weightsDigest) throw damaged(node.id);
            nodes.push({ ...node, weightsKey: owner } as unknown as N);
          }
          // these come before their nodes: until then they belong to nothing, and the sweep is kept out
          for (const about of coming.snapshots) {
            const key: [string, number] = [about.runId, about.step];
            if ((await this.#db.getKey('snapshots', key)) !== undefined) continue;
            const bytes = await coming.snapshot(about);
            steps.push(key);
            await this.#db.put('snapshots', { ...about, bytes });
            o.onBytes?.(bytes.byteLength);
            stopIf(o.signal);
          }
          await this.#show(nodes, owners, coming);
          return nodes;
        } catch (e) {
          for (const { owner } of owners) await this.#db.delete('weights', chunksOf(owner)).catch(() => {});
          for (const key of steps) await this.#db.delete('snapshots', key).catch(() => {});
          throw e;
        }
      }),
    );
  }

  async #write(
    owner: string,
    parts: Bytes,
    o: { signal?: AbortSignal; onBytes?(bytes: number): void },
  ): Promise<{ chunks: number; bytes: number; sha256: string }> {
    const hash = await createSHA256();
    let chunk = new Uint8Array(this.#chunkBytes);
    let [filled, chunks, bytes] = [0, 0, 0];
    const put = async (part: Uint8Array<ArrayBuffer>): Promise<void> => {
      await this.#db.put('weights', { owner, index: chunks++, bytes: part.buffer });
      chunk = new Uint8Array(this.#chunkBytes);
      filled = 0;
      stopIf(o.signal);
    };
    for await (const part of parts) {
      hash.update(part);
      bytes += part.byteLength;
      o.onBytes?.(part.byteLength);
      for (let at = 0; at < part.byteLength;) {
        const piece = part.subarray(at, at + chunk.byteLength - filled);
        chunk.set(piece, filled);
        filled += piece.byteLength;
        at += piece.byteLength;
        if (filled === chunk.byteLength) await put(chunk);
      }
    }
    if (filled > 0) await put(chunk.slice(0, filled));
    return { chunks, bytes, sha256: hash.digest('hex') };
  }

  async #show(
    nodes: readonly N[],
    owners: readonly { owner: string; chunks: number }[],
    coming: Coming<N, E>,
  ): Promise<void> {
    const stores = ['nodes', 'weights', 'evaluations', 'models', 'prompts', 'labels'] as const;
    const tx = this.#db.transaction(stores, 'readwrite');
    await settle(tx, async () => {
      const tree = tx.objectStore('nodes');
      for (const { owner, chunks } of owners)
        await requireChunks(tx.objectStore('weights').count(chunksOf(owner)), chunks);
      for (const node of nodes) {
        if (node.parentId !== null && (await tree.getKey(node.parentId)) === undefined)
          throw new LabError(
            'bad-input',
            `The checkpoint that '${node.id}' was made of was deleted meanwhile.`,
            {
              safe: 'Nothing was changed.',
              next: 'Take the file in again.',
            },
          );
        await tree.add(node);
      }
      for (const one of coming.evaluations) await tx.objectStore('evaluations').add(one);
      for (const model of coming.models) await tx.objectStore('models').add(model);
      for (const name of ['prompts', 'labels'] as const) {
        const store = tx.objectStore(name);
        for (const one of coming[name]) {
          const key = 'digest' in one ? one.digest : one.id;
          if ((await store.getKey(key)) === undefined) await store.add(one as never);
        }
      }
    });
  }
}

function stopIf(signal?: AbortSignal): void {
  if (signal?.aborted)
    throw new LabError('cancelled', 'Taking the file in was stopped.', { safe: 'Nothing was changed.' });
}

const damaged = (id: string): LabError =>
  new LabError(
    'corrupt-model',
    `The weights of '${id}' are not those that it names: their checksum does not match.`,
    {
      safe: 'Nothing was changed.',
      next: 'Copy the file again from where it was written.',
    },
  );
