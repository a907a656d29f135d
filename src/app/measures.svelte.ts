/** Measuring chosen checkpoints one after the other, and the reports made of it. */
import { readReport, type Report } from '../report/document.ts';
import { say, type Language } from '../report/words.ts';
import { EXACT_JUDGE } from '../core/verdicts.ts';
import {
  type LlmScores,
  HELD_OUT,
  MEASURES_VERSION,
  type AuditResult,
  type Chosen,
  type Evaluation,
  type LabNode,
  type Measured,
  type PromptsInfo,
  type Unfinished,
} from '../worker/protocol.ts';
import { errorInfo, type EngineClient } from './client.ts';
import type { Evaluations } from './evaluations.svelte.ts';
import { Job } from './job.svelte.ts';
import type { Looks } from './looks.svelte.ts';
import { measureReport, nodeLines } from './measure-report.ts';
import type { MeasuredNode, OpenedNode } from './measured.ts';
import { openedLines } from './opened-report.ts';
import type { Laid } from './series.ts';

declare const __PROTOCOL__: NonNullable<Report['protocol']>;

/** The only judge before evaluations named theirs. */
const UNNAMED_JUDGE = 'exact@1';
/** Larger than any report of this lab. */
const MOST_BYTES = 64 * 2 ** 20;

export class Measures {
  #client: EngineClient;
  #evaluations: Evaluations;
  #looks: Looks;
  /** One checkpoint is measured after the other: which, how far it is, and how many there are. */
  readonly job = new Job<{ nodeId: string; place: number; of: number; done: number; total: number }>();

  /** The latest of each checkpoint, on the held-out set. */
  byNode = $state.raw<Record<string, Measured>>({});
  /** What was begun on each checkpoint and is not done. */
  unfinished = $state.raw<Record<string, readonly Unfinished[]>>({});
  /** Null until something was chosen; none at all is a choice as well. */
  selected = $state.raw<readonly string[] | null>(null);
  /** Checkpoints that could not be measured when it was last tried. */
  failed = $state.raw<readonly string[]>([]);
  /** A report that was opened from a file. */
  opened = $state.raw<{ name: string; report: Report; otherProtocol: boolean } | null>(null);

  constructor(client: EngineClient, evaluations: Evaluations, looks: Looks) {
    this.#client = client;
    this.#evaluations = evaluations;
    this.#looks = looks;
  }

  toggle(nodeId: string): void {
    const now = this.selected ?? [];
    this.selected = now.includes(nodeId) ? now.filter((id) => id !== nodeId) : [...now, nodeId];
  }

  choose(nodeIds: readonly string[]): void {
    this.selected = nodeIds;
  }

  /** Brings in what is stored of the checkpoints. */
  async load(nodes: readonly Pick<LabNode, 'id' | 'root'>[]): Promise<void> {
    for (const { id, root } of nodes) {
      await (root === null ? this.#looks.open(id) : this.#evaluations.open(id));
      await this.#recall(id, root !== null);
    }
  }

  /** What is stored beside evaluations and looks. */
  async #recall(nodeId: string, tiny: boolean): Promise<void> {
    const [stored, unfinished] = await Promise.all([
      tiny ? this.#client.request('measured', { nodeId }).catch(() => []) : [],
      this.#client.request('unfinished', { nodeId }).catch(() => []),
    ]);
    const latest = stored.find(
      (m) => m.facts === null && m.split === HELD_OUT && m.version === MEASURES_VERSION,
    );
    if (latest) this.byNode = { ...this.byNode, [nodeId]: latest };
    this.unfinished = { ...this.unfinished, [nodeId]: unfinished };
  }

  /**
   * Measures what is not measured yet, one checkpoint after the other; what was done stays when it is stopped, and one that
   * fails leaves the others theirs.
   * @param prompts the file that opened models are asked with
   */
  async measure(nodes: readonly Pick<LabNode, 'id' | 'root'>[], prompts: string | null): Promise<void> {
    if (this.job.underWay) return;
    this.failed = [];
    const [first] = nodes;
    if (!first) return;
    await this.job.run(
      { nodeId: first.id, place: 1, of: nodes.length, done: 0, total: 0 },
      async ({ signal, onEvent }) => {
        for (const [i, { id: nodeId, root }] of nodes.entries()) {
          const at = { nodeId, place: i + 1, of: nodes.length };
          onEvent({ ...at, done: 0, total: 0 });
          const tell = (e: { done: number; total: number }): void => onEvent({ ...at, ...e });
          const done = await this.#measureOne(nodeId, root === null ? prompts : null, signal, tell);
          if (!done) await this.#recall(nodeId, root !== null);
          if (signal.aborted) break;
          if (!done) this.failed = [...this.failed, nodeId];
        }
      },
    );
  }

