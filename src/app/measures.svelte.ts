/** Measuring chosen checkpoints one after the other, and the reports made of it. */
import { readReport, type Report } from '../report/document.ts';
import type { Language } from '../report/words.ts';
import { EXACT_JUDGE } from '../core/verdicts.ts';
import {
  HELD_OUT,
  MEASURES_VERSION,
  type ErrorInfo,
  type Evaluation,
  type LabNode,
  type Measured,
} from '../worker/protocol.ts';
import { errorInfo, type EngineClient } from './client.ts';
import type { Evaluations } from './evaluations.svelte.ts';
import type { Laid } from './series.ts';
import { measureReport, nodeLines } from './measure-report.ts';
import type { MeasuredNode } from './measured.ts';

declare const __PROTOCOL__: NonNullable<Report['protocol']>;

/** The only judge before evaluations named theirs. */
const UNNAMED_JUDGE = 'exact@1';
/** Larger than any report of this lab. */
const MOST_BYTES = 64 * 2 ** 20;

export class Measures {
  #client: EngineClient;
  #evaluations: Evaluations;
  #abort: AbortController | null = null;

  /** The latest of each checkpoint, on the held-out set. */
  byNode = $state.raw<Record<string, Measured>>({});
  /** Null until something was chosen; none at all is a choice as well. */
  selected = $state.raw<readonly string[] | null>(null);
  /** Which checkpoint is measured, how far it is, and how many there are. */
  underWay = $state.raw<{ nodeId: string; place: number; of: number; done: number; total: number } | null>(
    null,
  );
  /** Why the last one that failed did, or why a file was not opened. */
  error = $state.raw<ErrorInfo | null>(null);
  /** Checkpoints that could not be measured when it was last tried. */
  failed = $state.raw<readonly string[]>([]);
  /** A report that was opened from a file. */
  opened = $state.raw<{ name: string; report: Report; otherProtocol: boolean } | null>(null);

  constructor(client: EngineClient, evaluations: Evaluations) {
    this.#client = client;
    this.#evaluations = evaluations;
  }

  toggle(nodeId: string): void {
    const now = this.selected ?? [];
    this.selected = now.includes(nodeId) ? now.filter((id) => id !== nodeId) : [...now, nodeId];
  }

  choose(nodeIds: readonly string[]): void {
    this.selected = nodeIds;
  }

  /** Brings in what is stored of the checkpoints. */
  async load(nodeIds: readonly string[]): Promise<void> {
    for (const nodeId of nodeIds) {
      await this.#evaluations.open(nodeId);
      const stored = await this.#client.request('measured', { nodeId }).catch(() => []);
      const latest = stored.find(
        (m) => m.facts === null && m.split === HELD_OUT && m.version === MEASURES_VERSION,
      );
      if (latest) this.byNode = { ...this.byNode, [nodeId]: latest };
    }
  }

  /**
   * Measures what is not measured yet, one checkpoint after the other; what was done stays when it is stopped, and one that
   * fails leaves the others theirs.
   */
  async measure(nodeIds: readonly string[]): Promise<void> {
    if (this.#abort) return;
    const abort = (this.#abort = new AbortController());
    const { signal } = abort;
    this.error = null;
    this.failed = [];
    for (const [i, nodeId] of nodeIds.entries()) {
      const at = { nodeId, place: i + 1, of: nodeIds.length };
      this.underWay = { ...at, done: 0, total: 0 };
      const done = await this.#measureOne(nodeId, signal, (e) => (this.underWay = { ...at, ...e }));
      if (signal.aborted) break;
      if (!done) this.failed = [...this.failed, nodeId];
    }
    this.#abort = null;
    this.underWay = null;
  }

  /** False where it failed or was stopped. */
  async #measureOne(
    nodeId: string,
    signal: AbortSignal,
    onEvent: (progress: { done: number; total: number }) => void,
  ): Promise<boolean> {
    try {
      // Why an evaluation failed is told where every evaluation tells it.
      if (!this.evaluation(nodeId) && !(await this.#evaluations.run(nodeId, { signal }))) return false;
      const measured = await this.#client.request(
        'measure',
        { nodeId, split: HELD_OUT, facts: null },
        { signal, onEvent },
      );
      this.byNode = { ...this.byNode, [nodeId]: measured };
      return true;
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.error = info;
      return false;
    }
  }

  stop(): void {
    this.#abort?.abort();
  }

  /** The latest evaluation by today's judge on the whole held-out set with the everyday tasks. */
  evaluation(nodeId: string): Evaluation | null {
    const all = this.#evaluations.byNode[nodeId] ?? [];
    return (
      all.find(
        (e) =>
          e.set === HELD_OUT && !e.quick && e.benign !== null && (e.judge ?? UNNAMED_JUDGE) === EXACT_JUDGE,
      ) ?? null
    );
  }

  rows(
    laid: readonly Laid[],
    from: (node: LabNode) => string,
    root: (node: LabNode) => LabNode,
  ): MeasuredNode[] {
    return laid.map(({ node, absent }) => ({
      node,
      absent,
      from: from(node),
      rootId: root(node).id,
      evaluation: this.evaluation(node.id),
      measured: this.byNode[node.id] ?? null,
    }));
  }

  report(rows: readonly MeasuredNode[], language: Language): Report {
    return measureReport(rows, {
      language,
      createdAt: new Date(),
      protocol: __PROTOCOL__,
      judge: EXACT_JUDGE,
    });
  }

  answers(rows: readonly MeasuredNode[]): string {
    return [...nodeLines(rows, EXACT_JUDGE)].join('');
  }

  /** Opens a report's JSON; a file that is none is refused in words and changes nothing. */
  async open(file: File): Promise<void> {
    this.error = null;
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
      this.error = errorInfo(e);
    }
  }

  close(): void {
    this.opened = null;
  }
}
