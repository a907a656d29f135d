/**
 * Imported data sets. Blocks of rows are written first, under an owner that nothing refers to yet; then one transaction checks
 * that all blocks are there and makes the data set visible. What a tab left that died in between is swept.
 */
import type { IDBPDatabase } from 'idb';
import { LabError } from '../core/errors.ts';
import { requireChunks } from './arrays.ts';
import {
  chunksOf,
  type DatasetRecord,
  type EvaluationRecord,
  type LabSchema,
  type NodeRecord,
  type RowBlock,
} from './schema.ts';
import { settle, writing as whileWriting } from './transactions.ts';

type Guard = <T>(doing: string, work: () => Promise<T>) => Promise<T>;

/** A data set as the caller gives it: the store fills in where its rows lie. */
export type NewDataset = Omit<DatasetRecord, 'rowsKey' | 'blocks'>;

export class Datasets<N extends NodeRecord, R, E extends EvaluationRecord> {
  readonly #db: IDBPDatabase<LabSchema<N, R, E>>;
  readonly #guard: Guard;

  constructor(db: IDBPDatabase<LabSchema<N, R, E>>, guard: Guard) {
    this.#db = db;
    this.#guard = guard;
  }

  /** Newest first. */
  list(): Promise<DatasetRecord[]> {
    return this.#guard('read the data sets', async () => {
      const all = await this.#db.getAll('datasets');
      return all.sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? -1 : 1));
    });
  }

  get(id: string): Promise<DatasetRecord | undefined> {
    return this.#guard('read a data set', () => this.#db.get('datasets', id));
  }

  /**
   * Stores a data set whose rows come bit by bit; when `fill` throws, nothing of it stays.
   * @param fill writes blocks of rows in order and answers what the data set is; null: nothing is to be kept. Blocks are best large, some
   *   1 MB: each is a transaction. `put` answers as soon as its block is copied, and while that is written, the next one can be made.
   */
  add(
    fill: (put: (block: unknown, rows: number) => Promise<void>) => Promise<NewDataset | null>,
  ): Promise<DatasetRecord | null> {
    return this.#guard('keep a data set', () =>
      whileWriting(async () => {
        const rowsKey = `dataset:${crypto.randomUUID()}`;
        const blocks: number[] = [];
        let writing: Promise<void> = Promise.resolve();
        try {
          const dataset = await fill(async (block, rows) => {
            await writing;
            writing = this.#write({ owner: rowsKey, index: blocks.length, block });
            writing.catch(() => {}); // thrown where the next block waits for it, or at the end
            blocks.push(rows);
          });
          await writing;
          if (!dataset) {
            await this.#drop(rowsKey);
            return null;
          }
          const record: DatasetRecord = { ...dataset, rowsKey, blocks };
          const tx = this.#db.transaction(['datasets', 'rows'], 'readwrite');
          await settle(tx, async () => {
            await requireChunks(tx.objectStore('rows').count(chunksOf(rowsKey)), blocks.length);
            await tx.objectStore('datasets').add(record);
          });
          return record;
        } catch (e) {
          await writing.catch(() => {});
          await this.#drop(rowsKey);
          throw e;
        }
      }),
    );
  }

  /** Rows from the `from`-th on, counted from 0; fewer where the data set ends. @throws LabError 'not-found' */
  rows<T>(id: string, from: number, count: number, unpack: (block: unknown) => readonly T[]): Promise<T[]> {
    return this.#guard('read the rows of a data set', async () => {
      const { rowsKey, blocks } = await this.#require(id);
      const out: T[] = [];
      let first = 0;
      for (const [index, length] of blocks.entries()) {
        if (first >= from + count) break;
        if (first + length > from) {
          const block = await this.#db.get('rows', [rowsKey, index]);
          if (!block) throw new Error('rows were cleared');
          for (const row of unpack(block.block).slice(Math.max(0, from - first), from + count - first))
            out.push(row);
        }
        first += length;
      }
      return out;
    });
  }

  /** Deletes a data set with its rows, in one transaction. */
  delete(id: string): Promise<void> {
    return this.#guard('delete a data set', async () => {
      const tx = this.#db.transaction(['datasets', 'rows'], 'readwrite');
      await settle(tx, async () => {
        const record = await tx.objectStore('datasets').get(id);
        if (record) await tx.objectStore('rows').delete(chunksOf(record.rowsKey));
        await tx.objectStore('datasets').delete(id);
      });
    });
  }

  /** Removes rows that belong to no data set. Answers of how many. */
  async sweep(): Promise<number> {
    const tx = this.#db.transaction(['datasets', 'rows'], 'readwrite');
    return settle(tx, async () => {
      const owned = new Set((await tx.objectStore('datasets').getAll()).map(({ rowsKey }) => rowsKey));
      const found = new Set((await tx.objectStore('rows').getAllKeys()).map(([owner]) => owner));
      const orphans = [...found].filter((owner) => !owned.has(owner));
      for (const owner of orphans) await tx.objectStore('rows').delete(chunksOf(owner));
      return orphans.length;
    });
  }

  /** The block is copied before this answers. Without waiting for the disk: what makes the data set visible comes after it. */
  async #write(row: RowBlock): Promise<void> {
    const tx = this.#db.transaction('rows', 'readwrite', { durability: 'relaxed' });
    await settle(tx, async () => {
      tx.store.put(row).catch(() => {}); // the transaction itself tells of it
    });
  }

  async #require(id: string): Promise<DatasetRecord> {
    const record = await this.#db.get('datasets', id);
    if (record) return record;
    throw new LabError('not-found', 'This data set does not exist any more.', {
      safe: 'All other data sets are untouched.',
      next: 'Reload the page to see those that are there.',
    });
  }

  /** Best effort: what cannot be removed now is swept at the next start. */
  async #drop(owner: string): Promise<void> {
    await this.#db.delete('rows', chunksOf(owner)).catch(() => {});
  }
}
