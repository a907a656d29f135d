/** Looks at opened models by rules, and runs on their way to other machines and back. */
import type { Attempts } from './attempts.svelte.ts';
import { Job } from './job.svelte.ts';
import type { Look, TrainParams } from '../worker/protocol.ts';

export class Looks {
  #attempts: Attempts;
  /** With every answer, newest first; of the nodes whose answers were opened. */
  byNode = $state.raw<Record<string, Look[]>>({});
  /** How many were made or broken off on this page: what draws from them looks again. */
  made = $state(0);
  /** One model is asked at a time. */
  readonly job: Job<{ nodeId: string; done: number; total: number }>;

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
    this.job = new Job((error) => (attempts.error = error));
  }

  /** @param most prompts of each kind; null: all */
  async look(nodeId: string, prompts: string, most: number | null): Promise<void> {
    await this.job.run({ nodeId, done: 0, total: 0 }, ({ signal, onEvent }) =>
      this.request(nodeId, prompts, most, signal, (e) => onEvent({ nodeId, ...e })),
    );
  }

  /** The same as part of other work. What was answered stays when it is stopped or fails. */
  async request(
    nodeId: string,
    prompts: string,
    most: number | null,
    signal: AbortSignal,
    onEvent: (progress: { done: number; total: number }) => void,
  ): Promise<void> {
    try {
      await this.#attempts.client.request('look', { nodeId, prompts, most }, { signal, onEvent });
    } finally {
      await this.open(nodeId);
      this.made++;
    }
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
