/**
 * The lab's client state: what the worker told, plus what the user selected. Components read these fields and call
 * these actions; nothing in ui/ talks to the worker. Actions never throw: what goes wrong lands in `error` (or in the
 * run, the comparison or the evaluation that it belongs to) as an ErrorInfo.
 */
import { Compare } from './compare.svelte.ts';
import { EngineClient, errorInfo, spawnEngine } from './client.ts';
import { RunView } from './runs.svelte.ts';
import { ShowMe } from './show-me.svelte.ts';
import type {
  Capabilities,
  EmbeddedName,
  ErrorInfo,
  Estimate,
  EvalSet,
  Evaluation,
  GoldenResult,
  KernelCheck,
  LabNode,
  MemoryInfo,
  Method,
  Notice,
  ParamsOf,
  RecipeInfo,
  ResultOf,
  RunControl,
  RunInfo,
  ShaderInfo,
  StorageInfo,
  TrainParams,
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

/** An evaluation under way. */
export interface EvalProgress {
  set: EvalSet;
  done: number;
  total: number;
}

export interface SelfCheckState {
  running: boolean;
  done: number;
  total: number;
  checks: KernelCheck[];
  /** Null until it ended. */
  ok: boolean | null;
  milliseconds: number;
}

/** Two crashes within this time: the engine cannot start here. */
const CRASH_LOOP_MS = 10_000;

export class Lab {
  #crashedAt = -Infinity;
  readonly client: EngineClient;
  readonly compare: Compare;
  readonly showMe: ShowMe;

  phase = $state<Phase>('starting');
  fatal = $state.raw<ErrorInfo | null>(null);
  gpuError = $state.raw<ErrorInfo | null>(null);
  capabilities = $state.raw<Capabilities | null>(null);
  memory = $state.raw<MemoryInfo | null>(null);
  storage = $state.raw<StorageInfo | null>(null);
  /** What the store cleaned up at start, in words. */
  swept = $state.raw<string[]>([]);
  /** The last thing that went wrong outside a run, a comparison or an evaluation. */
  error = $state.raw<ErrorInfo | null>(null);

  nodes = $state.raw<LabNode[]>([]);
  /** The node that Defend and Attack start from, and whose card is open. */
  currentId = $state<string | null>(null);
  recipes = $state.raw<RecipeInfo[]>([]);
  world = $state.raw<WorldInfo | null>(null);

  /** Every run of this session and the interrupted ones of earlier sessions, newest first. */
  runs = $state.raw<RunView[]>([]);
  /** The run whose charts are on show. */
  runId = $state<string | null>(null);

  /** Full evaluations (with answers) that were opened or made, by node id, newest first. */
  evaluations = $state.raw<Record<string, Evaluation[]>>({});
  evaluating = $state.raw<Record<string, EvalProgress>>({});

  /** Embedded models being fetched: bytes loaded of all. */
  loading = $state.raw<Partial<Record<EmbeddedName, { loadedBytes: number; totalBytes: number }>>>({});

  selfCheckState = $state.raw<SelfCheckState>({
    running: false,
    done: 0,
    total: 0,
    checks: [],
    ok: null,
    milliseconds: 0,
  });
  shaders = $state.raw<ShaderInfo[]>([]);

  constructor(client: EngineClient = new EngineClient(spawnEngine)) {
    this.client = client;
    this.compare = new Compare(client);
    this.showMe = new ShowMe(this);
    client.onNotice = (notice) => this.#onNotice(notice);
    client.onCrash = (error) => this.#onCrash(error);
  }

  // ------------------------------------------------------------------------------------------------------- readings

  get current(): LabNode | null {
    return this.node(this.currentId);
  }

  get run(): RunView | null {
    return this.runs.find((r) => r.id === this.runId) ?? null;
  }

  /** The run that holds the trainer, paused or not. */
  get activeRun(): RunView | null {
    return this.runs.find((r) => r.active) ?? null;
  }

  /** Runs that wait on disk to be taken up again. */
  get interrupted(): RunView[] {
    return this.runs.filter((r) => r.head.state === 'stopped' && r.head.checkpointStep < r.head.total);
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
    for (const run of this.runs) run.lose();
    try {
      const init = await this.client.request('init', {
        modelsUrl: new URL('models/', document.baseURI).href,
      });
      this.capabilities = init.capabilities;
      this.gpuError = init.gpuError;
      this.nodes = init.nodes;
      this.storage = init.storage;
      this.swept = init.swept;
      this.runs = init.runs.map((r) => new RunView(r));
      this.currentId = this.node(this.currentId)?.id ?? init.nodes[0]?.id ?? null;
      [this.recipes, this.world] = await Promise.all([
        this.client.request('recipes', {}),
        this.client.request('world', {}),
      ]);
      this.phase = init.capabilities ? 'ready' : 'no-gpu';
    } catch (e) {
      this.fatal = errorInfo(e);
      this.phase = 'closed';
    }
  }

  /** Asks for the GPU again after it went away. */
  async rebuild(): Promise<void> {
    const capabilities = await this.#try('rebuild', {});
    if (!capabilities) return;
    this.capabilities = capabilities;
    this.gpuError = null;
    this.phase = 'ready';
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
      this.error = errorInfo(e);
      return null;
    } finally {
      const { [name]: _, ...rest } = this.loading;
      this.loading = rest;
    }
  }

  async renameNode(nodeId: string, name: string): Promise<void> {
    await this.#try('renameNode', { nodeId, name });
  }

  /** Deletes the node and everything below it. */
  async deleteNode(nodeId: string): Promise<void> {
    await this.#try('deleteNode', { nodeId });
  }

  async exportNode(nodeId: string, dtype: 'F32' | 'F16'): Promise<{ name: string; bytes: ArrayBuffer }[]> {
    return (await this.#try('exportNode', { nodeId, dtype }))?.files ?? [];
  }

  async estimate(params: TrainParams): Promise<Estimate | null> {
    return this.#try('estimate', params);
  }

  /** Starts a run and shows it; follow it through `run`. */
  async train(params: TrainParams): Promise<RunView | null> {
    const run = await this.#try('train', params);
    return run && this.#show(run);
  }

  async control(runId: string, control: RunControl): Promise<void> {
    const run = await this.#try('control', { runId, control });
    if (run) this.#view(run).replace(run);
  }

  /** Takes up a run of an earlier visit; it stands paused at its last checkpoint. */
  async reopenRun(runId: string): Promise<RunView | null> {
    const run = await this.#try('reopenRun', { runId });
    return run && this.#show(run);
  }

  async discardRun(runId: string): Promise<void> {
    await this.#try('discardRun', { runId });
  }

  /** Judges a node on a held-out set; null when it was cancelled or failed. */
  async evaluate(
    nodeId: string,
    options: { set?: EvalSet; benign?: boolean; quick?: boolean; signal?: AbortSignal } = {},
  ): Promise<Evaluation | null> {
    const { set = 'V', benign = true, quick = false, signal } = options;
    this.evaluating = { ...this.evaluating, [nodeId]: { set, done: 0, total: 0 } };
    try {
      const result = await this.client.request(
        'evaluate',
        { nodeId, set, benign, quick },
        {
          ...(signal && { signal }),
          onEvent: (e) => (this.evaluating = { ...this.evaluating, [nodeId]: { set, ...e } }),
        },
      );
      this.evaluations = {
        ...this.evaluations,
        [nodeId]: [result, ...(this.evaluations[nodeId] ?? [])],
      };
      return result;
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.error = info;
      return null;
    } finally {
      const { [nodeId]: _, ...rest } = this.evaluating;
      this.evaluating = rest;
    }
  }

  /** Brings the stored evaluations of a node (with their answers) into `evaluations`. */
  async openEvaluations(nodeId: string): Promise<void> {
    const stored = await this.#try('evaluations', { nodeId });
    if (stored) this.evaluations = { ...this.evaluations, [nodeId]: stored };
  }

  /** `full`: on every size, not only one of each kind. */
  async selfCheck(full = false): Promise<void> {
    const fresh = { running: true, done: 0, total: 0, checks: [], ok: null, milliseconds: 0 };
    this.selfCheckState = fresh;
    try {
      const result = await this.client.request(
        'selfCheck',
        { full },
        {
          onEvent: ({ check, done, total }) => {
            const checks = [...this.selfCheckState.checks, check];
            this.selfCheckState = { ...this.selfCheckState, checks, done, total };
          },
        },
      );
      this.selfCheckState = { ...this.selfCheckState, ...result, running: false };
    } catch (e) {
      this.selfCheckState = { ...this.selfCheckState, running: false };
      this.error = errorInfo(e);
    }
  }

  async loadShaders(): Promise<void> {
    this.shaders = (await this.#try('shaders', {})) ?? this.shaders;
  }

  async refreshMemory(): Promise<void> {
    const memory = await this.#try('memory', {});
    if (!memory) return;
    this.memory = memory;
    this.storage = memory.storage;
  }

  async releaseAll(): Promise<void> {
    this.memory = (await this.#try('releaseAll', {})) ?? this.memory;
  }

  /** Asks the browser not to evict the lab's data on its own; only a page may ask, a worker may not. */
  async persist(): Promise<void> {
    await navigator.storage?.persist?.().catch(() => false);
    await this.refreshMemory();
  }

  async golden(name: string, files: Record<string, ArrayBuffer>): Promise<GoldenResult | null> {
    return this.#try('golden', { name, files });
  }

  dismissError(): void {
    this.error = null;
  }

  // --------------------------------------------------------------------------------------------------------- within

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
    this.error = error;
    void this.start();
  }

  async #try<M extends Method>(method: M, params: ParamsOf<M>): Promise<ResultOf<M> | null> {
    try {
      return await this.client.request(method, params);
    } catch (e) {
      this.error = errorInfo(e);
      return null;
    }
  }

  #view(run: RunInfo): RunView {
    const known = this.runs.find((r) => r.id === run.id);
    if (known) return known;
    const view = new RunView(run);
    this.runs = [view, ...this.runs];
    return view;
  }

  #show(run: RunInfo): RunView {
    const view = this.#view(run);
    this.runId = view.id;
    return view;
  }

  #upsert(node: LabNode): void {
    this.nodes = this.nodes.some((n) => n.id === node.id)
      ? this.nodes.map((n) => (n.id === node.id ? node : n))
      : [...this.nodes, node];
  }

  #onNotice(notice: Notice): void {
    switch (notice.type) {
      case 'run':
        this.#onRun(notice);
        break;
      case 'run-gone':
        this.runs.find((r) => r.id === notice.runId)?.lose();
        this.runs = this.runs.filter((r) => r.id !== notice.runId);
        if (this.runId === notice.runId) this.runId = null;
        break;
      case 'node':
        this.#upsert(notice.node);
        break;
      case 'nodes-deleted':
        this.nodes = this.nodes.filter((n) => !notice.nodeIds.includes(n.id));
        this.compare.forget(notice.nodeIds);
        if (this.currentId && notice.nodeIds.includes(this.currentId)) {
          this.currentId = this.nodes[0]?.id ?? null;
        }
        break;
      case 'device-lost':
        this.gpuError = notice.error;
        this.phase = 'lost';
        break;
      case 'store-closed':
        this.fatal = notice.error;
        this.phase = 'closed';
        break;
    }
  }

  #onRun({ runId, event }: Extract<Notice, { type: 'run' }>): void {
    const view = this.runs.find((r) => r.id === runId);
    if (view) view.apply(event);
    else if (event.type === 'state') {
      this.runs = [new RunView({ ...event.run, log: [], probes: [] }), ...this.runs];
    }
    if (event.type === 'node') this.#upsert(event.node);
  }
}

/** The one lab of the page. */
export const lab = new Lab();
