/** What every write goes through: transactions that roll back whole, and the lock between writers and the sweep. */

/** Runs the body of a transaction; when it throws, the whole transaction is rolled back and that error is thrown. */
export async function settle<T>(
  tx: { abort(): void; done: Promise<void> },
  body: () => Promise<T>,
): Promise<T> {
  const done = tx.done.then(
    () => null,
    (e: unknown) => ({ e }),
  );
  let result: T;
  try {
    result = await body();
  } catch (e) {
    try {
      tx.abort();
    } catch {
      // it had failed already
    }
    await done;
    throw e;
  }
  const failed = await done;
  if (failed) throw failed.e;
  return result;
}

const LOCK = 'sdd-lab-writing';

/** Several tabs may write at once, but none while another one sweeps. */
export function writing<T>(work: () => Promise<T>): Promise<T> {
  if (typeof navigator === 'undefined' || !navigator.locks) return work();
  return navigator.locks.request(LOCK, { mode: 'shared' }, work) as Promise<T>;
}

export async function alone(work: () => Promise<number>): Promise<number> {
  if (typeof navigator === 'undefined' || !navigator.locks) return work();
  return navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => (lock ? work() : 0));
}

/** Deletes evaluations of a node within a transaction. */
export async function drop<E>(
  evaluations: {
    index(name: 'nodeId'): { getAllKeys(nodeId: string): Promise<number[]> };
    get(key: number): Promise<E | undefined>;
    delete(key: number): Promise<void>;
  },
  nodeId: string,
  which: (one: E) => boolean,
): Promise<void> {
  for (const key of await evaluations.index('nodeId').getAllKeys(nodeId))
    if (which((await evaluations.get(key))!)) await evaluations.delete(key);
}
