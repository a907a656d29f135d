/**
 * A whole IndexedDB as plain JSON, with its own schema in it, so that a database of an old version can be built again
 * without that version's code. Binary values become {"$bytes": base64}.
 */
export interface DatabaseDump {
  version: number;
  stores: {
    name: string;
    keyPath: string | string[] | null;
    autoIncrement: boolean;
    indexes: { name: string; keyPath: string | string[]; unique: boolean }[];
    /** Key and value; the key only where the store has no key path. */
    records: { key?: unknown; value: unknown }[];
  }[];
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('request failed'));
  });
}

export async function dumpDatabase(name: string): Promise<DatabaseDump> {
  const db = await done(indexedDB.open(name));
  const stores: DatabaseDump['stores'] = [];
  for (const storeName of [...db.objectStoreNames]) {
    const store = db.transaction(storeName).objectStore(storeName);
    const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    const keyPath = store.keyPath as string | string[] | null;
    stores.push({
      name: storeName,
      keyPath,
      autoIncrement: store.autoIncrement,
      indexes: [...store.indexNames].map((n) => {
        const index = store.index(n);
        return { name: n, keyPath: index.keyPath as string | string[], unique: index.unique };
      }),
      records: values.map((value: unknown, i) => ({
        ...(keyPath === null && { key: keys[i] }),
        value: pack(value),
      })),
    });
  }
  const { version } = db;
  db.close();
  return { version, stores };
}

export async function restoreDatabase(name: string, dump: DatabaseDump): Promise<void> {
  const opening = indexedDB.open(name, dump.version);
  opening.onupgradeneeded = () => {
    for (const s of dump.stores) {
      const store = opening.result.createObjectStore(s.name, {
        keyPath: s.keyPath,
        autoIncrement: s.autoIncrement,
      });
      for (const i of s.indexes) store.createIndex(i.name, i.keyPath, { unique: i.unique });
      for (const { key, value } of s.records) store.put(unpack(value), key as IDBValidKey | undefined);
    }
  };
  (await done(opening)).close();
}

function pack(value: unknown): unknown {
  if (value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(pack);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, pack(v)]));
}

function unpack(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unpack);
  if (value === null || typeof value !== 'object') return value;
  if ('$bytes' in value) return new Uint8Array(Buffer.from(String(value.$bytes), 'base64')).buffer;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpack(v)]));
}
