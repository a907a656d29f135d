/** Models in WebLLM's cache of this browser, as folders that can be opened: nothing is copied, files are read where they lie. */
import { LabError } from '../core/errors.ts';
import { folderOfUrl, nameOfUrl } from '../files/mlc/address.ts';
import { CHAT_CONFIG } from '../files/mlc/chat-config.ts';
import { readManifest } from '../files/mlc/decode.ts';
import { MANIFEST, OLD_MANIFEST, quantised } from '../files/mlc/manifest.ts';
import { readJson, type FileFolder, type FileSource } from '../files/source.ts';
import type { ArtifactStore, Scope } from '../store/artifacts.ts';
import { cachedBundles, chatId } from './bundles.ts';
import { toErrorInfo } from './error-info.ts';
import type { CachedModel } from './protocol.ts';

/** Addresses of models whose list of tensors is there, each with a slash at its end. */
async function addresses(store: ArtifactStore): Promise<string[]> {
  const lists = (await store.keys('model')).filter((url) =>
    [MANIFEST, OLD_MANIFEST].some((name) => url.endsWith(`/${name}`)),
  );
  return [...new Set(lists.map(folderOfUrl))].sort();
}

/** Everything that WebLLM can load, the lab's own bundles first; each with the reason where it is no base for training. */
export async function cachedModels(store: ArtifactStore): Promise<CachedModel[]> {
  const bundles = new Map((await cachedBundles(store)).map((b) => [b.url, b]));
  const found: CachedModel[] = [];
  for (const url of await addresses(store)) {
    const bundle = bundles.get(url) ?? null;
    const name = bundle?.name ?? nameOfUrl(url);
    const chat = bundle && bundle.stock !== null ? chatId(bundle) : null;
    found.push({ url, name, bundle, chat, ...(await looked(store, url)) });
  }
  const own = (m: CachedModel): number => (m.bundle ? 0 : 1);
  return found.sort((a, b) => own(a) - own(b) || (b.bundle?.createdAt ?? 0) - (a.bundle?.createdAt ?? 0));
}

async function looked(store: ArtifactStore, url: string): Promise<Pick<CachedModel, 'bytes' | 'problem'>> {
  let bytes = 0;
  try {
    const folder = await lists(store, url);
    bytes = await claimedBytes(folder);
    const chat = folder.get(CHAT_CONFIG);
    const { quantization: q } = ((chat && (await readJson(chat))) ?? {}) as { quantization?: unknown };
    if (typeof q === 'string' && !q.startsWith('q0')) throw quantised(`they are ${q}`);
    const shards = await readManifest(folder);
    const there = new Set(await store.keys('model'));
    if (!shards.every((s) => there.has(url + s.file))) throw incomplete();
    return { bytes, problem: null };
  } catch (e) {
    return { bytes, problem: toErrorInfo(e) };
  }
}

/** The small files of a model. */
async function lists(store: ArtifactStore, url: string): Promise<Map<string, FileSource>> {
  const found = new Map<string, FileSource>();
  const wanted: [Scope, string][] = [
    ['model', MANIFEST],
    ['model', OLD_MANIFEST],
    ['config', CHAT_CONFIG],
  ];
  for (const [scope, file] of wanted) {
    const source = await sourceOf(store, scope, url + file, file);
    if (source) found.set(file, source);
  }
  return found;
}

/** As far as the list can be read at all: also a quantised model has a size. */
async function claimedBytes(folder: FileFolder): Promise<number> {
  const source = folder.get(MANIFEST) ?? folder.get(OLD_MANIFEST);
  const { records } = ((source && (await readJson(source))) ?? {}) as { records?: { nbytes?: unknown }[] };
  const sizes = (Array.isArray(records) ? records : []).map((r) => r?.nbytes);
  return sizes.reduce<number>((n, size) => n + (typeof size === 'number' && size >= 0 ? size : 0), 0);
}

/**
 * The files of one model by name.
 * @throws LabError 'files-needed' when there is no such model
 */
export async function cachedFolder(store: ArtifactStore, url: string): Promise<FileFolder> {
  if (!(await addresses(store)).includes(url)) throw incomplete();
  const files = new Map<string, FileSource>();
  const held: Held = { url: '', blob: null };
  for (const scope of ['model', 'config'] as const)
    for (const key of await store.keys(scope)) {
      if (folderOfUrl(key) !== url) continue;
      const file = key.slice(url.length);
      const source = await sourceOf(store, scope, key, file, held);
      if (source) files.set(file, source);
    }
  return files;
}

/** The blob that was read last: slices of one shard come one behind the other, and a model has too many to keep them all. */
interface Held {
  url: string;
  blob: Promise<Blob> | null;
}

async function sourceOf(
  store: ArtifactStore,
  scope: Scope,
  url: string,
  name: string,
  held: Held = { url: '', blob: null },
): Promise<FileSource | null> {
  const first = await store.get({ scope, url });
  if (!first) return null;
  const blobOf = async (): Promise<Blob> => {
    const artifact = await store.get({ scope, url });
    if (!artifact) throw incomplete();
    return artifact.blob();
  };
  return {
    name,
    size: first.bytes ?? (await first.blob()).size,
    read: async (offset, length) => {
      if (held.url !== url || !held.blob) {
        held.url = url;
        held.blob = blobOf();
        held.blob.catch(() => (held.url = '')); // the next read tries again
      }
      const blob = await held.blob;
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
    },
  };
}

const incomplete = (): LabError =>
  new LabError('files-needed', "Not all files of this model are in WebLLM's cache.", {
    safe: 'Nothing was changed.',
    next: 'Let WebLLM load the model once, or open it from its files.',
  });