  /** @param prompts of an opened model; null: of the tiny world. False where it failed or was stopped. */
  async #measureOne(
    nodeId: string,
    prompts: string | null,
    signal: AbortSignal,
    onEvent: (progress: { done: number; total: number }) => void,
  ): Promise<boolean> {
    try {
      if (prompts !== null) {
        await this.#looks.request(nodeId, prompts, null, signal, onEvent);
      } else {
        // Why an evaluation failed is told where every evaluation tells it.
        if (!this.evaluation(nodeId)?.benign && !(await this.#evaluations.run(nodeId, { signal })))
          return false;
        const params = { nodeId, split: HELD_OUT, facts: null } as const;
        const measured = await this.#client.request('measure', params, { signal, onEvent });
        this.byNode = { ...this.byNode, [nodeId]: measured };
      }
      this.unfinished = { ...this.unfinished, [nodeId]: [] };
      return true;
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.job.error = info;
      return false;
    }
  }

  /** The latest evaluation by today's judge on the whole held-out set, one with the everyday tasks where there is any. */
  evaluation(nodeId: string): Evaluation | null {
    const all = (this.#evaluations.byNode[nodeId] ?? []).filter(
      (e) => e.set === HELD_OUT && !e.quick && (e.judge ?? UNNAMED_JUDGE) === EXACT_JUDGE,
    );
    return all.find((e) => e.benign !== null) ?? all[0] ?? null;
  }

  /** Whether nothing is missing of it. */
  whole(nodeId: string): boolean {
    return Boolean(this.evaluation(nodeId)?.benign && this.byNode[nodeId]?.battery);
  }

  /** @param line a checkpoint with those above it, the untouched model first */
  rows(
    laid: readonly Laid[],
    from: (node: LabNode) => string,
    line: (node: LabNode) => readonly LabNode[],
  ): MeasuredNode[] {
    return laid.map(({ node, absent }) => ({
      node,
      absent,
      from: from(node),
      line: line(node),
      rootId: line(node)[0]!.id,
      evaluation: this.evaluation(node.id),
      measured: this.byNode[node.id] ?? null,
      unfinished: this.unfinished[node.id] ?? [],
    }));
  }

  /** @param file the prompts file that they are asked with */
  openedRows(
    nodes: readonly LabNode[],
    from: (node: LabNode) => string,
    file: PromptsInfo | null,
    chosen: readonly Chosen[],
    audit: AuditResult | null,
  ): OpenedNode[] {
    return nodes.map((node) => {
      const looks = (this.#looks.byNode[node.id] ?? []).filter((l) => l.prompts.id === file?.id);
      const asked = looks.map((l) => l.harmful.n + l.benign.n);
      const group = audit?.groups.find(
        (g) => g.prompts?.id === file?.id && g.rates.some((r) => r.nodeId === node.id),
      );
      return {
        node,
        from: from(node),
        file: file && { id: file.id, name: file.name, asks: file.harmful.eval + file.benign.eval },
        look: looks[asked.indexOf(Math.max(...asked))] ?? null,
        chosen: chosen.filter((c) => c.nodeId === node.id),
        audit: audit && group ? { group, judge: audit.judge } : null,
        unfinished: this.unfinished[node.id] ?? [],
      };
    });
  }

  /**
   * @param gpu the GPU that is open; null: none is
   * @param texts what opened models answered goes in as well
   * @param scores of language models as judges
   */
  report(
    rows: readonly MeasuredNode[],
    language: Language,
    opened: readonly OpenedNode[],
    gpu: string | null,
    texts = false,
    scores: readonly LlmScores[] = [],
  ): Report {
    return measureReport(
      rows,
      { language, createdAt: new Date(), protocol: __PROTOCOL__, judge: EXACT_JUDGE, gpu, texts, scores },
      opened,
    );
  }

  answers(
    rows: readonly MeasuredNode[],
    language: Language,
    opened: readonly OpenedNode[],
    texts = false,
  ): string {
    const theirs = texts ? openedLines(opened, (...args) => say(language, ...args)) : [];
    return [...nodeLines(rows, EXACT_JUDGE), ...theirs].join('');
  }

  /** Opens a report's JSON; a file that is none is refused in words and changes nothing. */
  async open(file: File): Promise<void> {
    this.job.error = null;
    try {
      // A file that is no report at all must not be read whole.
      const report = readReport(await file.slice(0, MOST_BYTES + 1).text());
      const { protocol } = report;
      this.opened = {
        name: file.name,
        report,
        otherProtocol: protocol !== null && protocol.sha256 !== __PROTOCOL__.sha256,
      };
    } catch (e) {
      this.job.error = errorInfo(e);
    }
  }

  close(): void {
    this.opened = null;
  }
}
