/** Bundles of the lab in WebLLM's cache: written whole or not at all, with the hash of their content in their address. */
import type { ModelRecord } from '@mlc-ai/web-llm';
import * as v from 'valibot';
import { LabError } from '../core/errors.ts';
import { CARD, NODE_FILE } from '../files/attacked.ts';
import { bundleUrl, isBundleUrl } from '../files/mlc/address.ts';
import { CHAT_CONFIG } from '../files/mlc/chat-config.ts';
import { MANIFEST, OLD_MANIFEST } from '../files/mlc/manifest.ts';
import type { Sink } from '../files/sink.ts';
import type { ArtifactKey, ArtifactStore } from '../store/artifacts.ts';
import { cancelled } from './error-info.ts';
import type { BundleProgress, CachedBundle } from './protocol.ts';

const ENTRY = 'bundle.json';
const SUM = v.object({ file: v.string(), bytes: v.number(), sha256: v.string() });
const ENTRY_SCHEMA = v.object({
  complete: v.boolean(),
  /** What the page shows and the chat needs. */
  bundle: v.object({
    url: v.string(),
    name: v.string(),
    nodeId: v.string(),
    bytes: v.number(),
    quantisation: v.picklist(['q0f16', 'q0f32']),
    stock: v.nullable(v.string()),
    checked: v.picklist(['library', 'shape', 'nothing']),
    createdAt: v.number(),
  }),
  files: v.array(SUM),
});
type Entry = v.InferOutput<typeof ENTRY_SCHEMA>;
type Sum = v.InferOutput<typeof SUM>;

/** What WebLLM asks of which of its caches. */
const keyOf = (url: string, file: string): ArtifactKey => ({
  scope: file === CHAT_CONFIG ? 'config' : 'model',
  url: url + file,
});
const entryKey = (url: string): ArtifactKey => ({ scope: 'lab', url: url + ENTRY });
const typeOf = (file: string): string =>
  file.endsWith('.json')
    ? 'application/json'
    : file.endsWith('.bin')
      ? 'application/octet-stream'
      : 'text/plain';

/** Everything about a bundle that does not come from its bytes. */
export type BundleFacts = Pick<CachedBundle, 'name' | 'nodeId' | 'quantisation' | 'stock' | 'checked'>;

/**
 * @param facts of the model, and `encode`, which writes all files in the order in which they shall appear; it is called twice, and
 *   must write the same bytes: the address holds their hash, and so must be known before the first of them is stored
 * @param totalBytes that encode is about to write, roughly: for the progress
 * @throws LabError 'quota' before anything is written where the browser tells that it does not fit; whatever goes wrong later, all
 *   that was written is deleted again
 */
export async function writeBundle(
  store: ArtifactStore,
  facts: BundleFacts & {
    encode(open: (file: string) => Promise<Sink>): Promise<unknown>;
    totalBytes: number;
  },
  emit: (p: BundleProgress) => void,
  signal: AbortSignal,
): Promise<CachedBundle> {
  const { encode, totalBytes, ...about } = facts;
  await sweepBundles(store);
  const step = (state: BundleProgress['state']): ((bytes: number) => void) => {
    let doneBytes = 0;
    return (bytes) => {
      if (signal.aborted) throw cancelled();
      doneBytes = Math.min(totalBytes, doneBytes + bytes);
      emit({ state, doneBytes, totalBytes });
    };
  };
  const files = await sumsOf(encode, step('hashing'));
  const hash = await digestOf(files);
  const url = bundleUrl(about.name, hash);
  const known = (await cachedBundles(store)).find((b) => b.url === url);
  if (known) return known;
  const bytes = files.reduce((n, f) => n + f.bytes, 0);
  await requireRoom(store, bytes);
  const bundle: CachedBundle = { url, bytes, createdAt: Date.now(), ...about };
  try {
    // first, so that what a closed tab leaves is known to be half
    await putEntry(store, { complete: false, bundle, files });
    await putAll(store, url, files, encode, step('writing'));
    await verify(store, url, files, step('checking'));
    await putEntry(store, { complete: true, bundle, files });
    return bundle;
  } catch (error) {
    await removeFiles(store, url, files);
    throw error;
  }
}

/** Length and SHA-256 of everything that `encode` writes; the bytes themselves go. */
async function sumsOf(
  encode: (open: (file: string) => Promise<Sink>) => Promise<unknown>,
  onBytes: (bytes: number) => void,
): Promise<Sum[]> {
  const { createSHA256 } = await import('hash-wasm');
  const sums: Sum[] = [];
  await encode(async (file) => {
    const hash = (await createSHA256()).init();
    let bytes = 0;
    return {
      write: (part) => {
        hash.update(part);
        bytes += part.length;
        onBytes(part.length);
        return Promise.resolve();
      },
      close: () => {
        sums.push({ file, bytes, sha256: hash.digest() });
        return Promise.resolve();
      },
    };
  });
  return sums;
}

/** What only the lab reads: it may change while the model stays the same one, which is not to be stored twice. */
const BESIDE: readonly string[] = [NODE_FILE, CARD];

async function digestOf(files: readonly Sum[]): Promise<string> {
  const { sha256 } = await import('hash-wasm');
  const read = files.filter((f) => !BESIDE.includes(f.file));
  return sha256(read.map((f) => `${f.sha256}  ${f.file}\n`).join(''));
}

async function putAll(
  store: ArtifactStore,
  url: string,
  files: readonly Sum[],
  encode: (open: (file: string) => Promise<Sink>) => Promise<unknown>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  await encode(async (file) => {
    const sum = files.find((f) => f.file === file);
    if (!sum) throw new Error(`${file} was not there when the bundle was hashed`);
    const put = await store.put(keyOf(url, file), typeOf(file), sum.bytes);
    return {
      write: async (part) => {
        onBytes(part.length);
        await put.write(part);
      },
      close: () => put.close(),
    };
  });
}

