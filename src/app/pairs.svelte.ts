/** The builder of SDD pairs: what is chosen, what was built, and the page of it that is looked at. */
import { errorInfo, type EngineClient } from './client.ts';
import type { PromptsFiles } from './prompts.svelte.ts';
import type {
  Edits,
  ErrorInfo,
  Pair,
  PairDefaults,
  PairForm,
  PairOrder,
  PairProgress,
  PairSettings,
  PairsView,
  PromptsInfo,
  SourceRole,
} from '../worker/protocol.ts';

/** Pairs that are shown at once. */
export const SHOWN_PAIRS = 10;

/** Milliseconds. */
const KEEP_AFTER = 150;

const ROLES: readonly SourceRole[] = ['harmful', 'answers', 'attack', 'benign', 'eval'];

export class Pairs {
  #client: EngineClient;
  #prompts: PromptsFiles;
  #abort: AbortController | null = null;
  #restored = false;
  /** What was built on an earlier visit is to be built again. */
  #waits = false;
  #keeping: ReturnType<typeof setTimeout> | undefined;
  /** What was asked to be built last. */
  #asked = '';

  /** Ids of data sets by their use. */
  sources = $state<Record<SourceRole, string[]>>({
    harmful: [],
    answers: [],
    eval: [],
    attack: [],
    benign: [],
  });
  /** Null until the worker has told the defaults. */
  settings = $state<PairSettings | null>(null);
  defaults = $state.raw<PairDefaults | null>(null);
  seed = $state(0);
  /** The model whose hidden states compare. */
  nodeId = $state<string | null>(null);
  /** The embedding model of WebLLM that compares. */
  embedder = $state<string | null>(null);
  categories = $state.raw<readonly { category: string; there: number }[]>([]);
  edits = $state.raw<Edits>({});
  view = $state.raw<PairsView | null>(null);
  page = $state.raw<{ pairs: readonly Pair[]; total: number; from: number }>({
    pairs: [],
    total: 0,
    from: 0,
  });
  order = $state<PairOrder>('drawn');
  /** What is under way. */
  work = $state.raw<{ progress: PairProgress | null } | null>(null);
  /** Chosen settings are no longer those of what was built. */
  stale = $state(false);
  kept = $state.raw<PromptsInfo | null>(null);
  error = $state.raw<ErrorInfo | null>(null);
  /** Files of a manifest that are not imported. */
  missing = $state.raw<readonly string[]>([]);

  constructor(client: EngineClient, prompts: PromptsFiles) {
    this.#client = client;
    this.#prompts = prompts;
  }

