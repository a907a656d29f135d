/**
 * The lab's client state: what the worker told, plus what the user selected. Components read these fields and call
 * these actions; nothing in ui/ talks to the worker. Actions never throw: what goes wrong lands in `error` (or in the
 * run, the comparison or the evaluation that it belongs to) as an ErrorInfo.
 *
 * This file holds the family tree and the life of the engine; runs, verdicts, the device and the comparison have files
 * of their own.
 */
import { Attempts } from './attempts.svelte.ts';
import { Audit } from './audit.svelte.ts';
import { Bundles } from './bundles.svelte.ts';
import { Choices } from './choices.svelte.ts';
import { Compare } from './compare.svelte.ts';
import { Copies } from './copies.svelte.ts';
import { DataFiles } from './data.svelte.ts';
import { EngineClient, errorInfo, spawnEngine } from './client.ts';
import { Device } from './device.svelte.ts';
import { Downloads } from './downloads.svelte.ts';
import { Evaluations } from './evaluations.svelte.ts';
import { Insights } from './insights.svelte.ts';
import { Inspector } from './inspector.svelte.ts';
import { Llm } from './llm.svelte.ts';
import { Looks } from './looks.svelte.ts';
import { MatrixQueue } from './matrix-queue.svelte.ts';
import { Measures } from './measures.svelte.ts';
import { OpenedModels } from './opened.svelte.ts';
import { Pairs } from './pairs.svelte.ts';
import { PromptsFiles } from './prompts.svelte.ts';
import { Scrub } from './scrub.svelte.ts';
import { ShowMe } from './show-me.svelte.ts';
import { TakeHome } from './take-home.svelte.ts';
import { Training } from './training.svelte.ts';
import { adapterName } from '../worker/protocol.ts';
import type {
  Capabilities,
  ModelSource,
  EmbeddedName,
  ErrorInfo,
  LabNode,
  LocalSource,
  Notice,
  RecipeInfo,
  WorldInfo,
} from '../worker/protocol.ts';

export type Phase =
  /** Opening the store and the GPU. */
  | 'starting'
  | 'ready'
  /** No usable GPU: the tree and stored evaluations can be read; `gpuError` says what to do. */
  | 'no-gpu'
  /** The GPU went away; `rebuild()` asks for it again. */
  | 'lost'
  /** The store cannot be used (written by a newer version, or closed for one); `fatal` says why. */
  | 'closed';

/** A node with its place in the tree, in reading order (parents before children). */
export interface TreeRow {
  node: LabNode;
  depth: number;
  children: number;
}

/** Two crashes within this time: the engine cannot start here. */
const CRASH_LOOP_MS = 10_000;

export class Lab {
  #crashedAt = -Infinity;
  readonly #attempts: Attempts;
  readonly client: EngineClient;
  readonly training: Training;
  readonly evaluations: Evaluations;
  readonly llm: Llm;
  readonly looks: Looks;
  readonly measures: Measures;
  readonly choices: Choices;
  readonly insights: Insights;
  readonly matrix: MatrixQueue;
  readonly audit: Audit;
  readonly device: Device;
  readonly compare: Compare;
  readonly inspector: Inspector;
  readonly scrub: Scrub;
  readonly opened: OpenedModels;
  readonly downloads: Downloads;
  readonly prompts: PromptsFiles;
  readonly pairs: Pairs;
  readonly data: DataFiles;
  readonly takeHome: TakeHome;
  readonly bundles: Bundles;
  readonly copies: Copies;
  readonly showMe: ShowMe;

  phase = $state<Phase>('starting');
  fatal = $state.raw<ErrorInfo | null>(null);
  gpuError = $state.raw<ErrorInfo | null>(null);
  capabilities = $state.raw<Capabilities | null>(null);
  /** What the store cleaned up at start, in words. */
  swept = $state.raw<string[]>([]);

  nodes = $state.raw<LabNode[]>([]);
  /** The node that Defend and Attack start from, and whose card is open. */
  currentId = $state<string | null>(null);
  recipes = $state.raw<RecipeInfo[]>([]);
  world = $state.raw<WorldInfo | null>(null);

  /** Embedded models being fetched: bytes loaded of all. */
  loading = $state.raw<Partial<Record<EmbeddedName, { loadedBytes: number; totalBytes: number }>>>({});

