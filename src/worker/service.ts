/** The worker without the Worker: one method for each request of the protocol. Runs in Node as well, for tests. */
import { LabError } from '../core/errors.ts';
import { storageFigures } from '../store/quota.ts';
import { DATABASE } from '../store/schema.ts';
import { Archives } from './archive.ts';
import { Audits } from './audit.ts';
import { bringBack } from './bring-back.ts';
import { requireLibraryFits } from './bundle-library.ts';
import { bundleRecords, cachedBundles } from './bundles.ts';
import { Chat } from './chat.ts';
import { Choices } from './choices.ts';
import { runGolden, selfCheck } from './check.ts';
import { Context, type ContextOptions } from './context.ts';
import { DataSets } from './data.ts';
import { Downloads } from './downloads.ts';
import { cancelled, toErrorInfo } from './error-info.ts';
import { Estimates } from './estimate.ts';
import { exportFolder } from './export-folder.ts';
import { exportNode } from './export.ts';
import { deleteBundle, exportMlc, listModels, stockLibraries } from './export-mlc.ts';
import { Evaluations } from './evaluation.ts';
import { adapterFacts, browserWebLlm } from '../llm/browser.ts';
import type { WebLlmOptions } from '../llm/webllm.ts';
import { Guest } from './guest.ts';
import { handoffFiles } from './handoff.ts';
import { Insights } from './insights.ts';
import { inspect } from './inspect.ts';
import { Llms } from './llms.ts';
import { Looks } from './looks.ts';
import { Measurements } from './measurements.ts';
import { PRIORITY } from './gate.ts';
import { budgetOf, planNode, setBudget } from './memory.ts';
import { measureKernels, recallKernels } from './kernels.ts';
import { Models } from './models.ts';
import { PairBuilder } from './pairs.ts';
import { RuleJudges } from './rules.ts';
import { lockedRuns } from './run-lock.ts';
import { Runs } from './runs.ts';
import { Scrubs } from './scrub.ts';
import { allShaders } from './shader-info.ts';
import { Tabs } from './tabs.ts';
import { Tasks } from './tasks.ts';
import { unfinished } from './unfinished.ts';
import type {
  Capabilities,
  EventOf,
  FromWorker,
  InitResult,
  MemoryInfo,
  Method,
  Notice,
  ParamsOf,
  ResultOf,
  ToWorker,
} from './protocol.ts';

type Handlers = {
  [M in Method]: (
    params: ParamsOf<M>,
    emit: (event: EventOf<M>) => void,
    signal: AbortSignal,
  ) => ResultOf<M> | Promise<ResultOf<M>>;
};

/** Requests that put models of the lab's own engine on the GPU: while they run, no guest does. */
const OWN_GPU: ReadonlySet<Method> = new Set([
  'openModel',
  'bringBack',
  'train',
  'control',
  'reopenRun',
  'generate',
  'evaluate',
  'measure',
  'choose',
  'conflict',
  'landscape',
  'look',
  'scrubAnswer',
  'scrubLook',
  'inspect',
  'auditResult',
  'selfCheck',
  'profile',
  'kernels',
  'golden',
]);

export interface ServiceOptions extends Omit<ContextOptions, 'notify'> {
  /** Tests put a fake in the place of WebLLM. */
  webllm?: Partial<WebLlmOptions>;
  post(message: FromWorker, transfer?: Transferable[]): void;
}

export class Service {
  readonly ctx: Context;
  readonly models: Models;
  readonly runs: Runs;
  #post: ServiceOptions['post'];
  #tabs: Tabs;
  #archives: Archives;
  #audits: Audits;
  #chat: Chat;
  #data: DataSets;
  #downloads: Downloads;
  #evaluations: Evaluations;
  #looks: Looks;
  #measurements: Measurements;
  #choices: Choices;
  #insights: Insights;
  #guest: Guest;
  #llms: Llms;
  #estimates: Estimates;
  #pairs: PairBuilder;
  #scrubs: Scrubs;
  #tasks: Tasks;
  #handlers: Handlers;
  #underWay = new Map<number, AbortController>();

