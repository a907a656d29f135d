/** Models that a user opened: their files, what the store keeps of them, and their weights on the way to the GPU. */
import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Tensors } from '../core/types.ts';
import type { Checkpoint } from '../files/checkpoint.ts';
import type { ModelDescription } from '../files/model-files.ts';
import type { FileFolder } from '../files/source.ts';
import { originOf } from '../hub/plan.ts';
import { openWeights } from '../model/hf.ts';
import { Model } from '../model/model.ts';
import type { WeightSource } from '../model/weights.ts';
import type { Base, Bases } from './bases.ts';
import { ENGINE_VERSION, type Context } from './context.ts';
import { cancelled } from './error-info.ts';
import { PRIORITY } from './gate.ts';
import { fingerprint } from './fingerprint.ts';
import { planTalk, requireRoom } from './memory.ts';
import { folderOf, mayRead, metered } from './model-source.ts';
import { lockDownload } from './run-lock.ts';
import { openModel, textOf, type ModelText, type OpenModel } from './open-model.ts';
import type { HubOrigin, LabNode, ModelSource, OpenedModel } from './protocol.ts';
import {
  parametersOf,
  isSmall,
  precisionOf,
  weightBytes,
  sameTexts,
  inMemory,
  folderIn,
  keptFrom,
  nameOf,
  filesNeeded,
  otherFiles,
} from './opened-files.ts';
import { flatten, unflatten } from './stored-model.ts';
import { cachedFolder } from './webllm-models.ts';

type Progress = (p: { loadedBytes: number; totalBytes: number }) => void;

export class OpenedModels {
  #ctx: Context;
  #bases: Bases;
  /** Weights that can be read now, by root node. */
  #checkpoints = new Map<string, Checkpoint>();
  #texts = new Map<string, Promise<ModelText>>();

  constructor(ctx: Context, bases: Bases) {
    this.#ctx = ctx;
    this.#bases = bases;
  }

  /**
   * Checks the files, loads the model onto the GPU and stores its root node, in this order: what cannot be loaded leaves no
   * trace. A model that is known already answers with its node, whose files these are from then on.
   * @param nodeId an opened node whose files these must be
   */
  async open(
    params: { source: ModelSource; nodeId?: string },
    onProgress: Progress,
    signal: AbortSignal,
  ): Promise<LabNode> {
    const { source } = params;
    if (source.kind !== 'download') return this.#open(params, onProgress, signal);
    // Nobody may delete it meanwhile, and two tabs that open it make one root.
    const unlock = await lockDownload(source.id);
    try {
      return await this.#open(params, onProgress, signal);
    } finally {
      unlock();
    }
  }