  constructor(client: EngineClient = new EngineClient(spawnEngine)) {
    this.client = client;
    this.#attempts = new Attempts(client);
    this.training = new Training(this.#attempts);
    this.evaluations = new Evaluations(this.#attempts);
    this.llm = new Llm(client);
    this.looks = new Looks(this.#attempts);
    this.measures = new Measures(client, this.evaluations, this.looks);
    this.choices = new Choices(client);
    this.insights = new Insights(this);
    this.matrix = new MatrixQueue(this);
    this.audit = new Audit(this.#attempts);
    this.device = new Device(this.#attempts);
    this.compare = new Compare(client);
    this.inspector = new Inspector(client, this.compare);
    this.scrub = new Scrub(client);
    this.opened = new OpenedModels(client);
    this.downloads = new Downloads(client);
    this.prompts = new PromptsFiles(client);
    this.pairs = new Pairs(client, this.prompts);
    this.data = new DataFiles(client);
    this.takeHome = new TakeHome(this.#attempts);
    this.bundles = new Bundles(client);
    this.copies = new Copies(client);
    this.showMe = new ShowMe(this);
    client.onNotice = (notice) => this.#onNotice(notice);
    client.onCrash = (error) => this.#onCrash(error);
  }

  // ------------------------------------------------------------------------------------------------------- readings

  /** The last thing that went wrong outside a run, a comparison or an evaluation. */
  get error(): ErrorInfo | null {
    return this.#attempts.error;
  }

  /** The GPU that is open; null: none is. */
  get gpuName(): string | null {
    return this.phase === 'lost' || !this.capabilities ? null : adapterName(this.capabilities.adapter);
  }

  get current(): LabNode | null {
    return this.node(this.currentId);
  }

  /** The family tree in reading order. */
  get tree(): TreeRow[] {
    const below = new Map<string | null, LabNode[]>();
    const known = new Set(this.nodes.map((n) => n.id));
    for (const node of this.nodes) {
      const parent = node.parentId !== null && known.has(node.parentId) ? node.parentId : null;
      below.set(parent, [...(below.get(parent) ?? []), node]);
    }
    const rows: TreeRow[] = [];
    const visit = (parent: string | null, depth: number): void => {
      for (const node of below.get(parent) ?? []) {
        rows.push({ node, depth, children: below.get(node.id)?.length ?? 0 });
        visit(node.id, depth + 1);
      }
    };
    visit(null, 0);
    return rows;
  }

  node(id: string | null): LabNode | null {
    return this.nodes.find((n) => n.id === id) ?? null;
  }

  /** The node with those above it, its root first. */
  lineOf(node: LabNode): LabNode[] {
    const line = [node];
    for (let above = this.node(node.parentId); above; above = this.node(above.parentId)) line.unshift(above);
    return line;
  }

  /** The node at the root of a node's line. */
  rootOf(node: LabNode): LabNode {
    return this.lineOf(node)[0]!;
  }

  /** The root of a node's line where its weights lie in files that have to be opened again; null where all is at hand. */
  filesNeeded(node: LabNode): LabNode | null {
    const root = this.rootOf(node);
    return root.opened && !this.opened.readable.includes(root.id) ? root : null;
  }

  recipe(id: string): RecipeInfo | null {
    return this.recipes.find((r) => r.id === id) ?? null;
  }

  /** The nodes that one run saved (20, 50, 100 steps), by steps. */
  nodesOfRun(runId: string): LabNode[] {
    return this.nodes.filter((n) => n.runId === runId).sort((a, b) => a.steps - b.steps);
  }

  // --------------------------------------------------------------------------------------------------------- actions

  /** Opens the store and the GPU; call once (and it is called again after a crash). */
  async start(): Promise<void> {
    this.phase = 'starting';
    this.fatal = null;
    this.training.loseAll();
    this.device.compiling = null;
    try {
      const init = await this.client.request('init', {
        modelsUrl: new URL('models/', document.baseURI).href,
      });
      this.capabilities = init.capabilities;
      this.gpuError = init.gpuError;
      this.nodes = init.nodes;
      this.opened.readable = init.readable;
      this.device.storage = init.storage;
      this.device.budget = init.budget;
      this.swept = init.swept;
      this.training.open(init.runs);
      this.currentId = this.node(this.currentId)?.id ?? init.nodes[0]?.id ?? null;
      [this.recipes, this.world] = await Promise.all([
        this.client.request('recipes', {}),
        this.client.request('world', {}),
        this.prompts.open(),
        this.data.refresh(),
        this.downloads.refresh(),
        this.bundles.refresh(),
      ]);
      await this.pairs.restore();
      this.phase = init.capabilities ? 'ready' : 'no-gpu';
      this.#begin(init.capabilities);
    } catch (e) {
      this.fatal = errorInfo(e);
      this.phase = 'closed';
    }
  }

  /** Asks for the GPU again after it went away. */
  async rebuild(): Promise<void> {
    const capabilities = await this.#attempts.try('rebuild', {});
    if (!capabilities) return;
    this.capabilities = capabilities;
    this.gpuError = null;
    this.phase = 'ready';
    this.#begin(capabilities);
  }

  async loadEmbedded(name: EmbeddedName): Promise<LabNode | null> {
    this.loading = { ...this.loading, [name]: { loadedBytes: 0, totalBytes: 0 } };
    try {
      const node = await this.client.request(
        'loadEmbedded',
        { name },
        { onEvent: (e) => (this.loading = { ...this.loading, [name]: e }) },
      );
      this.#upsert(node);
      this.currentId ??= node.id;
      if (this.world?.seed !== node.seeds.world) this.world = await this.client.request('world', {});
      return node;
    } catch (e) {
      this.#attempts.error = errorInfo(e);
      return null;
    } finally {
      const { [name]: _, ...rest } = this.loading;
      this.loading = rest;
    }
  }

  /** Opens a model from the user's own files and shows its card. */
  async openModel(source: ModelSource, nodeId: string | null = null): Promise<LabNode | null> {
    const node = await this.opened.open(source, nodeId);
    if (node) {
      this.#upsert(node);
      this.currentId = node.id;
    }
    return node;
  }

  /** Downloads a model that was looked up, or goes on with one, and opens it; null where that was paused or failed. */
  async takeDownload(id: string): Promise<LabNode | null> {
    // only a page may ask the browser to keep its files; gigabytes are the first that it takes away
    if (!this.device.storage?.persisted) void this.device.persist();
    const came = await this.downloads.fetch(id);
    const node = came ? await this.openModel({ kind: 'download', id }) : null;
    await Promise.all([this.downloads.refresh(), this.device.refreshMemory()]);
    return node;
  }

  /** What was trained or answered elsewhere, under the given node or with it. */
  async bringBack(nodeId: string, source: LocalSource): Promise<LabNode | null> {
    const node = await this.#attempts.try('bringBack', { nodeId, source });
    if (node) {
      this.#upsert(node);
      this.currentId = node.id;
    }
    return node;
  }

  async renameNode(nodeId: string, name: string): Promise<void> {
    await this.#attempts.try('renameNode', { nodeId, name });
  }

  /** Deletes the node and everything below it. */
  async deleteNode(nodeId: string): Promise<void> {
    await this.#attempts.try('deleteNode', { nodeId });
  }

  /** @param confirm the name of the node as its user typed it, where an attack on an opened model is to leave */
  async exportNode(
    nodeId: string,
    dtype: 'F32' | 'F16',
    confirm?: string,
  ): Promise<{ name: string; bytes: ArrayBuffer }[]> {
    const params = { nodeId, dtype, ...(confirm !== undefined && { confirm }) };
    return (await this.#attempts.try('exportNode', params))?.files ?? [];
  }

  dismissError(): void {
    this.#attempts.error = null;
  }

  // --------------------------------------------------------------------------------------------------------- within

  /** A device is there: which kernels suit it is measured in the background, where that is not known. */
  #begin(capabilities: Capabilities | null): void {
    if (capabilities) void this.device.begin(capabilities);
  }

  /** Starts the engine again, but not over and over. */
  #onCrash(error: ErrorInfo): void {
    const again = performance.now() - this.#crashedAt < CRASH_LOOP_MS;
    this.#crashedAt = performance.now();
    if (again) {
      this.fatal = {
        ...error,
        next: 'Reload the page; if it happens again, please report it with this text.',
      };
      this.phase = 'closed';
      return;
    }
    this.#attempts.error = error;
    void this.start();
  }

  #upsert(node: LabNode): void {
    this.nodes = this.nodes.some((n) => n.id === node.id)
      ? this.nodes.map((n) => (n.id === node.id ? node : n))
      : [...this.nodes, node];
  }

  #onNotice(notice: Notice): void {
    this.scrub.hear(notice);
    switch (notice.type) {
      case 'run':
        this.training.apply(notice);
        if (notice.event.type === 'node') this.#upsert(notice.event.node);
        break;
      case 'run-gone':
        this.training.forget(notice.runId);
        break;
      case 'node':
        this.#upsert(notice.node);
        break;
      case 'nodes-deleted':
        this.nodes = this.nodes.filter((n) => !notice.nodeIds.includes(n.id));
        this.compare.forget(notice.nodeIds);
        this.insights.forget(notice.nodeIds);
        this.inspector.close();
        if (this.currentId && notice.nodeIds.includes(this.currentId)) {
          this.currentId = this.nodes[0]?.id ?? null;
        }
        break;
      case 'downloads':
        void this.downloads.refresh();
        break;
      case 'bundles':
        void this.bundles.refresh();
        void this.llm.relist();
        break;
      case 'datasets':
        void this.data.refresh();
        break;
      case 'readable':
        this.opened.canRead(notice.nodeId);
        break;
      case 'compiling':
        this.device.compiling = notice.done < notice.total ? notice : null;
        break;
      case 'device-lost':
        this.device.compiling = null;
        this.gpuError = notice.error;
        this.phase = 'lost';
        break;
      case 'store-closed':
        this.fatal = notice.error;
        this.phase = 'closed';
        break;
    }
  }
}

/** The one lab of the page. */
export const lab = new Lab();
