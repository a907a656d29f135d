/** A model of WebLLM beside the lab's own: its list, the judge with its scores, the reference in Compare, the check of both engines. */
import type { EngineClient } from './client.ts';
import { Job } from './job.svelte.ts';
import type {
  CrossCheck,
  ErrorInfo,
  LlmEvent,
  LlmList,
  LlmScores,
  ReferenceAnswer,
  Sampling,
} from '../worker/protocol.ts';

/** How far work with a WebLLM model is. */
export type LlmProgress = LlmEvent | { stage: 'begin' };

const BEGIN: LlmProgress = { stage: 'begin' };

/** The reference's column in Compare. */
export class Reference {
  #client: EngineClient;
  readonly job = new Job<LlmProgress>();
  /** It answers every question of Compare. */
  on = $state(false);
  modelId = $state<string | null>(null);
  /** To what it was asked last. */
  prompt = $state<string | null>(null);
  text = $state('');
  answer = $state.raw<ReferenceAnswer | null>(null);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  /** Another model in its place; what the one before said goes. */
  choose(modelId: string | null): void {
    if (modelId === this.modelId) return;
    this.job.stop();
    this.modelId = modelId;
    this.prompt = null;
    this.text = '';
    this.answer = null;
  }

  /** Streams the answer; a question under way is stopped first. */
  async ask(prompt: string, sampling: Sampling): Promise<void> {
    const { modelId } = this;
    if (!this.on || modelId === null || prompt.trim() === '') return;
    this.job.stop();
    this.prompt = prompt;
    this.text = '';
    this.answer = null;
    await this.job.ended;
    await this.job.run(BEGIN, async ({ signal, onEvent }) => {
      this.answer = await this.#client.request(
        'llmChat',
        { modelId, prompt, sampling },
        {
          signal,
          onEvent: (event) => {
            if (event.stage === 'text') this.text += event.piece;
            else onEvent(event);
          },
        },
      );
    });
  }

  hide(): void {
    this.job.stop();
    this.on = false;
  }
}

export class Llm {
  #client: EngineClient;
  readonly reference: Reference;
  readonly listing = new Job<LlmProgress>();
  readonly judging = new Job<LlmProgress>();
  readonly checking = new Job<LlmProgress>();

  /** Null until somebody asked for it: the library comes with it. */
  list = $state.raw<LlmList | null>(null);
  judgeId = $state<string | null>(null);
  embedderId = $state<string | null>(null);
  scores = $state.raw<readonly LlmScores[]>([]);
  /** Why the rules had no verdict on some answers, the last time they were asked. */
  failed = $state.raw<readonly ErrorInfo[]>([]);
  check = $state.raw<CrossCheck | null>(null);

  constructor(client: EngineClient) {
    this.#client = client;
    this.reference = new Reference(client);
  }

  /** WebLLM's models; fetches its library the first time. */
  async open(): Promise<void> {
    if (!this.list) await this.#look();
  }

  /** Looks again, where somebody has looked: bundles came or went. */
  async relist(): Promise<void> {
    if (this.list) await this.#look();
  }

  async #look(): Promise<void> {
    await this.listing.run(BEGIN, async ({ signal }) => {
      const list = await this.#client.request('llmModels', {}, { signal });
      this.list = list;
      this.judgeId ??= list.suggested.chat;
      this.reference.modelId ??= list.suggested.chat;
      this.embedderId ??= list.suggested.embedding;
    });
  }

  /** Gives the reference's column to a model: it answers the next question in Compare. */
  async seat(modelId: string): Promise<void> {
    this.reference.choose(modelId);
    this.reference.on = true;
    await this.open();
  }

  /** What is kept of the answers of these checkpoints. */
  async refresh(nodeIds: readonly string[]): Promise<void> {
    const found = await this.#client.request('llmScores', { nodeIds: [...nodeIds] }).catch(() => null);
    if (found) this.scores = found;
  }

  async calibrate(nodeIds: readonly string[]): Promise<void> {
    const { judgeId: modelId } = this;
    if (modelId === null) return;
    await this.judging.run(BEGIN, async (how) => {
      await this.#client.request('llmCalibrate', { modelId }, how);
    });
    await this.refresh(nodeIds);
  }

  async score(nodeIds: readonly string[]): Promise<void> {
    const { judgeId: modelId } = this;
    if (modelId === null) return;
    this.failed = [];
    await this.judging.run(BEGIN, async (how) => {
      const found = await this.#client.request('llmScore', { modelId, nodeIds: [...nodeIds] }, how);
      this.failed = found.failed;
    });
    // also what came before a stop
    await this.refresh(nodeIds);
  }

  async crossCheck(modelId: string, nodeId: string, prompt: string): Promise<void> {
    this.check = null;
    await this.checking.run(BEGIN, async (how) => {
      this.check = await this.#client.request('llmCrossCheck', { modelId, nodeId, prompt }, how);
    });
  }

  /** Sends the model off the GPU. */
  async unload(): Promise<void> {
    this.reference.job.stop();
    this.judging.stop();
    await this.#client.request('llmUnload', {}).catch(() => null);
  }
}
