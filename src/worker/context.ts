/** What all topics of the worker share: the device, the store, the world, the queue for the GPU, the line to the page. */
import { LabError } from '../core/errors.ts';
import { Tokenizer } from '../data/tokenizer.ts';
import { openGpu, type Gpu } from '../gpu/gpu.ts';
import type { HubOptions } from '../hub/http.ts';
import { Shelf } from '../hub/shelf.ts';
import { CacheArtifacts, type ArtifactStore } from '../store/artifacts.ts';
import { Store } from '../store/store.ts';
import { storageFigures } from '../store/quota.ts';
import { createWorld, type World } from '../world/world.ts';
import { toErrorInfo } from './error-info.ts';
import { Gate } from './gate.ts';
import { adapterName } from './protocol.ts';
import type {
  AdapterSummary,
  Capabilities,
  ErrorInfo,
  Evaluation,
  KeptAnswers,
  KeptAttack,
  Look,
  Chosen,
  Measured,
  StoredInsight,
  Kernels,
  LabNode,
  MemoryInfo,
  Notice,
  RunInfo,
  Scrubbed,
} from './protocol.ts';

/** Set by the build: SHA-256 (hex) over the code that decides what training computes. */
declare const __ENGINE_CODE__: string;
declare const __PROTOCOL__: { sha256: string };

/** Which engine made a checkpoint: a run that another one began can go on, but not bit for bit. */
export const ENGINE_VERSION = __ENGINE_CODE__.slice(0, 16);

/** SHA-256 of the text of the protocol that this lab was built beside. */
export const PROTOCOL_HASH = __PROTOCOL__.sha256;

export type LabStore = Store<
  LabNode,
  RunInfo,
  Evaluation | Look | Measured | Chosen | KeptAnswers | KeptAttack | Scrubbed | StoredInsight
>;

export interface ContextOptions {
  notify(notice: Notice): void;
  /** Where adapters come from; the browser's own by default. */
  gpu?: GPU;
  databaseName?: string;
  /** Tests name a hub of their own. */
  hub?: Partial<HubOptions>;
  /** The top of a file system for downloads; the browser's own by default. */
  fileSystem?: () => Promise<FileSystemDirectoryHandle>;
  /** WebLLM's cache; the browser's own by default. */
  artifacts?: ArtifactStore;
}

export class Context {
  readonly gate = new Gate();
  readonly notify: (notice: Notice) => void;
  readonly hub: Partial<HubOptions>;
  /** Downloaded models. */
  readonly shelf: Shelf;
  /** WebLLM's cache of this browser. */
  readonly artifacts: ArtifactStore;
  modelsUrl = '';
  #options: ContextOptions;
  #gpu: Gpu | null = null;
  #measured: Kernels['measured'] = null;
  #gpuError: LabError | null = null;
  #store: LabStore | null = null;
  #worlds = new Map<number, World>();
  #tokenizer: Tokenizer | null = null;
  /** Told when the device goes: whoever holds GPU objects drops them. */
  readonly onGpuGone = new Set<(error: LabError) => void>();

  constructor(options: ContextOptions) {
    this.#options = options;
    this.notify = options.notify;
    this.hub = options.hub ?? {};
    this.shelf = new Shelf(options.fileSystem);
    this.artifacts = options.artifacts ?? new CacheArtifacts();
  }

  // ---------------------------------------------------------------------------------------------------------- device

