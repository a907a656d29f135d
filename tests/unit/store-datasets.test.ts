import 'fake-indexeddb/auto';
import { openDB } from 'idb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EvaluationRecord, NodeRecord } from '../../src/store/schema.ts';
import { Store } from '../../src/store/store.ts';

type TestStore = Store<NodeRecord, null, EvaluationRecord>;

let store: TestStore;
let name = '';
let count = 0;

beforeEach(async () => {
  name = `store-datasets-${++count}`;
  store = await Store.open({ name });
});
afterEach(() => {
  vi.restoreAllMocks();
  store.close();
});

const line = (n: number) => ({ line: n, text: `row ${n}` });

/** A data set in blocks of the given lengths. */
const add = (id: string, lengths: readonly number[], then: () => void | Promise<void> = () => {}) =>
  store.datasets.add(async (put) => {
    let n = 0;
    for (const length of lengths)
      await put(
        Array.from({ length }, () => line(++n)),
        length,
      );
    await then();
    return { id, createdAt: ++count, info: { of: id } };
  });

const rows = (id: string, from: number, n: number) =>
  store.datasets.rows(id, from, n, (block) => block as unknown[]);

async function owners(): Promise<string[]> {
  const db = await openDB(name);
  const keys = (await db.getAllKeys('rows')) as unknown as [string, number][];
  db.close();
  return [...new Set(keys.map(([owner]) => owner))];
}

describe('data sets', () => {
  it('come back row by row, from wherever one asks, also after reopening', async () => {
    await add('a', [3, 1, 4]);
    await add('b', [2]);
    store.close();
    store = await Store.open({ name });
    expect((await store.datasets.list()).map(({ id, info }) => [id, info])).toEqual([
      ['b', { of: 'b' }],
      ['a', { of: 'a' }],
    ]);
    for (const [from, n] of [
      [0, 8],
      [0, 100],
      [2, 3],
      [3, 1],
      [4, 4],
      [7, 1],
    ] as const) {
      const wanted = Array.from({ length: Math.min(8, from + n) - from }, (_, i) => line(from + i + 1));
      expect(await rows('a', from, n)).toEqual(wanted);
    }
    expect(await rows('a', 8, 5)).toEqual([]);
    await expect(rows('c', 0, 1)).rejects.toMatchObject({ code: 'not-found' });
  });

  it('are not there until all of their rows are', async () => {
    await add('a', [2, 2], async () => expect(await store.datasets.list()).toEqual([]));
    expect(await store.datasets.list()).toHaveLength(1);
  });

  it.each([1, 9, 20, 21])('leave nothing when the disk is full at write %i', async (at) => {
    let calls = 0;
    for (const method of ['put', 'add'] as const) {
      const real = IDBObjectStore.prototype[method];
      vi.spyOn(IDBObjectStore.prototype, method).mockImplementation(function (this: IDBObjectStore, ...args) {
        if (++calls === at) throw new DOMException('no space', 'QuotaExceededError');
        return real.apply(this, args);
      });
    }
    await expect(add('a', Array<number>(20).fill(2))).rejects.toMatchObject({ code: 'quota' });
    vi.restoreAllMocks();
    expect(await store.datasets.list()).toEqual([]);
    expect(await owners()).toEqual([]);
  });

  it('leave nothing when they are stopped, or not to be kept', async () => {
    const stopped = add('a', [5], () => {
      throw new Error('stopped');
    });
    await expect(stopped).rejects.toThrow('stopped');
    const none = await store.datasets.add(async (put) => {
      await put([line(1)], 1);
      return null;
    });
    expect(none).toBeNull();
    expect(await owners()).toEqual([]);
  });

  it('whose tab died are swept, and no others', async () => {
    await add('a', [2, 2]);
    const db = await openDB(name);
    await db.put('rows', { owner: 'dataset:dead', index: 0, block: [] });
    db.close();
    expect(await store.sweep()).toBe(1);
    expect(await owners()).toHaveLength(1);
    expect(await rows('a', 0, 9)).toHaveLength(4);
  });

  it('go with their rows when they are deleted', async () => {
    await add('a', [2]);
    await add('b', [2]);
    await store.datasets.delete('a');
    expect((await store.datasets.list()).map(({ id }) => id)).toEqual(['b']);
    expect(await owners()).toHaveLength(1);
    await store.datasets.delete('a');
  });
});
