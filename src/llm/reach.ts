/** Whether a model's files are here, or at least their hosts can be reached: WebLLM itself waits for a dead host for minutes. */
import type { ModelRecord } from '@mlc-ai/web-llm';
import { LabError } from '../core/errors.ts';
import { unreachable } from './errors.ts';
import { bytesOf, filesUrl } from './models.ts';

/** The caches that WebLLM keeps its files in. */
export type CacheName = 'webllm/model' | 'webllm/config' | 'webllm/wasm';

export interface Net {
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Addresses of all files in a cache. */
  cached(name: CacheName): Promise<ReadonlySet<string>>;
  online(): boolean;
  /** Bytes that the browser still gives to this page; null where it does not tell. */
  free(): Promise<number | null>;
}

/** Of the memory that WebLLM's list names for a model, its files' share at least: the rest is keys, values and activations. */
const FILES_SHARE = 0.7;

/** A user is told within 5 s; some of them are for the library itself to arrive. */
export const PATIENCE_MS = 3_500;

/**
 * @param whole whether all weights are cached
 * @throws LabError 'network' within PATIENCE_MS, before anything is started
 */
export async function requireReachable(
  record: ModelRecord,
  net: Net,
  whole: () => Promise<boolean>,
): Promise<void> {
  const files = filesUrl(record);
  const wanted: [CacheName, string][] = [
    ['webllm/config', `${files}mlc-chat-config.json`],
    ['webllm/wasm', record.model_lib],
  ];
  const missing: string[] = [];
  for (const [name, url] of wanted) if (!(await net.cached(name)).has(url)) missing.push(url);
  if (missing.length === 0 && (await whole())) return;
  if (!net.online())
    throw new LabError(
      'network',
      `There is no connection, and '${record.model_id}' is not whole in this browser.`,
      {
        safe: 'Nothing was started.',
        next: 'Connect, or choose a model that is in this browser already.',
      },
    );
  await requireRoom(record, net);
  if (missing.length === 0) missing.push(`${files}mlc-chat-config.json`);
  const signal = AbortSignal.timeout(PATIENCE_MS);
  await Promise.all(missing.map((url) => probe(url, net, record.model_id, signal)));
}

/** A download of gigabytes that must fail is not begun. What came of it before counts as used already, so this is no exact bound. */
async function requireRoom(record: ModelRecord, net: Net): Promise<void> {
  const memory = bytesOf(record);
  const free = memory === null ? null : await net.free();
  if (memory === null || free === null || free >= FILES_SHARE * memory) return;
  const mb = (n: number): string => `${Math.round(n / 1e6)} MB`;
  throw new LabError(
    'quota',
    `The files of '${record.model_id}' take about ${mb(FILES_SHARE * memory)}, and the browser gives ${mb(free)} more.`,
    {
      safe: 'Nothing was started or downloaded.',
      next: 'Choose a smaller model, or delete checkpoints and models under Storage and Model.',
    },
  );
}

async function probe(url: string, net: Net, modelId: string, signal: AbortSignal): Promise<void> {
  const { host } = new URL(url, 'https://localhost');
  let response: Response;
  try {
    response = await net.fetch(url, { method: 'HEAD', signal, cache: 'no-store' });
  } catch (cause) {
    throw unreachable(host, modelId, cause);
  }
  if (!response.ok)
    throw new LabError('server', `${host} answers ${response.status} for '${modelId}'.`, {
      safe: 'Nothing was started.',
      next: 'Choose another model, or try again later.',
    });
}

/** The browser's own. */
export const browserNet: Net = {
  fetch: (url, init) => fetch(url, init),
  async cached(name) {
    // a page that may keep nothing (private windows of some browsers) has no caches
    if (typeof caches === 'undefined' || !(await caches.has(name))) return new Set();
    return new Set((await (await caches.open(name)).keys()).map(({ url }) => url));
  },
  async free() {
    if (typeof navigator === 'undefined') return null;
    const { usage, quota } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
    return usage === undefined || quota === undefined ? null : quota - usage;
  },
  online: () => typeof navigator === 'undefined' || navigator.onLine !== false,
};
