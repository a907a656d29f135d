/** Looks at opened models by rules, and runs on their way to other machines and back. */
import type { Attempts } from './attempts.svelte.ts';
import { errorInfo } from './client.ts';
import type { Look, TrainParams } from '../worker/protocol.ts';

export class Looks {
  #attempts: Attempts;
  #abort: AbortController | null = null;

  /** With every answer, newest first; of the nodes whose answers were opened. */
  byNode = $state.raw<Record<string, Look[]>>({});
  /** One model is asked at a time. */
  underWay = $state.raw<{ nodeId: string; done: number; total: number } | null>(null);

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
  }

  /** @param most prompts of each kind; null: all */
  async look(nodeId: string, prompts: string, most: number | null): Promise<void> {
    if (this.underWay) return;
    const abort = (this.#abort = new AbortController());
    this.#attempts.error = null;
    this.underWay = { nodeId, done: 0, total: 0 };
    try {
      const look = await this.#attempts.client.request(
        'look',
        { nodeId, prompts, most },
        { signal: abort.signal, onEvent: (e) => (this.underWay = { nodeId, ...e }) },
      );
      this.byNode = { ...this.byNode, [nodeId]: [look, ...(this.byNode[nodeId] ?? [])] };
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.#attempts.error = info;
    } finally {
      this.#abort = null;
      this.underWay = null;
    }
  }

  stop(): void {
    this.#abort?.abort();
  }

  /** Brings the stored looks of a node into `byNode`. */
  async open(nodeId: string): Promise<void> {
    const stored = await this.#attempts.try('looks', { nodeId });
    if (stored) this.byNode = { ...this.byNode, [nodeId]: stored };
  }

  /** A run as files for several GPUs; null where it cannot be had. */
  async handoff(
    run: TrainParams,
    place: { base: string; gpus: number; confirm?: string },
  ): Promise<{ path: string; text: string }[] | null> {
    return (await this.#attempts.try('handoff', { run, ...place }))?.files ?? null;
  }
}