  /** Goes on where an earlier visit was, once; what was built then is built again when the builder is opened. */
  async restore(): Promise<void> {
    if (this.#restored) return;
    this.#restored = true;
    await this.#try(async () => {
      const kept = await this.#client.request('keptPairs', {});
      if (!kept) return;
      this.#fill(kept);
      // a model may be slow to load, or its files gone: that waits for its user
      this.#waits = kept.built && kept.settings?.similarity === 'tfidf';
      await this.#countCategories();
    });
  }

  /** Fills the form from a manifest. */
  async again(manifest: File): Promise<void> {
    this.error = null;
    await this.#try(async () => {
      const { form, missing } = await this.#client.request('pairsAgain', { manifest });
      this.#fill(form);
      this.missing = missing;
      this.changed();
      await this.#countCategories();
    });
  }

  #fill({ sources, settings, seed, edits, nodeId, embedder = null }: PairForm): void {
    this.sources = sources;
    this.settings = settings ?? this.settings;
    this.seed = seed;
    this.edits = edits;
    this.nodeId = nodeId;
    this.embedder = embedder;
  }

  /** The form is kept a moment after its last change. */
  #keep(): void {
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => {
      const { sources, settings, seed, edits, nodeId, embedder } = this;
      const built = this.view !== null;
      const form = $state.snapshot({ sources, settings, seed, edits, nodeId, embedder, built });
      void this.#try(async () => void (await this.#client.request('keepPairs', form)));
    }, KEEP_AFTER);
  }

  /** What the form begins with, as it suits a model; what its user has set stays. */
  async open(nodeId: string | null): Promise<void> {
    await this.#try(async () => {
      const defaults = await this.#client.request('pairDefaults', { nodeId });
      const before = this.defaults?.total;
      this.defaults = defaults;
      this.settings ??= { ...defaults.settings, sample: { per: 'total', n: defaults.total } };
      if (this.settings.sample.per === 'total' && this.settings.sample.n === before)
        this.settings.sample.n = defaults.total;
    });
    const waits = this.#waits;
    this.#waits = false;
    if (waits) await this.build();
  }

  /** Takes a data set into a use, or out of it. */
  async choose(role: SourceRole, id: string, on: boolean): Promise<void> {
    const others = this.sources[role].filter((one) => one !== id);
    this.sources[role] = on ? [...others, id] : others;
    this.changed();
    if (role !== 'harmful') return;
    if (this.settings) this.settings.categories = null;
    await this.#countCategories();
  }

  async #countCategories(): Promise<void> {
    const datasets = [...this.sources.harmful];
    this.categories = [];
    if (datasets.length === 0) return;
    await this.#try(async () => {
      const categories = await this.#client.request('pairCategories', { datasets });
      if (datasets.join() === this.sources.harmful.join()) this.categories = categories;
    });
  }

  /** Whether a set holds what nobody should be helped with, by what it is used for. */
  readonly isHarmful = (role: SourceRole): boolean =>
    role === 'harmful' || role === 'attack' || role === 'eval';

  /** Its texts are not shown before somebody asks for them, whatever layout it came in. */
  usesAsHarmful(id: string): boolean {
    return ROLES.some((role) => this.isHarmful(role) && this.sources[role].includes(id));
  }

  /** Data sets that went are in no use any more. */
  forget(there: ReadonlySet<string>): void {
    for (const role of ROLES) {
      const left = this.sources[role].filter((id) => there.has(id));
      if (left.length !== this.sources[role].length) {
        this.sources[role] = left;
        this.changed();
      }
    }
  }

  /** The form says something else than what was built. */
  changed(): void {
    this.stale = this.view !== null;
    this.#keep();
  }

  /** Another threshold: what was asked for before is built again with it, whatever became of that. */
  settle(): void {
    if (this.view && this.#asked === this.#question()) void this.build();
    else this.changed();
  }

  /** All but the threshold and what is laid over the pairs. */
  #question(): string {
    const { sources, settings, seed, nodeId, embedder } = this;
    return JSON.stringify([sources, { ...settings, threshold: null }, seed, nodeId, embedder]);
  }

  /** False where it failed (`error` says why) or was stopped. */
  async build(): Promise<boolean> {
    const { settings } = this;
    if (!settings) return false;
    this.cancel();
    const abort = (this.#abort = new AbortController());
    this.error = null;
    this.missing = [];
    this.work = { progress: null };
    this.#asked = this.#question();
    try {
      const request = $state.snapshot({
        sources: this.sources,
        settings,
        seed: this.seed,
        edits: this.edits,
        nodeId: this.nodeId,
        embedder: this.embedder,
      });
      const onEvent = (progress: PairProgress): void => {
        if (this.#abort === abort) this.work = { progress };
      };
      const view = await this.#client.request('buildPairs', request, { signal: abort.signal, onEvent });
      this.view = view;
      this.stale = false;
      this.kept = null;
      this.#keep();
      await this.show(Math.min(this.page.from, Math.max(0, view.pairs + view.excluded - 1)));
      return true;
    } catch (e) {
      const info = errorInfo(e);
      if (this.#abort === abort) this.changed();
      if (info.code !== 'cancelled' && this.#abort === abort) this.error = info;
      return false;
    } finally {
      if (this.#abort === abort) {
        this.#abort = null;
        this.work = null;
      }
    }
  }

  cancel(): void {
    this.#abort?.abort();
  }

  /** Pairs from the `from`-th on. */
  async show(from: number, order = this.order): Promise<void> {
    await this.#try(async () => {
      const found = await this.#client.request('pairsPage', { from, count: SHOWN_PAIRS, order });
      this.order = order;
      this.page = { ...found, from };
    });
  }

  /** Changes a pair by hand; null: as it was drawn. @returns why it cannot be so; null: it is */
  async edit(id: string, change: Edits[string] | null): Promise<ErrorInfo | null> {
    const before = this.edits;
    const { [id]: _, ...others } = before;
    this.edits = change ? { ...others, [id]: change } : others;
    if (await this.build()) return null;
    // what was built is still what it was before
    this.edits = before;
    this.stale = false;
    this.#keep();
    const why = this.error;
    this.error = null;
    return why;
  }

  /** Keeps the pairs as a prompts file and chooses it for Defend and Attack. */
  async use(name: string): Promise<void> {
    await this.#try(async () => {
      this.kept = await this.#client.request('usePairs', { name });
      this.#prompts.add(this.kept);
    });
  }

  /** The files of what was built; null where that failed. */
  async files(): Promise<{ name: string; text: string }[] | null> {
    let files: { name: string; text: string }[] | null = null;
    await this.#try(async () => {
      files = (await this.#client.request('exportPairs', {})).files;
    });
    return files;
  }

  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (e) {
      this.error = errorInfo(e);
    }
  }
}
