/** Insights: those that ship, those that were computed here, and attack maps that fill from the user's own runs. */
import {
  MAP_RATES,
  MAP_STEPS,
  tellingFirst,
  type ConflictOrder,
  type ErrorInfo,
  type InsightDocument,
  type InsightMap,
  type InsightProgress,
  type LabNode,
  type LandscapeOrder,
  type StoredInsight,
} from '../worker/protocol.ts';
import { errorInfo } from './client.ts';
import type { About } from '../core/insights.ts';
import type { Lab } from './lab.svelte.ts';
import { isMapped, judgedBest, mapSeries, MAP_SEED, ownMap, type OwnMap } from './own-map.ts';
import { attacked } from './series.ts';

/** What the lab ships, made in a terminal. */
export type Recorded = InsightMap | InsightDocument;
const RECORDED = ['attack-map', 'conflict', 'landscape'] as const;

export interface InsightWork {
  what: 'conflict' | 'landscape' | 'map';
  done: number;
  total: number;
  /** Of a map: the run or look under way. */
  note?: { lr: number; steps: number };
  /** Checkpoints that it is computed for; of a map none. */
  nodeIds: readonly string[];
}

const KINDS = { conflict: 'gradient conflict', landscape: 'safety landscape' } as const;

/** What has come of the computation under way, or of one that could not be stored. */
export interface PartialInsight {
  document: InsightDocument;
  done: number;
  total: number;
}

export class Insights {
  #lab: Lab;
  #abort: AbortController | null = null;

  recorded = $state.raw<readonly Recorded[]>([]);
  /** Newest first. */
  stored = $state.raw<readonly StoredInsight[]>([]);
  underWay = $state.raw<InsightWork | null>(null);
  /** Of each kind; what was stored of it stands in `stored`. */
  partial = $state.raw<Record<'conflict' | 'landscape', PartialInsight | null>>({
    conflict: null,
    landscape: null,
  });
  error = $state.raw<ErrorInfo | null>(null);

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Brings in what ships and what is stored. */
  async load(): Promise<void> {
    await this.#recall();
    if (this.recorded.length > 0) return;
    const { readRecorded } = await import('./recorded-insights.ts');
    const found = await Promise.allSettled(RECORDED.map(readRecorded));
    this.recorded = found.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    const failed = found.find((one) => one.status === 'rejected');
    if (failed) this.error = errorInfo(failed.reason);
  }

  /** Stored insights of a kind that are not being computed now, newest first. */
  own(what: keyof typeof KINDS): StoredInsight[] {
    const work = this.underWay?.what === what ? this.underWay : null;
    return this.stored.filter(
      ({ document, nodeId, partial }) =>
        document.kind === KINDS[what] && !(partial && work?.nodeIds.includes(nodeId)),
    );
  }

  /** What is stored about a checkpoint, as it stands now. */
  about(nodeId: string): Promise<StoredInsight[]> {
    return this.#lab.client.request('insights', { nodeId }).catch(() => []);
  }

  /** Whether going on with it here takes over what it holds: this GPU and this version of the engine began it. */
  canGoOn({ document: { about }, partial }: StoredInsight): boolean {
    return (
      Boolean(partial?.done) && this.isFromHere(about) && about.code === this.#lab.capabilities?.engineVersion
    );
  }

  isFromHere({ adapter }: Pick<About, 'adapter'>): boolean {
    return adapter === this.#lab.gpuName;
  }

  /** Computes what was begun and is not done; of several conflicts all of one order at once. */
  goOn(begun: readonly StoredInsight[]): Promise<void> {
    const [first] = begun;
    if (!first) return Promise.resolve();
    const orders = begun.map(({ order }) => JSON.parse(order) as ConflictOrder & LandscapeOrder);
    if (first.document.kind === 'safety landscape') return this.landscape(orders[0]!);
    return this.conflict({ ...orders[0]!, nodeIds: orders.flatMap((o) => o.nodeIds) });
  }

  async remove(...insights: readonly StoredInsight[]): Promise<void> {
    this.error = null;
    try {
      for (const { nodeId, order, createdAt } of insights)
        this.stored = await this.#lab.client.request('deleteInsight', { nodeId, order, createdAt });
    } catch (e) {
      this.error = errorInfo(e);
    }
  }

  /** Checkpoints were deleted, and what was stored with them. */
  forget(nodeIds: readonly string[]): void {
    this.stored = this.stored.filter(({ nodeId }) => !nodeIds.includes(nodeId));
  }

  conflict(order: ConflictOrder): Promise<void> {
    return this.#compute('conflict', order.nodeIds, (o) => this.#lab.client.request('conflict', order, o));
  }

  landscape(order: LandscapeOrder): Promise<void> {
    return this.#compute('landscape', [order.nodeId], (o) => this.#lab.client.request('landscape', order, o));
  }

  stop(): void {
    this.#abort?.abort();
  }

