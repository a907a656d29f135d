/** Verdicts on held-out questions: those under way, and those that were opened or made. */
import type { Attempts } from './attempts.svelte.ts';
import { errorInfo } from './client.ts';
import { HELD_OUT, type EvalSet, type Evaluation } from '../worker/protocol.ts';

/** An evaluation under way. */
export interface EvalProgress {
  set: EvalSet;
  done: number;
  total: number;
}

export class Evaluations {
  #attempts: Attempts;

  /** Full evaluations (with answers) by node id, newest first. */
  byNode = $state.raw<Record<string, Evaluation[]>>({});
  underWay = $state.raw<Record<string, EvalProgress>>({});
  /** How many were made on this page: what draws from them looks again. */
  made = $state(0);

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
  }

  /** Judges a node on a held-out set; null when it was cancelled or failed. */
  async run(
    nodeId: string,
    options: { set?: EvalSet; benign?: boolean; quick?: boolean; signal?: AbortSignal } = {},
  ): Promise<Evaluation | null> {
    const { set = HELD_OUT, benign = true, quick = false, signal } = options;
    this.underWay = { ...this.underWay, [nodeId]: { set, done: 0, total: 0 } };
    try {
      const result = await this.#attempts.client.request(
        'evaluate',
        { nodeId, set, benign, quick },
        {
          ...(signal && { signal }),
          onEvent: (e) => (this.underWay = { ...this.underWay, [nodeId]: { set, ...e } }),
        },
      );
      const others = (this.byNode[nodeId] ?? []).filter(
        (e) => !(e.partial && e.set === set && e.quick === quick),
      );
      this.byNode = { ...this.byNode, [nodeId]: [result, ...others] };
      this.made++;
      return result;
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.#attempts.error = info;
      // its verdicts may be there without its everyday tasks
      const stored = await this.#attempts.client.request('evaluations', { nodeId }).catch(() => null);
      if (stored) this.byNode = { ...this.byNode, [nodeId]: stored };
      return null;
    } finally {
      const { [nodeId]: _, ...rest } = this.underWay;
      this.underWay = rest;
    }
  }

  /** Brings the stored evaluations of a node (with their answers) into `byNode`. */
  async open(nodeId: string): Promise<void> {
    const stored = await this.#attempts.try('evaluations', { nodeId });
    if (stored) this.byNode = { ...this.byNode, [nodeId]: stored };
  }
}
