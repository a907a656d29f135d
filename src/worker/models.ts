/** Nodes and their weights: fetching the embedded models, a few models kept on the GPU, renaming, deleting. */
import { parseLlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import { tokenizerJson } from '../data/tokenizer-files.ts';
import { Generator } from '../model/generate.ts';
import { loadTensors } from '../model/hf.ts';
import { Model } from '../model/model.ts';
import type { WeightSource } from '../model/weights.ts';
import { sha256 } from '../store/digest.ts';
import { Bases, type Base } from './bases.ts';
import { ENGINE_VERSION, type Context } from './context.ts';
import { fetchFile } from './fetch-file.ts';
import { generatorCap } from './memory.ts';
import { OpenedModels } from './opened.ts';
import type { EmbeddedName, LabNode, MemoryInfo } from './protocol.ts';
import { buildModel, flatten, merged, readStored, unflatten, type StoredModel } from './stored-model.ts';

/** Models that stay on the GPU beside the one in training. */
const RESIDENT = 4;

/** What the lab needs of training.json. */
interface EmbeddedRecord {
  worldSeed: number;
  weightsSha256: string;
}

export interface ResidentModel {
  nodeId: string;
  generator: Generator;
  /** Frees the model that the generator asks. */
  destroy(): void;
}

export class Models {
  readonly opened: OpenedModels;
  #ctx: Context;
  #bases = new Bases(() => this.#shrink(0));
  /** Most recently used last. */
  #resident = new Map<string, ResidentModel>();
  #pinned = new Map<string, number>();
  #loading: Promise<unknown> = Promise.resolve();

  constructor(ctx: Context) {
    this.#ctx = ctx;
    this.opened = new OpenedModels(ctx, this.#bases);
    ctx.onGpuGone.add(() => {
      this.#resident.clear();
      this.#bases.clear();
    });
  }

  get residentNames(): string[] {
    return [...this.#resident.keys()];
  }

  /** What a node's model is made from. */
  read(node: LabNode): Promise<StoredModel> {
    return readStored(node, {
      node: (id) => this.#ctx.node(id),
      weights: (id) => this.#ctx.store.weights(id),
    });
  }

  /** Whole weights of a node and of the adapters on top of it, folded in. For models that memory holds several times. */
  async whole(stored: StoredModel): Promise<Tensors> {
    const { bottom, config } = stored;
    if (bottom.opened) return merged(stored, await this.opened.tensors(bottom));
    return merged(stored, unflatten(config, await this.#ctx.store.weights(bottom.id)));
  }

  /** The whole weights below a node's adapters, by slices. @throws LabError 'files-needed' when they are not at hand */
  async values({ bottom, config }: StoredModel): Promise<Pick<WeightSource, 'values'>> {
    if (bottom.opened && bottom.opened.kept !== 'copy') return this.opened.weights(bottom);
    const tensors = unflatten(config, await this.#ctx.store.weights(bottom.id));
    return {
      values: async function* (name) {
        // a copy, since whoever takes a slice may change it
        yield await Promise.resolve({ at: 0, values: tensors.get(name)!.data.slice() });
      },
    };
  }

  /**
   * Makes GPU objects on the whole weights that a node stands on, all of them or none.
   * @param own weights of their own, with the adapters folded in: for training that changes them. Otherwise the weights are
   *   shared, and stay on the GPU for as long as anybody holds them
   */
  async on<T>(stored: StoredModel, own: boolean, make: (base: Base) => T): Promise<T> {
    const base = own ? await this.#copy(stored) : await this.#base(stored);
    try {
      return await this.#ctx.gpu.allocate(() => make(base));
    } catch (error) {
      base.release();
      throw error;
    }
  }

  #base({ bottom, config }: StoredModel): Promise<Base> {
    if (bottom.opened) return this.#bases.acquire(bottom.id, true, () => this.opened.load(bottom));
    return this.#bases.acquire(bottom.id, false, async () => {
      const tensors = unflatten(config, await this.#ctx.store.weights(bottom.id));
      return this.#ctx.gpu.allocate(() => Model.create(this.#ctx.gpu, config, tensors));
    });
  }

  async #copy(stored: StoredModel): Promise<Base> {
    const tensors = await this.whole(stored);
    const model = await this.#ctx.gpu.allocate(() => Model.create(this.#ctx.gpu, stored.config, tensors));
    return { model, release: () => model.destroy() };
  }

  /** Whether a node's weights can be read without asking anybody for files. */
  async atHand(nodeId: string): Promise<boolean> {
    const root = await this.#ctx.node(await this.#ctx.rootId(await this.#ctx.node(nodeId)));
    return !root.opened || (await this.opened.readable()).includes(root.id);
  }

  /** Runs `work` with a node's model on the GPU; it is not evicted meanwhile. */
  async use<T>(node: LabNode, work: (resident: ResidentModel) => Promise<T>): Promise<T> {
    this.#pinned.set(node.id, (this.#pinned.get(node.id) ?? 0) + 1);
    try {
      return await work(await this.#get(node));
    } finally {
      const pins = this.#pinned.get(node.id)! - 1;
      if (pins > 0) this.#pinned.set(node.id, pins);
      else this.#pinned.delete(node.id);
    }
  }

  /** One load at a time: two callers that want the same node share it. */
  #get(node: LabNode): Promise<ResidentModel> {
    const loading = this.#loading.then(
      () => this.#load(node),
      () => this.#load(node),
    );
    this.#loading = loading;
    return loading;
  }

  async #load(node: LabNode): Promise<ResidentModel> {
    const known = this.#resident.get(node.id);
    if (known) {
      this.#resident.delete(node.id);
      this.#resident.set(node.id, known);
      return known;
    }
    this.#shrink(RESIDENT - 1);
    const stored = await this.read(node);
    const resident = await this.on(stored, false, (base) => {
      const { model, destroy } = buildModel(this.#ctx.gpu, stored, base);
      const generator = new Generator(model, generatorCap(stored.config));
      return { nodeId: node.id, generator, destroy };
    });
    this.#resident.set(node.id, resident);
    return resident;
  }

  /** Evicts the least recently used models down to `keep`, as far as nobody is using them. */
  #shrink(keep: number): void {
    for (const [id, resident] of this.#resident) {
      if (this.#resident.size <= keep) return;
      if (!this.#pinned.has(id)) this.#evict(id, resident);
    }
  }

  #evict(id: string, resident: ResidentModel): void {
    this.#resident.delete(id);
    resident.generator.destroy();
    resident.destroy();
  }

  /** Lets go of what nobody is using, but not of the whole weights of one root. */
  makeRoom(rootId: string): void {
    this.#shrink(0);
    this.#bases.freeIdle(rootId);
  }

  /** Frees every resident model that nobody is using. */
  release(): void {
    this.#shrink(0);
    this.#bases.freeIdle();
  }

  memory(): Promise<MemoryInfo> {
    return this.#ctx.memory(this.residentNames);
  }

  // ------------------------------------------------------------------------------------------------------------ tree

  /** Fetches an embedded model once; later calls, and those of other tabs, answer with the stored node. */
  async loadEmbedded(
    name: EmbeddedName,
    onProgress: (p: { loadedBytes: number; totalBytes: number }) => void,
    signal: AbortSignal,
  ): Promise<LabNode> {
    const stored = await this.#embedded(name);
    let record: EmbeddedRecord;
    try {
      record = await this.#record(name, signal);
    } catch (e) {
      // without a connection the stored weights are as good as ever
      if (stored.length > 0 && !signal.aborted) return stored.at(-1)!;
      throw e;
    }
    const known = stored.find((node) => node.fileDigest === record.weightsSha256);
    if (known) return known;
    try {
      return await this.#fetchEmbedded(name, record, stored.length > 0, onProgress, signal);
    } catch (e) {
      // somebody else was quicker: the store takes each id once
      const theirs = (await this.#embedded(name)).find((n) => n.fileDigest === record.weightsSha256);
      if (theirs) return theirs;
      throw e;
    }
  }

  /** The stored roots of an embedded model, oldest first: one for each set of weights that shipped under its name. */
  async #embedded(name: EmbeddedName): Promise<LabNode[]> {
    return (await this.#ctx.store.nodes()).filter((node) => node.kind === 'base' && node.root === name);
  }

  async #json(name: EmbeddedName, file: string, signal: AbortSignal): Promise<unknown> {
    const bytes = await fetchFile(new URL(`${name}/${file}`, this.#ctx.modelsUrl).href, signal);
    try {
      return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
    } catch (cause) {
      throw corrupt(name, `${file} is not JSON`, cause);
    }
  }

  async #record(name: EmbeddedName, signal: AbortSignal): Promise<EmbeddedRecord> {
    const record = (await this.#json(name, 'training.json', signal)) as Partial<EmbeddedRecord> | null;
    const { worldSeed, weightsSha256 } = record ?? {};
    if (typeof worldSeed !== 'number')
      throw corrupt(name, 'training.json does not name the seed of its world');
    if (typeof weightsSha256 !== 'string')
      throw corrupt(name, 'training.json does not hold the checksum of its weights');
    return { worldSeed, weightsSha256 };
  }

  async #fetchEmbedded(
    name: EmbeddedName,
    { worldSeed, weightsSha256 }: EmbeddedRecord,
    again: boolean,
    onProgress: (p: { loadedBytes: number; totalBytes: number }) => void,
    signal: AbortSignal,
  ): Promise<LabNode> {
    const [configJson, tokenizer, weights] = await Promise.all([
      this.#json(name, 'config.json', signal),
      this.#json(name, 'tokenizer.json', signal),
      fetchFile(
        new URL(`${name}/model.safetensors`, this.#ctx.modelsUrl).href,
        signal,
        (loadedBytes, totalBytes) => onProgress({ loadedBytes, totalBytes }),
      ),
    ]);
    if (JSON.stringify(tokenizer) !== JSON.stringify(tokenizerJson())) {
      throw corrupt(name, 'tokenizer.json is not the one of this version of the tiny world');
    }
    if ((await sha256(weights)) !== weightsSha256) {
      throw corrupt(name, 'model.safetensors does not match the checksum in training.json');
    }
    const config = parseLlamaConfig(configJson);
    const tensors = loadTensors(config, { config: configJson, weights: [weights] });
    const version = weightsSha256.slice(0, 8);
    const node = await this.#ctx.store.addNode(
      {
        id: again ? `${name}-${version}` : name,
        parentId: null,
        name: again ? `${name} (${version})` : name,
        kind: 'base',
        recipe: null,
        settings: {},
        seeds: { world: worldSeed, defence: 0, attack: 0 },
        steps: 0,
        runId: null,
        dataDigest: '',
        fileDigest: weightsSha256,
        adapter: null,
        engineVersion: ENGINE_VERSION,
        kernelTable: null,
        modelConfig: configJson,
        root: name,
        createdAt: Date.now(),
      },
      flatten(config, tensors),
    );
    this.#ctx.notify({ type: 'node', node });
    return node;
  }

  async rename(nodeId: string, name: string): Promise<LabNode> {
    const wanted = name.trim().slice(0, 80);
    if (wanted === '')
      throw new LabError('bad-input', 'A checkpoint needs a name.', { next: 'Type at least one letter.' });
    const node = await this.#ctx.store.updateNode(nodeId, (n) => ({ ...n, name: wanted }));
    if (!node) return this.#ctx.node(nodeId);
    this.#ctx.notify({ type: 'node', node });
    return node;
  }

  /** Ids of a node and of all below it. */
  async below(nodeId: string): Promise<string[]> {
    const nodes = await this.#ctx.store.nodes();
    const found = [nodeId];
    for (const id of found) found.push(...nodes.filter((n) => n.parentId === id).map((n) => n.id));
    return found;
  }

  /** Deletes a node and all below it. */
  async remove(nodeId: string): Promise<string[]> {
    const downloads = await this.opened.downloadsInUse();
    const gone = await this.#ctx.store.deleteNode(nodeId);
    this.forget(gone);
    await this.opened.dropDownloads(gone.flatMap((id) => downloads.get(id) ?? []));
    this.#ctx.notify({ type: 'nodes-deleted', nodeIds: gone });
    return gone;
  }

  /** Takes deleted nodes off the GPU. */
  forget(nodeIds: readonly string[]): void {
    for (const id of nodeIds) {
      const resident = this.#resident.get(id);
      if (resident && !this.#pinned.has(id)) this.#evict(id, resident);
      this.#bases.forget(id);
      this.opened.forget(id);
    }
  }
}

function corrupt(name: string, why: string, cause?: unknown): LabError {
  return new LabError('corrupt-model', `The model '${name}' that came with the lab cannot be used: ${why}.`, {
    safe: 'Nothing was stored; other checkpoints are untouched.',
    next: 'Reload the page without the cache; if you host the lab yourself, make the models again with "npm run pretrain".',
    cause,
  });
}
