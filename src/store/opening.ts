import { openDB, type IDBPDatabase } from 'idb';
import { LabError } from '../core/errors.ts';
import { openError } from './failures.ts';
import { VERSION, migrate, type EvaluationRecord, type LabSchema, type NodeRecord } from './schema.ts';

/**
 * Opens the lab's database, and brings an older one up to date.
 * @param patience milliseconds to wait for another tab that holds an older version open
 * @param onClosed told when it was closed from outside, once it was open
 * @throws LabError 'newer-database', 'store-closed' where the other tab does not let go, 'storage' for the rest
 */
export async function openDatabase<N extends NodeRecord, R, E extends EvaluationRecord>(
  name: string,
  patience: number,
  onClosed: (error: LabError) => void,
): Promise<IDBPDatabase<LabSchema<N, R, E>>> {
  if (typeof indexedDB === 'undefined') throw openError(new Error('this browser has no IndexedDB'));
  const closed = (what: string, next: string): void =>
    onClosed(new LabError('store-closed', what, { safe: 'Everything stored is safe.', next }));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const opening = openDB<LabSchema<N, R, E>>(name, VERSION, {
    upgrade: (db, oldVersion) => migrate(db, oldVersion),
    blocking: (_current, _blocked, event) => {
      (event.target as IDBDatabase).close();
      closed('Another tab has opened a newer version of the lab.', 'Close or reload this tab.');
    },
    terminated: () => closed('The browser closed the storage of the lab.', 'Reload the page.'),
  });
  try {
    const late = new Promise<never>((_, reject) => {
      const error = new LabError('store-closed', 'Another tab holds an older version of the lab open.', {
        safe: 'Everything stored is safe.',
        next: 'Close all other tabs of the lab, then reload this one.',
      });
      timer = setTimeout(() => reject(error), patience);
    });
    return await Promise.race([opening, late]);
  } catch (e) {
    // Should it open after all, it must not stand in the way of other tabs.
    opening.then((db) => db.close()).catch(() => {});
    throw openError(e);
  } finally {
    clearTimeout(timer);
  }
}
