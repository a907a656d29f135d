/** Multiple choice by opened models on imported questions. */
import type { EngineClient } from './client.ts';
import { errorInfo } from './client.ts';
import type { ChoiceOrder, Chosen, ErrorInfo } from '../worker/protocol.ts';

export class Choices {
  #client: EngineClient;
  #abort: AbortController | null = null;

  /** Newest first. */
  results = $state.raw<readonly Chosen[]>([]);
  underWay = $state.raw<{ done: number; total: number } | null>(null);
  error = $state.raw<ErrorInfo | null>(null);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  async refresh(): Promise<void> {
    this.results = await this.#client.request('chosen', {});
  }

  async choose(order: ChoiceOrder): Promise<void> {
    if (this.#abort) return;
    const { signal } = (this.#abort = new AbortController());
    this.error = null;
    this.underWay = { done: 0, total: 0 };
    try {
      await this.#client.request('choose', order, { signal, onEvent: (e) => (this.underWay = e) });
      await this.refresh();
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.error = info;
    } finally {
      this.#abort = null;
      this.underWay = null;
    }
  }

  stop(): void {
    this.#abort?.abort();
  }
}
