/** A node as an MLC bundle: as files, as a folder, or in WebLLM's cache. */
import { parseLlamaConfig, tensorShapes, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { webllmModel } from '../core/known-models.ts';
import { mlcCompanions } from '../data/mlc-companions.ts';
import { tokenizerConfigJson, tokenizerJson } from '../data/tokenizer-files.ts';
import { NODE_FILE } from '../files/attacked.ts';
import { DTYPE_BYTES } from '../files/dtypes.ts';
import { quantisationOf } from '../files/mlc/chat-config.ts';
import { checkAgainstLib, readLibMetadata } from '../files/mlc/library.ts';
import { mlcShapes } from '../files/mlc/names.ts';
import { elements } from '../files/mlc/manifest.ts';
import type { ModelDescription } from '../files/model-files.ts';
import type { Sink } from '../files/sink.ts';
import { writeMlc } from '../model/mlc-files.ts';
import type { ArtifactStore } from '../store/artifacts.ts';
import { isUnfinished, removeBundle, sweepBundles, writeBundle } from './bundles.ts';
import type { Context } from './context.ts';
import { cancelled } from './error-info.ts';
import { confirmed, json, nodeFile, type OutFile } from './export.ts';
import { folderName, intoFolder } from './export-folder.ts';
import type { Models } from './models.ts';
import { textOf } from './open-model.ts';
import { lockBundles } from './run-lock.ts';
import { cachedModels } from './webllm-models.ts';
import type {
  BundleProgress,
  BundleResult,
  BundleTarget,
  BundleType,
  CachedBundle,
  CachedModel,
  LabNode,
  StockLibraries,
} from './protocol.ts';

/** Larger bundles are not held in memory: they go to a folder, or to the cache. */
const MOST_IN_MEMORY = 128 * 2 ** 20;

/** @throws LabError as exportNode, where WebLLM's library does not take the weights, and where the target has no room */
export async function exportMlc(
  ctx: Context,
  models: Models,
  {
    nodeId,
    dtype,
    target,
    confirm,
  }: { nodeId: string; dtype: BundleType; target: BundleTarget; confirm?: string },
  emit: (p: BundleProgress) => void,
  signal: AbortSignal,
): Promise<BundleResult> {
  const node = await ctx.node(nodeId);
  const card = await confirmed(ctx, node, confirm);
  const stored = await models.read(node);
  const { config } = stored;
  const quantisation = quantisationOf(dtype);
  const stock = webllmModel(config, quantisation);
  const checked = stock === null ? 'nothing' : await held(ctx.artifacts, config, stock, dtype);
  const description = await descriptionOf(ctx, models, node);
  const { files, exact } = mlcCompanions(config, description, { dtype, ...textOf(description) });
  const small: OutFile[] = [
    ...card,
    ...files.map(({ name, text }) => ({ name, bytes: new TextEncoder().encode(text).buffer })),
    json(NODE_FILE, nodeFile(node, card.length > 0)),
  ];
  const source = await models.values(stored);
  const encode = async (open: (file: string) => Promise<Sink>): Promise<string[]> => {
    for (const { name, bytes } of small) {
      const sink = await open(name);
      await sink.write(new Uint8Array(bytes));
      await sink.close();
    }
    const shards = await writeMlc(config, source, stored.adapters, { dtype, open });
    return [...small.map((f) => f.name), ...shards];
  };
  const totalBytes = bundleBytes(config, dtype);
  const about = { stock, checked, exact };
  if (target.to === 'cache') {
    const unlock = await lockBundles();
    try {
      const facts = { name: node.name, nodeId, quantisation, stock, checked, encode, totalBytes };
      return { ...about, bundle: await writeBundle(ctx.artifacts, facts, emit, signal) };
    } finally {
      unlock();
      ctx.notify({ type: 'bundles' });
    }
  }
  const metered = meter(totalBytes, emit, signal);
  if (target.to === 'folder') {
    const name = folderName(`${node.name}-mlc`, node.id);
    await intoFolder(target.folder, name, (open) => encode(async (file) => metered(await open(file))));
    return { ...about, folder: name };
  }
  if (totalBytes > MOST_IN_MEMORY) throw tooLarge(node.name);
  const out: OutFile[] = [];
  await encode((file) => Promise.resolve(metered(inMemory(file, out))));
  return { ...about, files: out };
}

export async function stockLibraries(ctx: Context, nodeId: string): Promise<StockLibraries> {
  const config = parseLlamaConfig((await ctx.node(nodeId)).modelConfig);
  return { q0f16: webllmModel(config, 'q0f16'), q0f32: webllmModel(config, 'q0f32') };
}

/** What WebLLM can load, after what closed tabs left half-written was swept. */
export async function listModels(ctx: Context): Promise<CachedModel[]> {
  if (await isUnfinished(ctx.artifacts)) {
    const unlock = await lockBundles().catch(() => null); // it is being written, here or in another tab
    if (unlock) await sweepBundles(ctx.artifacts).finally(unlock);
  }
  return cachedModels(ctx.artifacts);
}

/**
 * Answers with what is left in WebLLM's cache.
 * @throws LabError 'bad-input' while a model of the family tree is read from it, 'not-found' where it is no bundle of the lab
 */
export async function deleteBundle(ctx: Context, models: Models, url: string): Promise<CachedModel[]> {
  const unlock = await lockBundles();
  try {
    if ((await models.opened.webllmInUse()).has(url))
      throw new LabError('bad-input', 'A model in the family tree is read from this bundle.', {
        safe: 'Nothing was deleted.',
        next: 'Delete that model first.',
      });
    if (!(await removeBundle(ctx.artifacts, url)))
      throw new LabError('not-found', "This bundle is not in WebLLM's cache any more.", {
        safe: 'Nothing was changed.',
      });
  } finally {
    unlock();
  }
  ctx.notify({ type: 'bundles' });
  return cachedModels(ctx.artifacts);
}

const bundleBytes = (config: LlamaConfig, dtype: BundleType): number =>
  [...tensorShapes(config).values()].reduce((n, shape) => n + elements(shape) * DTYPE_BYTES[dtype], 0);

/**
 * Against what the bundle was held before anything is written. The library is read where WebLLM has fetched it already; the lab fetches
 * nothing from elsewhere by itself, so without it the configuration that it was compiled for counts.
 * @throws LabError 'bad-input' where it does not take the weights
 */
async function held(
  store: ArtifactStore,
  config: LlamaConfig,
  stock: string,
  dtype: BundleType,
): Promise<CachedBundle['checked']> {
  const stem = `/${stock.replace(/-MLC$/, '')}_`;
  const url = (await store.keys('wasm')).find((one) => one.includes(stem));
  const library = url === undefined ? null : await store.get({ scope: 'wasm', url });
  if (url === undefined || !library) return 'shape';
  const name = url.slice(url.lastIndexOf('/') + 1);
  const bytes = new Uint8Array(await (await library.blob()).arrayBuffer());
  checkAgainstLib(name, readLibMetadata(name, bytes), mlcShapes(config), dtype);
  return 'library';
}

async function descriptionOf(ctx: Context, models: Models, node: LabNode): Promise<ModelDescription> {
  if (node.root === null) return models.opened.description(await ctx.rootId(node));
  return {
    config: node.modelConfig,
    generationConfig: undefined,
    tokenizer: tokenizerJson(),
    tokenizerConfig: tokenizerConfigJson(),
    template: undefined,
    vocabulary: undefined,
  };
}

function meter(
  totalBytes: number,
  emit: (p: BundleProgress) => void,
  signal: AbortSignal,
): (sink: Sink) => Sink {
  let doneBytes = 0;
  return (sink) => ({
    write: async (bytes) => {
      if (signal.aborted) throw cancelled();
      await sink.write(bytes);
      doneBytes = Math.min(totalBytes, doneBytes + bytes.length);
      emit({ state: 'writing', doneBytes, totalBytes });
    },
    close: () => sink.close(),
  });
}

function inMemory(name: string, out: OutFile[]): Sink {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  return {
    write: (bytes) => {
      parts.push(bytes);
      return Promise.resolve();
    },
    close: async () => {
      out.push({ name, bytes: await new Blob(parts).arrayBuffer() });
    },
  };
}

const tooLarge = (name: string): LabError =>
  new LabError('too-large', `'${name}' is too large to leave as one download.`, {
    safe: 'Nothing was written.',
    next: "Write it into a folder or into WebLLM's cache; in a browser that writes no folders, convert it with 'npm run models -- convert'.",
  });