  /** @throws LabError the reason why there is no device */
  get gpu(): Gpu {
    if (this.#gpu) return this.#gpu;
    throw this.#gpuError ?? new LabError('internal', 'The engine was not started.');
  }

  /** Whether there is a device. */
  get ready(): boolean {
    return this.#gpu !== null;
  }

  get gpuError(): ErrorInfo | null {
    return this.#gpuError && toErrorInfo(this.#gpuError);
  }

  /** Opens the device, or remembers in words why there is none. */
  async openDevice(): Promise<Capabilities | null> {
    if (this.#gpu) return this.capabilities();
    try {
      const gpu = await openGpu(this.#options.gpu ? { gpu: this.#options.gpu } : {});
      this.#gpu = gpu;
      this.#measured = null;
      this.#gpuError = null;
      gpu.onError = (error) => this.#gone(gpu, error);
      gpu.onCompiling = (done, total) => this.notify({ type: 'compiling', done, total });
      void gpu.lost.then((error) => this.#gone(gpu, error));
      return this.capabilities();
    } catch (e) {
      this.#gpuError =
        e instanceof LabError
          ? e
          : new LabError('no-adapter', `The GPU could not be opened: ${String(e)}`, { cause: e });
      return null;
    }
  }

  /** Gives the device back on purpose. */
  closeDevice(): void {
    const gpu = this.#gpu;
    this.#gpu = null;
    gpu?.destroy();
  }

  #gone(gpu: Gpu, error: LabError): void {
    if (gpu.device !== this.#gpu?.device) return;
    this.#gpu = null;
    this.#gpuError = error;
    for (const tell of this.onGpuGone) tell(error);
    gpu.destroy();
    this.notify({ type: 'device-lost', error: toErrorInfo(error) });
  }

  /** Sets the kernels of models and runs that are made from now on. */
  useKernels({ table, measured }: Kernels): void {
    this.#gpu = this.gpu.with(table);
    this.#measured = measured;
  }

  get kernels(): Kernels {
    return { table: this.gpu.table, measured: this.#measured };
  }

  capabilities(): Capabilities {
    const { device } = this.gpu;
    const adapter = this.adapter();
    // GPUSupportedLimits has getters on its prototype: structured clone would see nothing.
    const limits: Record<string, number> = {};
    for (const key in device.limits) {
      const value = (device.limits as unknown as Record<string, unknown>)[key];
      if (typeof value === 'number') limits[key] = value;
    }
    return {
      adapter,
      features: [...device.features].sort(),
      limits,
      kernels: this.kernels,
      engineVersion: ENGINE_VERSION,
      software: /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(
        `${adapter.vendor} ${adapter.architecture} ${adapter.description}`,
      ),
    };
  }

  adapter(): AdapterSummary {
    const { info, table } = this.gpu;
    return {
      vendor: info.vendor,
      architecture: info.architecture,
      description: info.description,
      subgroupSize: table.subgroupSize,
    };
  }

  adapterName(): string {
    return adapterName(this.gpu.info);
  }

  async memory(resident: string[]): Promise<MemoryInfo> {
    const stats = this.#gpu?.stats;
    return {
      gpuBytes: stats?.bytes ?? 0,
      gpuBuffers: stats?.buffers ?? 0,
      pipelines: stats?.pipelines ?? 0,
      bindGroups: stats?.bindGroups ?? 0,
      resident,
      storage: await storageFigures(),
    };
  }

  // ----------------------------------------------------------------------------------------------------------- store

  get store(): LabStore {
    if (!this.#store) throw new LabError('internal', 'The store was not opened.');
    return this.#store;
  }

  async openStore(): Promise<LabStore> {
    const name = this.#options.databaseName;
    this.#store ??= await Store.open({
      ...(name !== undefined && { name }),
      onClosed: (error) => this.notify({ type: 'store-closed', error: toErrorInfo(error) }),
    });
    return this.#store;
  }

  closeStore(): void {
    this.#store?.close();
    this.#store = null;
  }

  /** @throws LabError 'not-found' */
  async node(id: string): Promise<LabNode> {
    const node = await this.store.node(id);
    if (node) return node;
    throw new LabError('not-found', 'This checkpoint does not exist any more.', {
      safe: 'All other checkpoints are untouched.',
      next: 'Reload the page to see the current family tree.',
    });
  }

  /** The node at the root of a node's line. */
  async rootId(node: LabNode): Promise<string> {
    let at = node;
    while (at.parentId !== null) at = await this.node(at.parentId);
    return at.id;
  }

  // ----------------------------------------------------------------------------------------------------------- world

  world(seed: number): World {
    let world = this.#worlds.get(seed);
    if (!world) this.#worlds.set(seed, (world = createWorld(seed)));
    return world;
  }

  get tokenizer(): Tokenizer {
    return (this.#tokenizer ??= Tokenizer.tiny());
  }
}