  async #open(
    { source, nodeId }: { source: ModelSource; nodeId?: string },
    onProgress: Progress,
    signal: AbortSignal,
  ): Promise<LabNode> {
    let onRead: (bytes: number) => void = () => {};
    const files = await this.#filesIn(source);
    const folder = metered(files, (bytes) => onRead(bytes));
    const found = await openModel(folder);
    const weights = await openWeights(found.config, found.checkpoint);
    const print = await fingerprint(found.description.config, found.checkpoint);
    if (signal.aborted) throw cancelled();
    const known = (await this.#ctx.store.nodes()).filter((n) => n.opened);
    const wanted = known.find((n) => n.id === nodeId);
    const matching = await Promise.all(known.map((n) => this.#isOf(n, print, found.description)));
    const same = wanted ?? known.find((_, i) => matching[i]);
    if (wanted && !matching[known.indexOf(wanted)]) throw otherFiles(wanted);
    await this.#requireRoom(nameOf(source, found.description), found.config, found.checkpoint);
    const id = same?.id ?? crypto.randomUUID();
    const totalBytes = weightBytes(found.checkpoint);
    let loadedBytes = 0;
    onRead = (bytes) => {
      if (signal.aborted) throw cancelled();
      onProgress({ loadedBytes, totalBytes });
      loadedBytes = Math.min(totalBytes, loadedBytes + bytes);
    };
    const load = (): Promise<Model> =>
      Model.load(this.#ctx.gpu, found.config, weights, precisionOf(found.checkpoint));
    const hold = (): Promise<Base> => this.#bases.acquire(id, true, load);
    const base = await this.#ctx.gate.run(PRIORITY.chat, hold, signal);
    onRead = () => {};
    try {
      return await (same ? this.#again(same, source, found) : this.#store(id, source, found, weights, print));
    } catch (error) {
      this.#bases.forget(id);
      throw error;
    } finally {
      base.release();
    }
  }

  #filesIn(source: ModelSource): Promise<FileFolder> {
    if (source.kind === 'download') return this.#downloaded(source.id);
    if (source.kind === 'webllm') return cachedFolder(this.#ctx.artifacts, source.url);
    return folderOf(source);
  }

  /** Before anything of it is loaded. */
  async #requireRoom(name: string, config: LlamaConfig, checkpoint: Checkpoint): Promise<void> {
    requireRoom(`'${name}'`, await planTalk(this.#ctx, config, precisionOf(checkpoint)));
  }

  async #store(
    id: string,
    source: ModelSource,
    found: OpenModel,
    weights: WeightSource,
    print: string,
  ): Promise<LabNode> {
    const { config, checkpoint, description } = found;
    const parameters = parametersOf(checkpoint);
    const copy = isSmall(checkpoint);
    const folder = folderIn(source);
    const hub = await this.#origin(source);
    const name = hub ? hub.repo.split('/')[1]! : nameOf(source, description);
    const opened: OpenedModel = {
      kept: copy ? 'copy' : keptFrom(source),
      ...(hub && { hub }),
      ...(source.kind === 'webllm' && !copy && { webllm: source.url }),
      from: hub?.repo ?? name,
      weightFiles: checkpoint.files.map(({ name, size }) => ({ name, bytes: size })),
      types: [...new Set([...checkpoint.tensors.values()].map((t) => t.dtype))],
      precision: precisionOf(checkpoint),
      parameters,
      tokenizer: found.tokenizer.kind,
      template: found.template.source,
      fingerprint: print,
    };
    const node = await this.#ctx.store.addNode(
      {
        id,
        parentId: null,
        name,
        kind: 'base',
        recipe: null,
        settings: {},
        seeds: { world: 0, defence: 0, attack: 0 },
        steps: 0,
        runId: null,
        dataDigest: '',
        adapter: null,
        engineVersion: ENGINE_VERSION,
        kernelTable: null,
        modelConfig: description.config,
        root: null,
        opened,
        ...(found.attacked && { attacked: true }),
        createdAt: Date.now(),
      },
      copy ? flatten(config, await inMemory(config, weights)) : new Float32Array(0),
      { description, folder },
    );
    this.#readable(id, found);
    this.#ctx.notify({ type: 'node', node });
    if (hub && copy) await this.dropDownloads([hub.id]);
    return node;
  }

  async #again(known: LabNode, source: ModelSource, found: OpenModel): Promise<LabNode> {
    this.#readable(known.id, found);
    const marked = found.attacked && !known.attacked;
    const node = marked ? await this.#change(known, (n) => ({ ...n, attacked: true })) : known;
    const { kept, hub: before } = node.opened!;
    const hub = await this.#origin(source);
    if (kept === 'copy') {
      if (hub) await this.dropDownloads([hub.id]);
      return node;
    }
    // the files of a download stay where they are, whatever else its user opens
    if (kept === 'download' && !hub && (await this.#isWhole(node))) return node;
    await this.#ctx.store.setModelFolder(node.id, folderIn(source));
    const now = await this.#change(node, (n) => ({
      ...n,
      opened: {
        ...n.opened!,
        kept: keptFrom(source),
        ...(hub && { hub }),
        ...(source.kind === 'webllm' && { webllm: source.url }),
      },
    }));
    // another commit with the same weights
    if (kept === 'download' && before && before.id !== hub?.id) await this.dropDownloads([before.id]);
    return now;
  }

  async #change(node: LabNode, change: (node: LabNode) => LabNode): Promise<LabNode> {
    const now = await this.#ctx.store.updateNode(node.id, change);
    if (now) this.#ctx.notify({ type: 'node', node: now });
    return now ?? node;
  }

  /** Whether these are a node's files: its weights, and the tokenizer and template that it answers with. */
  async #isOf(node: LabNode, print: string, description: ModelDescription): Promise<boolean> {
    if (node.opened!.fingerprint !== print) return false;
    return sameTexts(await this.description(node.id), description);
  }

  #readable(nodeId: string, found: OpenModel): void {
    const { tokenizer, template, checkpoint } = found;
    this.#checkpoints.set(nodeId, checkpoint);
    this.#texts.set(nodeId, Promise.resolve({ tokenizer, template }));
    this.#ctx.notify({ type: 'readable', nodeId });
  }

  /** Ids of opened roots whose weights can be read now, without asking anybody. */
  async readable(): Promise<string[]> {
    const roots = (await this.#ctx.store.nodes()).filter((n) => n.opened);
    const able = await Promise.all(
      roots.map(async (node) => {
        const { id, opened } = node;
        if (opened!.kept === 'copy' || this.#checkpoints.has(id)) return true;
        if (opened!.kept === 'download') return this.#isWhole(node);
        if (opened!.kept === 'webllm') return (await this.#cached(node)) !== null;
        return opened!.kept === 'folder' && (await mayRead(await this.folder(id)));
      }),
    );
    return roots.filter((_, i) => able[i]).map((n) => n.id);
  }

  /** The folder that a node was opened from. */
  async folder(nodeId: string): Promise<FileSystemDirectoryHandle | null> {
    return (await this.#ctx.store.model(nodeId))?.folder ?? null;
  }

  /** Tokenizer and chat template of an opened model, by its root node. */
  text(rootId: string): Promise<ModelText> {
    let text = this.#texts.get(rootId);
    if (!text) {
      text = this.description(rootId).then(textOf);
      this.#texts.set(rootId, text);
      text.catch(() => this.#texts.delete(rootId));
    }
    return text;
  }

  /** The small files of an opened model. */
  async description(rootId: string): Promise<ModelDescription> {
    const model = await this.#ctx.store.model(rootId);
    if (!model) throw new LabError('not-found', 'This model does not exist any more.');
    return model.description as ModelDescription;
  }

  /** An opened model on the GPU. @throws LabError 'files-needed' when they are not at hand */
  async load(root: LabNode): Promise<Model> {
    const config = parseLlamaConfig(root.modelConfig);
    if (root.opened!.kept !== 'copy') {
      const checkpoint = await this.checkpoint(root);
      const weights = await openWeights(config, checkpoint);
      await this.#requireRoom(root.name, config, checkpoint);
      return Model.load(this.#ctx.gpu, config, weights, precisionOf(checkpoint));
    }
    const tensors = unflatten(config, await this.#ctx.store.weights(root.id));
    return this.#ctx.gpu.allocate(() => Model.create(this.#ctx.gpu, config, tensors));
  }

  /** All of its weights in memory; for small models. @throws LabError 'files-needed' when they are not at hand */
  async tensors(root: LabNode): Promise<Tensors> {
    const config = parseLlamaConfig(root.modelConfig);
    if (root.opened!.kept === 'copy') return unflatten(config, await this.#ctx.store.weights(root.id));
    return inMemory(config, await this.weights(root));
  }

  /** @throws LabError 'files-needed' when the files are not at hand, or are others now */
  async weights(root: LabNode): Promise<WeightSource> {
    return openWeights(parseLlamaConfig(root.modelConfig), await this.checkpoint(root));
  }

  /** The headers of a root's files, whose tensors can be read. @throws LabError as `weights` */
  async checkpoint(root: LabNode): Promise<Checkpoint> {
    let checkpoint = this.#checkpoints.get(root.id);
    if (!checkpoint) {
      const found = await openModel(await this.#filesOf(root));
      const print = await fingerprint(found.description.config, found.checkpoint);
      if (!(await this.#isOf(root, print, found.description))) throw otherFiles(root);
      this.#readable(root.id, found);
      checkpoint = found.checkpoint;
    }
    return checkpoint;
  }

  /** The files of a model whose weights are not copied. @throws LabError 'files-needed' when they are not at hand */
  async #filesOf(root: LabNode): Promise<FileFolder> {
    const { kept, hub } = root.opened!;
    if (kept === 'download' && (await this.#isWhole(root))) return this.#downloaded(hub!.id);
    const cached = kept === 'webllm' ? await this.#cached(root) : null;
    if (cached) return cached;
    const handle = kept === 'folder' ? await this.folder(root.id) : null;
    if (!handle || !(await mayRead(handle))) throw filesNeeded(root);
    return folderOf({ kind: 'folder', handle });
  }

  /** The files of a model that is read from WebLLM's cache; null where they are gone: WebLLM, or the browser, may delete them. */
  async #cached({ opened }: LabNode): Promise<FileFolder | null> {
    try {
      return await cachedFolder(this.#ctx.artifacts, opened!.webllm!);
    } catch {
      return null;
    }
  }

  /** Addresses in WebLLM's cache on which nodes of the tree stand. */
  async webllmInUse(): Promise<Set<string>> {
    const roots = (await this.#ctx.store.nodes()).filter((n) => n.opened?.kept === 'webllm');
    return new Set(roots.map((n) => n.opened!.webllm!));
  }

  // ------------------------------------------------------------------------------------------------------- downloads

  /** @throws LabError 'files-needed' when a file of it is missing */
  async #downloaded(id: string): Promise<FileFolder> {
    const found = await (await this.#ctx.shelf.place(id))?.folder();
    if (found?.complete) return found.files;
    throw new LabError('files-needed', 'This download is not complete.', {
      safe: 'What was downloaded so far is kept.',
      next: 'Go on with it in Model, or look the model up again.',
    });
  }

  async #origin(source: ModelSource): Promise<HubOrigin | null> {
    if (source.kind !== 'download') return null;
    const plan = await (await this.#ctx.shelf.place(source.id))?.plan();
    return plan ? originOf(plan) : null;
  }

  /** Whether a downloaded model is still whole: a browser that runs out of room may take a page's files away. */
  async #isWhole({ opened }: LabNode): Promise<boolean> {
    const id = opened!.hub?.id;
    const place = id === undefined ? null : await this.#ctx.shelf.place(id);
    return place !== null && (await place.folder()).complete;
  }

  /** The downloads on which nodes of the tree stand, by their ids. */
  async downloadsInUse(): Promise<Map<string, string>> {
    const roots = (await this.#ctx.store.nodes()).filter(
      (n) => n.opened?.kept === 'download' && n.opened.hub,
    );
    return new Map(roots.map((n) => [n.id, n.opened!.hub!.id]));
  }

  /** Frees downloads on which no node stands any more. */
  async dropDownloads(ids: readonly string[]): Promise<void> {
    const used = new Set((await this.downloadsInUse()).values());
    for (const id of ids.filter((one) => !used.has(one))) await this.#ctx.shelf.remove(id);
    this.#ctx.notify({ type: 'downloads' });
  }

  /** A deleted node's files are let go. */
  forget(nodeId: string): void {
    this.#checkpoints.delete(nodeId);
    this.#texts.delete(nodeId);
  }
}
