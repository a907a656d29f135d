/**
 * Kept steps of training runs. A snapshot belongs to its run until the run has saved a checkpoint at or after it, and from then on to
 * the run's checkpoints at or after it: it goes with the last of them.
 */
import type { IDBPDatabase } from 'idb';
import { LabError } from '../core/errors.ts';
import { sha256 } from './digest.ts';
import type { EvaluationRecord, LabSchema, NodeRecord, SnapshotRecord } from './schema.ts';
import { settle, writing } from './transactions.ts';

type Guard = <T>(doing: string, work: () => Promise<T>) => Promise<T>;

/** The two stores of a transaction that deletes. */
interface Deleting {
  nodes: { getAll(): Promise<readonly NodeRecord[]> };
  snapshots: { delete(range: IDBKeyRange): Promise<void> };
}

export class Snapshots<N extends NodeRecord, R, E extends EvaluationRecord> {
  readonly #db: IDBPDatabase<LabSchema<N, R, E>>;
  readonly #guard: Guard;

  constructor(db: IDBPDatabase<LabSchema<N, R, E>>, guard: Guard) {
    this.#db = db;
    this.#guard = guard;
  }

  /** Keeps a step; one that was kept before is replaced. */
  add(snapshot: Omit<SnapshotRecord, 'digest' | 'bytes'>, words: Uint16Array<ArrayBuffer>): Promise<void> {
    return this.#guard(`keep step ${snapshot.step}`, () =>
      writing(async () => {
        const digest = await sha256(words);
        const bytes = words.slice().buffer;
        const tx = this.#db.transaction(['nodes', 'snapshots'], 'readwrite');
        await settle(tx, async () => {
          if ((await tx.objectStore('nodes').getKey(snapshot.parentId)) === undefined)
            throw new Error(`the checkpoint '${snapshot.parentId}' is gone`);
          await tx.objectStore('snapshots').put({ ...snapshot, digest, bytes });
        });
      }),
    );
  }

  /** Kept steps of every run, ascending. */
  steps(): Promise<Map<string, number[]>> {
    return this.#guard('list the kept steps', async () => {
      const found = new Map<string, number[]>();
      for (const [runId, step] of await this.#db.getAllKeys('snapshots'))
        found.set(runId, [...(found.get(runId) ?? []), step]);
      return found;
    });
  }

  /** Bytes of a kept step; 0 where there is none. */
  size(runId: string, step: number): Promise<number> {
    return this.#guard(`read step ${step}`, async () => {
      return (await this.#db.get('snapshots', [runId, step]))?.bytes.byteLength ?? 0;
    });
  }

  /**
   * A kept step; undefined where there is none.
   * @throws LabError 'corrupt-model' where its bytes do not match their digest
   */
  read(
    runId: string,
    step: number,
  ): Promise<(Omit<SnapshotRecord, 'bytes'> & { words: Uint16Array<ArrayBuffer> }) | undefined> {
    return this.#guard(`read step ${step}`, async () => {
      const found = await this.#db.get('snapshots', [runId, step]);
      if (!found) return undefined;
      const { bytes, ...about } = found;
      if ((await sha256(new Uint8Array(bytes))) !== about.digest) throw damaged(step);
      return { ...about, words: new Uint16Array(bytes) };
    });
  }

  /** Snapshots that belong to nothing. @param open runs that some tab has open and may not have written yet */
  sweep(open: ReadonlySet<string>): Promise<number> {
    return this.#guard('clean up', async () => {
      const tx = this.#db.transaction(['nodes', 'runs', 'snapshots'], 'readwrite');
      return settle(tx, async () => {
        const runs = new Set(await tx.objectStore('runs').getAllKeys());
        const last = lastSteps(await tx.objectStore('nodes').getAll());
        const orphans = (await tx.objectStore('snapshots').getAllKeys()).filter(
          ([runId, step]) => !open.has(runId) && !runs.has(runId) && step > (last.get(runId) ?? -1),
        );
        for (const key of orphans) await tx.objectStore('snapshots').delete(key);
        return new Set(orphans.map(([runId]) => runId)).size;
      });
    });
  }
}

/** Deletes what belonged to checkpoints that are gone, within the transaction that deleted them. */
export async function dropWithNodes(
  { nodes, snapshots }: Deleting,
  gone: readonly NodeRecord[],
): Promise<void> {
  const left = lastSteps(await nodes.getAll());
  for (const { runId, steps } of gone) {
    if (typeof runId !== 'string') continue;
    const from = (left.get(runId) ?? -1) + 1;
    if (from <= (steps ?? 0)) await snapshots.delete(between(runId, from, steps ?? 0));
  }
}

/** Deletes what still belongs to a run alone, within the transaction that forgets it. */
export async function dropWithRun({ nodes, snapshots }: Deleting, runId: string): Promise<void> {
  const last = lastSteps(await nodes.getAll()).get(runId) ?? -1;
  await snapshots.delete(between(runId, last + 1, Infinity));
}

/** By run: the latest step at which one of its checkpoints stands. */
function lastSteps(nodes: readonly NodeRecord[]): Map<string, number> {
  const last = new Map<string, number>();
  for (const { runId, steps = 0 } of nodes)
    if (typeof runId === 'string') last.set(runId, Math.max(steps, last.get(runId) ?? 0));
  return last;
}

const between = (runId: string, from: number, to: number): IDBKeyRange =>
  IDBKeyRange.bound([runId, from], [runId, to]);

function damaged(step: number): LabError {
  return new LabError(
    'corrupt-model',
    `What was kept of step ${step} is damaged: its checksum does not match.`,
    {
      safe: 'All checkpoints and the other steps are untouched.',
      next: 'Move to another step, or run the attack again.',
    },
  );
}