  constructor({ post, webllm = {}, ...options }: ServiceOptions) {
    this.#post = post;
    this.#tabs = new Tabs(options.databaseName ?? DATABASE, (notice) => this.#hear(notice));
    this.ctx = new Context({
      ...options,
      notify: (notice) => {
        post({ type: 'notice', notice });
        this.#tabs.tell(notice);
      },
    });
    this.models = new Models(this.ctx);
    this.#tasks = new Tasks(this.ctx, this.models);
    this.runs = new Runs(this.ctx, this.models, this.#tasks);
    this.#archives = new Archives(this.ctx);
    const rules = new RuleJudges(this.ctx, this.models, this.#tasks);
    this.#audits = new Audits(this.ctx, rules);
    this.#guest = new Guest({
      run: () => this.runs.current,
      release: async () => (await this.#release()).gpuBytes,
      reopen: (runId) => this.runs.reopen(runId),
    });
    this.#llms = new Llms(this.ctx, this.models, {
      llm: browserWebLlm({
        // a browser that gives no cache has no bundles either; whoever writes one is told
        more: async (stock) => bundleRecords(await cachedBundles(this.ctx.artifacts).catch(() => []), stock),
        vet: (record, signal) => requireLibraryFits(this.ctx.artifacts, record, signal),
        ...webllm,
      }),
      adapter: webllm.adapter ?? adapterFacts,
      guest: this.#guest,
      rules,
    });
    this.#chat = new Chat(this.ctx, this.models);
    this.#data = new DataSets(this.ctx, this.models.opened);
    this.#downloads = new Downloads(this.ctx, this.models.opened);
    this.#evaluations = new Evaluations(this.ctx, this.models);
    this.#measurements = new Measurements(this.ctx, this.models);
    this.#choices = new Choices(this.ctx, this.models, this.#data);
    this.#insights = new Insights(this.ctx, this.models);
    this.#looks = new Looks(this.ctx, this.models, this.#tasks);
    this.#estimates = new Estimates(this.ctx, this.models, this.#tasks);
    this.#pairs = new PairBuilder(this.ctx, this.models, this.#tasks, (modelId, how, work) =>
      this.#llms.embedding(modelId, how, work),
    );
    this.#scrubs = new Scrubs(this.ctx, this.models, this.runs, this.#chat);
    this.#handlers = this.#table();
  }

  receive(message: ToWorker): void {
    if (message.type === 'cancel') {
      this.#underWay.get(message.id)?.abort(cancelled());
      return;
    }
    void this.#answer(message.id, message.method, message.params);
  }

  /** Another tab changed what both show. A run that this one has open is gone only when this one says so. */
  #hear(notice: Notice): void {
    if (notice.type === 'run-gone' && notice.runId === this.runs.current?.id) return;
    this.#post({ type: 'notice', notice });
    if (notice.type !== 'nodes-deleted') return;
    this.models.forget(notice.nodeIds);
    this.#scrubs.forget();
    void this.runs.parentsGone(notice.nodeIds);
  }

  /** Gives up the store, the device and the line to the other tabs; nothing is saved on the way out. */
  close(): void {
    this.#tabs.close();
    this.ctx.closeStore();
    this.ctx.closeDevice();
  }

  async #answer(id: number, method: Method, params: unknown): Promise<void> {
    const abort = new AbortController();
    this.#underWay.set(id, abort);
    try {
      const handler = this.#handlers[method] as (p: unknown, e: unknown, s: AbortSignal) => unknown;
      const emit = (event: unknown): void => this.#post({ type: 'event', id, event });
      const work = async (): Promise<unknown> => handler(params, emit, abort.signal);
      const result = await (OWN_GPU.has(method) ? this.#guest.own(work) : work());
      if (abort.signal.aborted) throw cancelled();
      this.#post({ type: 'result', id, result });
    } catch (e) {
      this.#post({ type: 'error', id, error: toErrorInfo(abort.signal.aborted ? cancelled() : e) });
    } finally {
      this.#underWay.delete(id);
    }
  }

  #table(): Handlers {
    const { ctx, models, runs } = this;
    return {
      init: ({ modelsUrl }) => this.#init(modelsUrl),
      loadEmbedded: ({ name }, emit, signal) => models.loadEmbedded(name, emit, signal),
      nodes: () => ctx.store.nodes(),
      node: ({ nodeId }) => ctx.node(nodeId),
      renameNode: ({ nodeId, name }) => models.rename(nodeId, name),
      deleteNode: async ({ nodeId }) => {
        await runs.forgetBelow(await models.below(nodeId));
        this.#scrubs.forget();
        return models.remove(nodeId);
      },
      openModel: (params, emit, signal) => models.opened.open(params, emit, signal),
      modelFolder: ({ nodeId }) => models.opened.folder(nodeId),
      findModel: ({ name }, _emit, signal) => this.#downloads.find(name, signal),
      download: ({ id }, emit, signal) => this.#downloads.download(id, emit, signal),
      downloads: () => this.#downloads.list(),
      deleteDownload: ({ id }) => this.#downloads.remove(id),
      bringBack: (params) => bringBack(ctx, this.#looks, params),
      handoff: (params) => handoffFiles(ctx, this.#tasks, params),
      exportNode: (params) => exportNode(ctx, models, params),
      keepCopy: (params, emit, signal) => this.#archives.make(params, emit, signal),
      lookInCopy: ({ file }) => this.#archives.look(file),
      takeCopy: ({ file }, emit, signal) => this.#archives.take(file, emit, signal),
      exportFolder: (params, emit, signal) => exportFolder(ctx, models, params, emit, signal),
      exportMlc: (params, emit, signal) => exportMlc(ctx, models, params, emit, signal),
      stockLibraries: ({ nodeId }) => stockLibraries(ctx, nodeId),
      webllmModels: () => listModels(ctx),
      deleteBundle: ({ url }) => deleteBundle(ctx, models, url),
      recipes: ({ nodeId, prompts }) => this.#tasks.recipes(nodeId, prompts),
      keepPrompts: ({ name, file }) => this.#tasks.keep(name, file),
      prompts: () => this.#tasks.list(),
      deletePrompts: async ({ id }) => {
        await runs.requireUnused(id);
        await ctx.store.deletePrompts(id);
        return this.#tasks.list();
      },
      inspectData: (params, emit, signal) => this.#data.inspect(params, emit, signal),
      importData: (params, emit, signal) => this.#data.import(params, emit, signal),
      datasets: () => this.#data.list(),
      datasetRows: ({ id, from, count }) => this.#data.rows(id, from, count),
      deleteDataset: ({ id }) => this.#data.remove(id),
      pairDefaults: ({ nodeId }) => this.#pairs.defaults(nodeId),
      keptPairs: () => this.#pairs.kept(),
      keepPairs: (form) => this.#pairs.keep(form),
      pairsAgain: ({ manifest }) => this.#pairs.again(manifest),
      pairCategories: ({ datasets }, _emit, signal) => this.#pairs.categories(datasets, signal),
      buildPairs: (params, emit, signal) => {
        const build = () => this.#pairs.build(params, emit, signal);
        return params.settings.similarity === 'hidden' ? this.#guest.own(build) : build();
      },
      pairsPage: ({ from, count, order }) => this.#pairs.page(from, count, order),
      usePairs: ({ name }) => this.#pairs.use(name),
      exportPairs: () => this.#pairs.files(),
      world: async () =>
        this.#chat.info((await ctx.store.nodes()).find((n) => n.root !== null)?.seeds.world ?? 0),
      checkPrompt: ({ prompt, nodeIds }) => this.#chat.check(prompt, nodeIds),
      memoryPlan: ({ nodeId }) => planNode(ctx, nodeId),
      setBudget: ({ bytes }) => setBudget(ctx, bytes),
      estimate: (params, _emit, signal) => this.#estimates.estimate(params, signal),
      train: async (params) => {
        // what a step of another attack holds is room that a run may need
        await this.#scrubs.release();
        return runs.train(params);
      },
      control: ({ runId, control }) => runs.control(runId, control),
      runs: () => runs.list(),
      reopenRun: ({ runId }) => runs.reopen(runId),
      discardRun: async ({ runId }) => {
        await runs.discard(runId);
        return null;
      },
      generate: (params, emit, signal) => this.#chat.generate(params, emit, signal),
      evaluate: (params, emit, signal) => this.#evaluations.evaluate(params, emit, signal),
      measure: (params, emit, signal) => this.#measurements.measure(params, emit, signal),
      choose: (params, emit, signal) => this.#choices.choose(params, emit, signal),
      chosen: () => this.#choices.all(),
      conflict: (params, emit, signal) => this.#insights.conflict(params, emit, signal),
      landscape: (params, emit, signal) => this.#insights.landscape(params, emit, signal),
      insights: ({ nodeId }) => this.#insights.kept.all(nodeId),
      deleteInsight: (name) => this.#insights.kept.remove(name),
      measured: ({ nodeId }) => this.#measurements.list(nodeId),
      unfinished: ({ nodeId }) => unfinished(ctx, nodeId),
      evaluations: ({ nodeId }) => this.#evaluations.list(nodeId),
      look: (params, emit, signal) => this.#looks.look(params, emit, signal),
      looks: ({ nodeId }) => this.#looks.list(nodeId),
      scrubAttacks: () => this.#scrubs.attacks(),
      scrubAnswer: (params, _emit, signal) => this.#scrubs.answer(params, signal),
      scrubLook: (params, emit, signal) => this.#scrubs.look(params, emit, signal),
      scrubLooks: ({ runId }) => this.#scrubs.looks(runId),
      scrubEnd: async () => {
        await this.#scrubs.release();
        return null;
      },
      inspect: (params, _emit, signal) => inspect(ctx, models, this.#chat, params, signal),
      auditSheet: ({ fresh }) => this.#audits.sheet(fresh),
      auditLabel: ({ digest, verdict }) => this.#audits.label(digest, verdict),
      auditResult: (_params, emit, signal) => this.#audits.result(emit, signal),
      auditLines: () => this.#audits.lines(),
      llmModels: () => this.#llms.list(),
      llmCalibrate: (params, emit, signal) => this.#llms.calibrate(params, emit, signal),
      llmScore: (params, emit, signal) => this.#llms.score(params, emit, signal),
      llmScores: (params) => this.#llms.scores(params),
      llmChat: (params, emit, signal) => this.#llms.chat(params, emit, signal),
      llmCrossCheck: (params, emit, signal) => this.#llms.crossCheck(params, emit, signal),
      llmUnload: () => this.#llms.unload(),
      selfCheck: (params, emit, signal) => selfCheck(ctx, params, emit, signal),
      profile: async (params, _emit, signal) => {
        const { profileStep } = await import('./profile.ts');
        return profileStep(ctx, models, params, signal);
      },
      shaders: () => allShaders(),
      kernels: ({ again }, _emit, signal) => measureKernels(ctx, again, signal),
      memory: () => models.memory(),
      golden: ({ name, files }, _emit, signal) => runGolden(ctx, name, files, signal),
      releaseAll: async () => {
        await this.#guest.leave();
        return this.#release();
      },
      rebuild: () => this.#rebuild(),
    };
  }

  /** Frees every buffer that nobody is using; a run is checkpointed first. */
  async #release(): Promise<MemoryInfo> {
    await this.runs.release();
    await this.#scrubs.release();
    await this.ctx.gate.run(PRIORITY.chat, async () => this.models.release());
    return this.models.memory();
  }

  async #init(modelsUrl: string): Promise<InitResult> {
    const { ctx } = this;
    ctx.modelsUrl = modelsUrl;
    const store = await ctx.openStore();
    const orphans = await store.sweep(await lockedRuns());
    const opened = await ctx.openDevice();
    if (opened) await recallKernels(ctx);
    return {
      capabilities: opened && ctx.capabilities(),
      gpuError: ctx.gpuError,
      nodes: await store.nodes(),
      readable: await this.models.opened.readable(),
      runs: await this.runs.list(),
      storage: await storageFigures(),
      budget: await budgetOf(ctx),
      swept:
        orphans > 0 ? [`${orphans} half-written checkpoints or data sets of a closed tab were removed.`] : [],
    };
  }

  async #rebuild(): Promise<Capabilities> {
    if (await this.ctx.openDevice()) {
      await recallKernels(this.ctx);
      return this.ctx.capabilities();
    }
    const { what, safe, next } = this.ctx.gpuError!;
    throw new LabError('no-adapter', what, { safe, next });
  }
}