  async #recall(): Promise<void> {
    this.stored = await this.#lab.client.request('insights', {}).catch(() => this.stored);
  }

  async #compute(
    what: keyof typeof KINDS,
    nodeIds: readonly string[],
    ask: (o: { signal: AbortSignal; onEvent: (e: InsightProgress) => void }) => Promise<unknown>,
  ): Promise<void> {
    if (this.#abort) return;
    const { signal } = (this.#abort = new AbortController());
    this.error = null;
    this.partial = { ...this.partial, [what]: null };
    this.underWay = { what, done: 0, total: 0, nodeIds };
    const onEvent = ({ done, total, soFar }: InsightProgress): void => {
      this.underWay = { what, done, total, nodeIds };
      if (soFar) this.partial = { ...this.partial, [what]: { document: soFar, done, total } };
    };
    let whole = false;
    try {
      await ask({ signal, onEvent });
      whole = true;
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.error = info;
    } finally {
      await this.#recall();
      const begun = (s: StoredInsight): boolean =>
        s.partial !== undefined && s.document.kind === KINDS[what] && nodeIds.includes(s.nodeId);
      if (whole || this.stored.some(begun)) this.partial = { ...this.partial, [what]: null };
      this.#abort = null;
      this.underWay = null;
    }
  }

  // -------------------------------------------------------------------------------------------------------- attack map

  /** The map of a model from the user's own attacks; null where the model is not judged yet. */
  mapOf(model: LabNode): OwnMap | null {
    const mft = this.#lab.recipe('mft');
    const { byNode } = this.#lab.evaluations;
    return mft && ownMap(model, this.#lab.nodes, mft, (id) => judgedBest(byNode[id] ?? []));
  }

  /** Whether the node is a model with attacks of a map, or one of these attacks. */
  isMapped(node: LabNode): boolean {
    const mft = this.#lab.recipe('mft');
    return mft !== null && isMapped(node, this.#lab.nodes, mft);
  }

  /** Brings in the stored verdicts of a model and of everything that attacks made of it. */
  async openMap(model: LabNode): Promise<void> {
    const { evaluations, nodes } = this.#lab;
    const own = nodes.filter((n) => n.id === model.id || (n.parentId === model.id && n.recipe === 'mft'));
    for (const node of own) if (!evaluations.byNode[node.id]) await evaluations.open(node.id);
  }

  /** Runs and judges the fields that are missing, the most telling rates first. Stopped, it goes on where it was. */
  async fillMap(model: LabNode): Promise<void> {
    const mft = this.#lab.recipe('mft');
    if (this.#abort || !mft) return;
    const { signal } = (this.#abort = new AbortController());
    this.error = null;
    this.#lab.dismissError();
    const total = MAP_RATES.length * MAP_STEPS.length;
    const own = Number(mft.settings.find((s) => s.key === 'lr')?.default ?? 1e-3);
    let done = 0;
    try {
      if (!(await this.#judge(model.id, signal))) return;
      for (const lr of tellingFirst(MAP_RATES, own)) {
        const series = mapSeries(mft, lr);
        const find = (steps: number): LabNode | undefined =>
          attacked(this.#lab.nodes, series, model.id, steps);
        const absent = MAP_STEPS.filter((steps) => !find(steps));
        this.underWay = {
          what: 'map',
          done,
          total,
          nodeIds: [],
          note: { lr, steps: absent.at(-1) ?? MAP_STEPS.at(-1)! },
        };
        if (absent.length > 0) {
          const run = await this.#lab.training.start({
            parentNodeId: model.id,
            recipe: mft.id,
            settings: series.settings,
            seed: MAP_SEED,
            saveAt: absent,
            probeEvery: 0,
          });
          if (!run) return;
          const stop = (): void => void this.#lab.training.control(run.id, { action: 'stop', discard: true });
          signal.addEventListener('abort', stop, { once: true });
          const how = await run.ended();
          signal.removeEventListener('abort', stop);
          // A rate at which training diverges leaves its further fields empty; the run itself says why.
          if (how !== 'finished' && (signal.aborted || run.head.error?.code !== 'non-finite')) return;
        }
        for (const steps of MAP_STEPS) {
          this.underWay = { what: 'map', done: ++done, total, nodeIds: [], note: { lr, steps } };
          const node = find(steps);
          if (node && !(await this.#judge(node.id, signal))) return;
        }
      }
    } finally {
      this.#abort = null;
      this.underWay = null;
    }
  }

  /** False where it was stopped or failed; the lab then says why. */
  async #judge(nodeId: string, signal: AbortSignal): Promise<boolean> {
    const { evaluations } = this.#lab;
    if (signal.aborted) return false;
    if (!evaluations.byNode[nodeId]) await evaluations.open(nodeId);
    if (judgedBest(evaluations.byNode[nodeId] ?? [])) return true;
    return (await evaluations.run(nodeId, { quick: true, signal })) !== null;
  }
}
