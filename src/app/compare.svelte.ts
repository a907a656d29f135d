/** State of Compare: which checkpoints, which prompt, and their answers as they stream in. */
import { errorInfo, type EngineClient } from './client.ts';
import {
  GREEDY,
  type ErrorInfo,
  type NodeAnswer,
  type PromptCheck,
  type Sampling,
  type TokenView,
} from '../worker/protocol.ts';

/** One column: tokens so far, and the finished answer with its verdict when it is there. */
export class LiveAnswer {
  readonly nodeId: string;
  readonly prompt: string;
  tokens = $state.raw<TokenView[]>([]);
  answer = $state.raw<NodeAnswer | null>(null);
  /** Why this checkpoint could not answer. */
  error = $state.raw<ErrorInfo | null>(null);

  constructor(nodeId: string, prompt: string) {
    this.nodeId = nodeId;
    this.prompt = prompt;
  }

  /** Shown text: the finished one, or the pieces so far. */
  get text(): string {
    return this.answer?.text ?? this.tokens.map((t) => t.text).join('');
  }
}

export class Compare {
  #client: EngineClient;
  #abort: AbortController | null = null;

  /** Ordered ids of the checkpoints side by side. */
  selected = $state.raw<string[]>([]);
  prompt = $state('');
  sampling = $state<Sampling>({ ...GREEDY });
  /** Which words of the prompt the models do not know; null while unchecked. */
  check = $state.raw<PromptCheck | null>(null);
  /** By node id; holds the answers to the last prompt that was asked. */
  answers = $state.raw<Record<string, LiveAnswer>>({});
  busy = $state(false);
  error = $state.raw<ErrorInfo | null>(null);
  /** Told when another question is asked. */
  onAsk: () => void = () => {};

  constructor(client: EngineClient) {
    this.#client = client;
  }

  select(ids: string[]): void {
    this.selected = [...new Set(ids)];
  }

  toggle(id: string): void {
    this.selected = this.selected.includes(id)
      ? this.selected.filter((x) => x !== id)
      : [...this.selected, id];
  }

  forget(ids: readonly string[]): void {
    this.selected = this.selected.filter((id) => !ids.includes(id));
    this.answers = Object.fromEntries(Object.entries(this.answers).filter(([id]) => !ids.includes(id)));
  }

  /** Asks the tokenizer about the current prompt; call it while the user types. */
  async checkPrompt(): Promise<PromptCheck | null> {
    const prompt = this.prompt;
    if (prompt.trim() === '') return (this.check = null);
    try {
      const check = await this.#client.request('checkPrompt', { prompt, nodeIds: [...this.selected] });
      if (prompt === this.prompt) this.check = check;
      return check;
    } catch (e) {
      this.error = errorInfo(e);
      return null;
    }
  }

  /**
   * Streams the answers of the selected checkpoints; a question under way is cancelled. Never throws.
   * @param sampling default: as the user has set it
   */
  async ask(sampling: Sampling = $state.snapshot(this.sampling)): Promise<NodeAnswer[]> {
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    const { prompt, selected } = this;
    const live = Object.fromEntries(selected.map((id) => [id, new LiveAnswer(id, prompt)]));
    this.onAsk();
    this.answers = live;
    this.error = null;
    this.busy = true;
    try {
      return await this.#client.request(
        'generate',
        { nodeIds: [...selected], prompt, sampling },
        {
          signal: abort.signal,
          onEvent: (event) => {
            const column = live[event.nodeId];
            if (!column) return;
            if (event.type === 'token') column.tokens = [...column.tokens, event.token];
            else if (event.type === 'done') column.answer = event.answer;
            else column.error = event.error;
          },
        },
      );
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.error = info;
      return [];
    } finally {
      if (this.#abort === abort) {
        this.#abort = null;
        this.busy = false;
      }
    }
  }

  cancel(): void {
    this.#abort?.abort();
  }
}
