/** WebLLM's files in this browser: where it looks for a model's parts, and where the lab puts its own. */
import { LabError } from '../core/errors.ts';
import { storeError } from './failures.ts';
import { storageFigures, type StorageFigures } from './quota.ts';

/** `lab` is the lab's own list beside WebLLM's three caches. */
export type Scope = 'model' | 'config' | 'wasm' | 'lab';

/** A file by the absolute address that WebLLM asks for. */
export interface ArtifactKey {
  scope: Scope;
  url: string;
}

export interface Artifact {
  /** Bytes; null where only reading them would tell. */
  bytes: number | null;
  blob(): Promise<Blob>;
}

export interface Put {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** It is there only once this has resolved. */
  close(): Promise<void>;
}

export interface ArtifactStore {
  /** Begins a file of exactly this length, in the place of an older one. @throws LabError 'quota', 'storage', here or in what follows */
  put(key: ArtifactKey, type: string, bytes: number): Promise<Put>;
  get(key: ArtifactKey): Promise<Artifact | null>;
  /** False where there was none. */
  delete(key: ArtifactKey): Promise<boolean>;
  keys(scope: Scope): Promise<string[]>;
  /** What the browser has given and would give, for all data of the page. */
  estimate(): Promise<StorageFigures>;
}

const CACHES: Record<Scope, string> = {
  model: 'webllm/model',
  config: 'webllm/config',
  wasm: 'webllm/wasm',
  lab: 'sdd-lab/bundles',
};

/** Over the browser's Cache API, as WebLLM's own `cacheBackend: "cache"` is. */
export class CacheArtifacts implements ArtifactStore {
  #caches: () => CacheStorage;

  constructor(caches: () => CacheStorage = browserCaches) {
    this.#caches = caches;
  }

  async put({ scope, url }: ArtifactKey, type: string, bytes: number): Promise<Put> {
    const doing = "write into WebLLM's cache";
    const cache = await guarded(doing, () => this.#caches().open(CACHES[scope]));
    const { readable, writable } = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>();
    const writer = writable.getWriter();
    const headers = { 'content-type': type, 'content-length': String(bytes) };
    const stored = guarded(doing, () => cache.put(url, new Response(readable, { headers })));
    // who writes is told; before that nobody waits for it
    stored.catch(() => {});
    writer.closed.catch(() => {});
    const failed = stored.then(() => new Promise<never>(() => {}));
    // a full disk shows in what stores: the stream is only cut off then, and would wait for ever or say nothing of why
    const told = async (work: Promise<void>): Promise<void> => {
      try {
        await Promise.race([work, failed]);
      } catch (e) {
        await stored;
        throw storeError(e, doing);
      }
    };
    return {
      write: (part) => told(writer.write(part)),
      close: async () => {
        await told(writer.close());
        await stored;
      },
    };
  }

  async get({ scope, url }: ArtifactKey): Promise<Artifact | null> {
    const doing = "read WebLLM's cache";
    const response = await guarded(doing, async () => (await this.#existing(scope))?.match(url));
    if (!response) return null;
    const { headers } = response;
    const length = Number(headers.get('content-length') ?? NaN);
    const plain = headers.get('content-encoding') === null && Number.isSafeInteger(length);
    return { bytes: plain ? length : null, blob: () => guarded(doing, () => response.blob()) };
  }

  async delete({ scope, url }: ArtifactKey): Promise<boolean> {
    return guarded(
      "delete from WebLLM's cache",
      async () => (await this.#existing(scope))?.delete(url) ?? false,
    );
  }

  async keys(scope: Scope): Promise<string[]> {
    const requests = await guarded("read WebLLM's cache", async () => (await this.#existing(scope))?.keys());
    return (requests ?? []).map((r) => r.url);
  }

  estimate(): Promise<StorageFigures> {
    return storageFigures();
  }

  /** A cache that is only read is not made. */
  async #existing(scope: Scope): Promise<Cache | null> {
    const caches = this.#caches();
    return (await caches.has(CACHES[scope])) ? caches.open(CACHES[scope]) : null;
  }
}

async function guarded<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (e) {
    throw storeError(e, doing);
  }
}

function browserCaches(): CacheStorage {
  if (typeof caches !== 'undefined') return caches;
  throw new LabError(
    'storage',
    "This browser gives the page no cache, so WebLLM's models cannot be read or written.",
    {
      safe: 'Nothing was changed.',
      next: 'Open the lab over https or from localhost; in a private window the browser may refuse storage altogether.',
    },
  );
}
