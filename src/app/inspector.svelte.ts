/** The token inspector of Compare: one answer's tokens, as the model that wrote it and the others beside it saw them. */
import { partsAt } from '../core/sights.ts';
import { errorInfo, type EngineClient } from './client.ts';
import type { Compare } from './compare.svelte.ts';
import type { ErrorInfo, TokenInspection } from '../worker/protocol.ts';

export class Inspector {
  readonly #client: EngineClient;
  readonly #compare: Compare;
  #abort: AbortController | null = null;

  /** The column that is looked at. */
  nodeId = $state<string | null>(null);
  /** Ids of the models beside it, in the order of the figures. */
  others = $state.raw<string[]>([]);
  found = $state.raw<TokenInspection | null>(null);
  error = $state.raw<ErrorInfo | null>(null);
  busy = $state(false);

  constructor(client: EngineClient, compare: Compare) {
    this.#client = client;
    this.#compare = compare;
    compare.onAsk = () => this.close();
  }

  /** Where the greedy answers of the others part from this one, by token; the same models with greedy answers alone. */
  get parts(): { nodeId: string; at: number }[] {
    const own = this.nodeId === null ? null : this.#compare.answers[this.nodeId]?.answer;
    if (!own?.greedy) return [];
    return this.others.flatMap((nodeId) => {
      const answer = this.#compare.answers[nodeId]?.answer;
      if (!answer?.greedy || this.found?.apart.some((a) => a.nodeId === nodeId)) return [];
      const ids = (of: typeof answer): number[] => of.tokens.map((t) => t.id);
      const at = partsAt(ids(own), ids(answer));
      return at === null ? [] : [{ nodeId, at }];
    });
  }

  /** Never throws. */
  async open(nodeId: string): Promise<void> {
    this.close();
    const answer = this.#compare.answers[nodeId]?.answer;
    if (!answer) return;
    const abort = (this.#abort = new AbortController());
    this.nodeId = nodeId;
    this.others = this.#compare.selected.filter((id) => id !== nodeId);
    this.busy = true;
    try {
      const { prompt, tokens } = answer;
      const params = { nodeId, others: [...this.others], prompt, ids: tokens.map((t) => t.id) };
      const found = await this.#client.request('inspect', params, { signal: abort.signal });
      if (!abort.signal.aborted) this.found = found;
    } catch (e) {
      if (!abort.signal.aborted) this.error = errorInfo(e);
    } finally {
      if (!abort.signal.aborted) this.busy = false;
    }
  }

  close(): void {
    this.#abort?.abort();
    this.nodeId = null;
    this.found = null;
    this.error = null;
    this.busy = false;
  }
}
