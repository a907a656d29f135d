/** Multiple choice by opened models on imported questions. */
import type { EngineClient } from './client.ts';
import { Job } from './job.svelte.ts';
import type { ChoiceOrder, Chosen } from '../worker/protocol.ts';

export class Choices {
  #client: EngineClient;
  readonly job = new Job<{ done: number; total: number }>();

  /** Newest first. */
  results = $state.raw<readonly Chosen[]>([]);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  async refresh(): Promise<void> {
    this.results = await this.#client.request('chosen', {});
  }

  async choose(order: ChoiceOrder): Promise<void> {
    await this.job.run({ done: 0, total: 0 }, async (how) => {
      await this.#client.request('choose', order, how);
      await this.refresh();
    });
  }
}