/** Reads back what the cache holds. @throws LabError 'wrong-hash' when it is not what was written */
async function verify(
  store: ArtifactStore,
  url: string,
  files: readonly Sum[],
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { createSHA256 } = await import('hash-wasm');
  for (const { file, bytes, sha256 } of files) {
    const hash = (await createSHA256()).init();
    const blob = await (await store.get(keyOf(url, file)))?.blob();
    const reader = blob?.stream().getReader();
    for (;;) {
      const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
      if (done || !value) break;
      hash.update(value);
      onBytes(value.length);
    }
    if (blob?.size !== bytes || hash.digest() !== sha256)
      throw new LabError(
        'wrong-hash',
        `WebLLM's cache gave back something else than ${file} that was written.`,
        {
          safe: 'Your checkpoints are untouched; what was written into the cache was deleted again.',
          next: 'Free disk space and try again, or save the bundle as files.',
        },
      );
  }
}

async function putEntry(store: ArtifactStore, entry: Entry): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify(entry));
  const put = await store.put(entryKey(entry.bundle.url), 'application/json', bytes.length);
  await put.write(bytes);
  await put.close();
}

/** All keys of a bundle, the entry last; one that cannot be deleted does not keep the others. */
async function removeFiles(
  store: ArtifactStore,
  url: string,
  files: readonly Pick<Sum, 'file'>[],
): Promise<void> {
  let all = true;
  // the lists first: without them WebLLM sees no model
  const order = [MANIFEST, OLD_MANIFEST, ...files.map((f) => f.file)];
  for (const file of new Set(order))
    await store.delete(keyOf(url, file)).catch(() => {
      all = false;
    });
  // while something is left its list stays, and the next sweep tries again
  if (all) await store.delete(entryKey(url)).catch(() => undefined);
}

async function entries(store: ArtifactStore): Promise<Entry[]> {
  const found: Entry[] = [];
  for (const url of await store.keys('lab')) {
    const blob = await (await store.get({ scope: 'lab', url }))?.blob();
    if (!blob) continue;
    try {
      const entry = v.parse(ENTRY_SCHEMA, JSON.parse(await blob.text()));
      if (entry.bundle.url + ENTRY === url && isBundleUrl(entry.bundle.url)) found.push(entry);
    } catch {
      // not of this version: it is left alone
    }
  }
  return found;
}

/** Bundles of the lab that WebLLM can load now, newest first. */
export async function cachedBundles(store: ArtifactStore): Promise<CachedBundle[]> {
  const there = new Set([...(await store.keys('model')), ...(await store.keys('config'))]);
  return (await entries(store))
    .filter((e) => e.complete && e.files.every((f) => there.has(keyOf(e.bundle.url, f.file).url)))
    .map((e) => e.bundle)
    .sort((a, b) => b.createdAt - a.createdAt);
}

/** Remembers that a bundle was held against the library that runs it. */
export async function markChecked(store: ArtifactStore, url: string): Promise<void> {
  const entry = (await entries(store)).find((e) => e.bundle.url === url);
  if (entry) await putEntry(store, { ...entry, bundle: { ...entry.bundle, checked: 'library' } });
}

/**
 * What WebLLM is told of the lab's bundles: the record of the stock model whose library runs it, with other weights.
 * @param stock WebLLM's own list
 */
export function bundleRecords(
  bundles: readonly CachedBundle[],
  stock: readonly ModelRecord[],
): ModelRecord[] {
  return bundles.flatMap((bundle) => {
    const { stock: like } = bundle;
    const record = like !== null && stock.find((r) => r.model_id === like);
    if (!record) return [];
    // sums of the stock weights are not those of these
    const { integrity: _sums, model_manifest: _manifest, ...kept } = record;
    return [{ ...kept, model: bundle.url, model_id: chatId(bundle) }];
  });
}

/** A bundle's id in WebLLM's list. */
export const chatId = ({ name, quantisation, url }: CachedBundle): string =>
  `${name} (${quantisation}, ${hashOf(url)})`;

/** Of its content, as the address has it: two checkpoints of one name are two models. */
const hashOf = (url: string): string => /-([0-9a-f]{8})[0-9a-f]{8}\/resolve\/main\/$/.exec(url)?.[1] ?? url;

/** Deletes a bundle of the lab. False where there is none. */
export async function removeBundle(store: ArtifactStore, url: string): Promise<boolean> {
  const entry = (await entries(store)).find((e) => e.bundle.url === url);
  if (!entry) return false;
  await putEntry(store, { ...entry, complete: false });
  await removeFiles(store, url, entry.files);
  return true;
}

/** Whether there is anything to sweep. */
export const isUnfinished = async (store: ArtifactStore): Promise<boolean> =>
  (await entries(store)).some((e) => !e.complete);

/** What closed tabs left half-written. The caller holds the lock under which bundles are written. */
export async function sweepBundles(store: ArtifactStore): Promise<void> {
  for (const { complete, bundle, files } of await entries(store))
    if (!complete) await removeFiles(store, bundle.url, files);
}

async function requireRoom(store: ArtifactStore, needs: number): Promise<void> {
  const { usedBytes, quotaBytes } = await store.estimate();
  const free = Math.max(0, quotaBytes - usedBytes);
  if (quotaBytes === 0 || needs <= free) return;
  const mb = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
  throw new LabError(
    'quota',
    `The bundle needs ${mb(needs)}, and the browser gives this page ${mb(free)} more.`,
    {
      safe: 'Nothing was written.',
      next: 'Delete bundles, checkpoints or downloads that you no longer need, take 16 bits a number, or save the bundle as files. A private window gives little room.',
    },
  );
}
