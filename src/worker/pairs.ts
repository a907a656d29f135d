/** Builds SDD pairs of imported data sets, and keeps the last result for who looks through it. */
import { parseLlamaConfig, tensorShapes } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { draftPairs, SimilarityCache, type Draft } from '../data/pairs/build.ts';
import { readEdits } from '../data/pairs/edits.ts';
import { readManifest } from '../data/pairs/manifest.ts';
import { UNLABELLED } from '../data/pairs/sample.ts';
import { ATTACK_SIZES, PAPER, pairSettings, sampleFor, THRESHOLDS } from '../data/pairs/settings.ts';
import {
  itemsOf,
  LeftOuts,
  SOURCE_ROLES,
  sourceId,
  type Source,
  type Sources,
} from '../data/pairs/sources.ts';
import type { SimilarityPort } from '../data/pairs/similarity.ts';
import type { Built } from '../data/pairs/types.ts';
import { builtFiles, trained, type BuiltFiles } from '../data/pairs/write.ts';
import { unpackRows, type PackedRows } from '../data/readers/block.ts';
import { pooledPort } from '../eval/pooled.ts';
import type { EmbedPort } from '../llm/ports.ts';
import { HiddenStates } from '../model/hidden.ts';
import type { Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import type {
  DatasetInfo,
  LabNode,
  PairDefaults,
  PairForm,
  PairOrder,
  PairProgress,
  PairRequest,
  PairsAgain,
  Pair,
  PairSettings,
  PairsView,
  PromptsInfo,
  SourceRole,
} from './protocol.ts';
import type { Tasks } from './tasks.ts';

/** Of the store's settings: the form as it stands. */
const FORM = 'pairs';

/** Tokens of one pass over texts that are compared. */
const PASS_TOKENS = 1024;

/** Work with an embedding model of WebLLM on the GPU. */
export type Embedders = <T>(
  modelId: string,
  how: { signal: AbortSignal; onLoad: (share: number) => void },
  work: (embedder: EmbedPort) => Promise<T>,
) => Promise<T>;

export class PairBuilder {
  #embedders: Embedders | null;
  #ctx: Context;
  #models: Models;
  #tasks: Tasks;
  #cache = new SimilarityCache();
  /** Rows of the data sets that the last build used. */
  #rows = new Map<string, Source>();
  #draft: { key: string; draft: Draft } | null = null;
  /** Of each model that compared: what was made with a port goes on with it. */
  #ports = new Map<string, LentPort>();
  #built: Built | null = null;

  /** @param embedders null: there are none here */
  constructor(ctx: Context, models: Models, tasks: Tasks, embedders: Embedders | null = null) {
    this.#embedders = embedders;
    this.#ctx = ctx;
    this.#models = models;
    this.#tasks = tasks;
  }

  async defaults(nodeId: string | null): Promise<PairDefaults> {
    const node = nodeId === null ? undefined : await this.#ctx.store.node(nodeId);
    return {
      settings: pairSettings(),
      thresholds: THRESHOLDS,
      attackSizes: ATTACK_SIZES,
      total: sampleFor(node ? parametersOf(node) : null),
      paper: PAPER,
    };
  }

  /** What of the kept form still holds; null where none is kept. */
  async kept(): Promise<PairForm | null> {
    const form = (await this.#ctx.store.setting(FORM)) as PairForm | undefined;
    if (!form) return null;
    const there = new Set((await this.#ctx.store.datasets.list()).map(({ id }) => id));
    const sources = sourcesOf((role) => (form.sources[role] ?? []).filter((id) => there.has(id)));
    const whole = SOURCE_ROLES.every((role) => sources[role].length === (form.sources[role] ?? []).length);
    return {
      ...form,
      sources,
      settings: form.settings && stillGood(form.settings),
      built: form.built && whole,
    };
  }

  async keep(form: PairForm): Promise<Record<string, never>> {
    await this.#ctx.store.setSetting(FORM, form);
    return {};
  }

  /** @throws LabError 'bad-input' when it is no manifest */
  async again(file: Blob): Promise<PairsAgain> {
    const { seed, settings, edits, sources: wanted } = readManifest(jsonOf(await file.text()));
    const ids = new Map(
      (await this.#ctx.store.datasets.list()).map(({ id, info }) => [sourceId(info as DatasetInfo), id]),
    );
    const sources = sourcesOf((role) =>
      wanted.flatMap((one) => (one.role === role ? (ids.get(sourceId(one)) ?? []) : [])),
    );
    const missing = wanted.filter((one) => !ids.has(sourceId(one))).map(({ name }) => name);
    return {
      form: { sources, settings, seed, edits, nodeId: null, built: false },
      missing: [...new Set(missing)],
    };
  }

  /** The categories of harmful data sets and how many instructions have each. */
  async categories(
    ids: readonly string[],
    signal: AbortSignal,
  ): Promise<{ category: string; there: number }[]> {
    const sources = await this.#sources({ harmful: [...ids] }, signal);
    const items = await itemsOf('harmful', sources.harmful ?? [], new LeftOuts(), { signal });
    const counts = new Map<string, number>();
    for (const { categories } of items)
      for (const name of categories.length > 0 ? categories : [UNLABELLED])
        counts.set(name, (counts.get(name) ?? 0) + 1);
    return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([category, there]) => ({ category, there }));
  }

  /**
   * Embeddings that fail their self-test compare nothing: the pairs are built by words, and the view says so.
   * @throws LabError as draftPairs
   */
  async build(
    request: PairRequest,
    emit: (progress: PairProgress) => void,
    signal: AbortSignal,
  ): Promise<PairsView> {
    const settings = pairSettings(request.settings);
    const { nodeId, embedder = null } = request;
    if (settings.similarity === 'hidden' && nodeId !== null) {
      const node = await this.#ctx.node(nodeId);
      return this.#compared(node, signal, (port) =>
        this.#made(request, settings, node.id, port, emit, signal),
      );
    }
    if (settings.similarity !== 'webllm' || !this.#embedders || embedder === null)
      return this.#made(request, settings, null, null, emit, signal);
    const onLoad = (share: number): void =>
      emit({ stage: 'load', done: Math.round(100 * share), total: 100 });
    return this.#embedders(embedder, { signal, onLoad }, async (model) => {
      const test = await model.selfTest(signal);
      if (test.reliable)
        return this.#made(
          request,
          settings,
          model.id,
          this.#lent(model.id, embeddingPort(model)),
          emit,
          signal,
        );
      const words = pairSettings({ ...settings, similarity: 'tfidf', threshold: THRESHOLDS.tfidf });
      return { ...(await this.#made(request, words, null, null, emit, signal)), unreliable: test };
    });
  }

  /** @param by who compares, for a draft to be known by */
  async #made(
    { sources: ids, seed, edits }: PairRequest,
    settings: PairSettings,
    by: string | null,
    port: SimilarityPort | null,
    emit: (progress: PairProgress) => void,
    signal: AbortSignal,
  ): Promise<PairsView> {
    const changes = readEdits(edits);
    const key = JSON.stringify([ids, settings, seed, by]);
    const watch = {
      signal,
      progress: (stage: PairProgress['stage'], done: number, total: number) => emit({ stage, done, total }),
    };
    if (this.#draft?.key !== key) {
      this.#draft = null;
      const sources = (await this.#sources(ids, signal)) as Sources;
      const draft = await draftPairs(sources, settings, seed, {
        cache: this.#cache,
        watch,
        ...(port && { port }),
      });
      this.#draft = { key, draft };
    }
    this.#built = await this.#draft.draft(changes);
    return viewOf(this.#built);
  }

  page(from: number, count: number, order: PairOrder): { pairs: Pair[]; total: number } {
    const { pairs } = this.#require();
    const listed =
      order === 'similar'
        ? [...pairs].sort((a, b) => b.similarity - a.similarity)
        : order === 'changed'
          ? pairs.filter((pair) => pair.edited || pair.excluded)
          : pairs;
    return { pairs: listed.slice(from, from + count), total: listed.length };
  }

  /** Keeps what was built as a prompts file, with its manifest, for Defend and Attack. */
  async use(name: string): Promise<PromptsInfo> {
    const files = this.#files();
    return this.#tasks.keep(name, new Blob([files['prompts.jsonl']]), files['manifest.json']);
  }

  files(): { files: { name: string; text: string }[] } {
    return { files: Object.entries(this.#files()).map(([name, text]) => ({ name, text: text as string })) };
  }

  #files(): BuiltFiles {
    return builtFiles(this.#require(), new Date().toISOString());
  }

  #require(): Built {
    if (this.#built) return this.#built;
    throw new LabError('not-found', 'No pairs are built.', {
      safe: 'The data sets are as they were.',
      next: 'Build them again: the same sets, seed and settings give the same pairs.',
    });
  }

  async #sources(
    ids: PairRequest['sources'],
    signal: AbortSignal,
  ): Promise<Partial<Record<keyof Sources, Source[]>>> {
    const wanted = new Set(Object.values(ids).flat());
    for (const id of this.#rows.keys()) if (!wanted.has(id)) this.#rows.delete(id);
    for (const id of wanted) {
      if (this.#rows.has(id)) continue;
      const rows = await this.#ctx.store.datasets.rows(id, 0, Infinity, (block) =>
        unpackRows(block as PackedRows),
      );
      const { name, sha256, layout, header, mapping } = (await this.#ctx.store.datasets.get(id))!
        .info as DatasetInfo;
      this.#rows.set(id, { name, sha256, layout, header, mapping, rows });
      signal.throwIfAborted();
    }
    const sources: Partial<Record<keyof Sources, Source[]>> = {};
    for (const role of SOURCE_ROLES)
      if (ids[role] && ids[role].length > 0) sources[role] = ids[role].map((id) => this.#rows.get(id)!);
    return sources;
  }

  #lent(id: string, inner: SimilarityPort): SimilarityPort {
    const port = this.#ports.get(id) ?? new LentPort(inner);
    this.#ports.set(id, port);
    port.lend(inner);
    return port;
  }

  /** With a model on the GPU for as long as the work lasts, each batch of texts in its turn. */
  async #compared<T>(
    node: LabNode,
    signal: AbortSignal,
    work: (port: SimilarityPort) => Promise<T>,
  ): Promise<T> {
    if (node.root !== null)
      throw new LabError('bad-input', `'${node.name}' reads the words of the tiny world alone.`, {
        safe: 'Nothing was built, and the sets are as they were.',
        next: 'Choose a model that you opened, or compare by words (TF-IDF).',
      });
    const { tokenizer } = await this.#models.opened.text(await this.#ctx.rootId(node));
    return this.#models.use(node, async ({ generator }) => {
      const hidden = new HiddenStates(generator.model, PASS_TOKENS);
      try {
        const inner = pooledPort(
          `${node.name} (${node.weightsDigest.slice(0, 16)})`,
          hidden,
          (text) => tokenizer.encode(text, { add: true }),
          (turn) => this.#ctx.gate.run(PRIORITY.evaluation, turn, signal),
        );
        return await work(this.#lent(node.id, inner));
      } finally {
        hidden.destroy();
      }
    });
  }
}

/** One text at a time: what stands beside it in a batch would change its vector. */
const embeddingPort = (model: EmbedPort): SimilarityPort => ({
  id: model.id,
  batch: 1,
  embed: (texts, signal) => model.embed(texts, signal),
});

const sourcesOf = (ids: (role: SourceRole) => string[]): PairForm['sources'] =>
  Object.fromEntries(SOURCE_ROLES.map((role) => [role, ids(role)])) as PairForm['sources'];

/** Null: an earlier lab kept them, and they are none today. */
function stillGood(settings: PairSettings): PairSettings | null {
  try {
    return pairSettings(settings);
  } catch {
    return null;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // no manifest
  }
}

function parametersOf(node: LabNode): number {
  const shapes = [...tensorShapes(parseLlamaConfig(node.modelConfig)).values()];
  return shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

/** A port to a model that is on the GPU now and then: drafts and similarities outlive the loan, and need it again. */
class LentPort implements SimilarityPort {
  readonly id: string;
  readonly batch: number;
  #inner: SimilarityPort;

  constructor(inner: SimilarityPort) {
    this.id = inner.id;
    this.batch = inner.batch;
    this.#inner = inner;
  }

  lend(inner: SimilarityPort): void {
    this.#inner = inner;
  }

  embed(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]> {
    return this.#inner.embed(texts, signal);
  }
}

function viewOf(built: Built): PairsView {
  const { settings, seed, pairs, pairing, harmful, benign, categories, border, leftOut, notes } = built;
  const kept = trained(pairs);
  return {
    settings,
    seed,
    pairs: kept.length,
    excluded: pairs.length - kept.length,
    edited: kept.filter((pair) => pair.edited).length,
    unpaired: built.unpaired.length,
    redraws: pairing.redraws,
    reused: pairing.reused,
    attack: harmful.attack.length,
    heldOut: harmful.eval.length,
    benign: {
      defence: benign.defence.length,
      attack: benign.attack.length,
      eval: benign.eval.length,
    },
    categories,
    first: pairing.first,
    border,
    leftOut,
    notes,
    sources: built.sources.map(({ role, name }) => ({ role, name })),
  };
}
