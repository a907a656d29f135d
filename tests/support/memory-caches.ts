/** The browser's Cache API in memory, with its standard interface and a disk that can be full. */
interface Stored {
  body: Uint8Array<ArrayBuffer>;
  headers: [string, string][];
}

const urlOf = (request: RequestInfo | URL): string =>
  new Request(request instanceof Request ? request.url : request).url;

class MemoryCache implements Cache {
  readonly entries = new Map<string, Stored>();
  #owner: MemoryCaches;

  constructor(owner: MemoryCaches) {
    this.#owner = owner;
  }

  match(request: RequestInfo | URL): Promise<Response | undefined> {
    const found = this.entries.get(urlOf(request));
    return Promise.resolve(found && new Response(found.body.slice(), { headers: found.headers }));
  }

  async matchAll(request?: RequestInfo | URL): Promise<Response[]> {
    const urls = request === undefined ? [...this.entries.keys()] : [urlOf(request)];
    const all = await Promise.all(urls.map((url) => this.match(url)));
    return all.filter((one) => one !== undefined);
  }

  /** Nothing comes from the network here. */
  add(): Promise<void> {
    return Promise.reject(new TypeError('Failed to fetch'));
  }
  addAll(): Promise<void> {
    return this.add();
  }

  async put(request: RequestInfo | URL, response: Response): Promise<void> {
    const url = urlOf(request);
    this.#owner.onPut?.(url);
    const parts: Uint8Array[] = [];
    const reader = response.body!.getReader();
    let bytes = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      bytes += value.length;
      if (this.#owner.usedBytes + bytes > this.#owner.room) {
        // as browsers do: who writes the stream learns of it, too
        await reader.cancel();
        throw new DOMException('Quota exceeded.', 'QuotaExceededError');
      }
      parts.push(value.slice());
    }
    const body = new Uint8Array(Buffer.concat(parts));
    this.entries.set(url, { body, headers: [...response.headers] });
  }

  delete(request: RequestInfo | URL): Promise<boolean> {
    const url = urlOf(request);
    if (this.#owner.undeletable?.(url))
      return Promise.reject(new DOMException('locked', 'InvalidStateError'));
    return Promise.resolve(this.entries.delete(url));
  }

  keys(): Promise<readonly Request[]> {
    return Promise.resolve([...this.entries.keys()].map((url) => new Request(url)));
  }
}

export class MemoryCaches implements CacheStorage {
  readonly caches = new Map<string, MemoryCache>();
  /** Bytes of the disk. */
  room = Infinity;
  onPut: ((url: string) => void) | undefined;
  undeletable: ((url: string) => boolean) | undefined;

  get usedBytes(): number {
    return [...this.caches.values()]
      .flatMap((c) => [...c.entries.values()])
      .reduce((n, e) => n + e.body.length, 0);
  }

  /** Every address that is there, with its cache. */
  all(): string[] {
    return [...this.caches]
      .flatMap(([name, c]) => [...c.entries.keys()].map((url) => `${name} ${url}`))
      .sort();
  }

  bytes(name: string, url: string): Uint8Array<ArrayBuffer> | undefined {
    return this.caches.get(name)?.entries.get(url)?.body;
  }

  has(name: string): Promise<boolean> {
    return Promise.resolve(this.caches.has(name));
  }
  open(name: string): Promise<Cache> {
    const cache = this.caches.get(name) ?? new MemoryCache(this);
    this.caches.set(name, cache);
    return Promise.resolve(cache);
  }
  delete(name: string): Promise<boolean> {
    return Promise.resolve(this.caches.delete(name));
  }
  keys(): Promise<string[]> {
    return Promise.resolve([...this.caches.keys()]);
  }
  async match(request: RequestInfo | URL): Promise<Response | undefined> {
    for (const cache of this.caches.values()) {
      const found = await cache.match(request);
      if (found) return found;
    }
    return undefined;
  }
}
