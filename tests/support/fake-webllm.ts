/**
 * WebLLM without a GPU: the used part of its published declarations, word for word, with scripted faults. It judges by the words that
 * an answer shares with its request, which is a poor judge, but one whose scores a test can foresee. Imports types alone, so that it
 * can stand in the place of the library's chunk in the built page.
 */
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequestBase,
  ChatCompletionRequestNonStreaming,
  ChatCompletionRequestStreaming,
  Completion,
  CompletionCreateParamsBase,
  CompletionCreateParamsNonStreaming,
  CompletionCreateParamsStreaming,
  CreateEmbeddingResponse,
  EmbeddingCreateParams,
  MLCEngineConfig,
  ModelRecord,
} from '@mlc-ai/web-llm';
import type { Engine, WebLlmLibrary } from '../../src/llm/webllm.ts';

type Choice = ChatCompletion.Choice;
type TokenLogprob = NonNullable<NonNullable<Choice['logprobs']>['content']>[number];

const HOST = 'https://models.lab.invalid';
const LIBRARY = 'v0_2_86/base';

export const record = (model_id: string, more: Partial<ModelRecord> = {}): ModelRecord => ({
  model: `${HOST}/${model_id}`,
  model_id,
  model_lib: `${HOST}/${LIBRARY}/${model_id}.wasm`,
  vram_required_MB: 900,
  ...more,
});

export const RECORDS: ModelRecord[] = [
  record('Llama-3.2-1B-Instruct-q4f32_1-MLC', { vram_required_MB: 1129 }),
  record('Llama-3.2-1B-Instruct-q4f16_1-MLC', { vram_required_MB: 879 }),
  record('SmolLM2-135M-Instruct-q0f32-MLC', { vram_required_MB: 719 }),
  record('snowflake-arctic-embed-s-q0f32-MLC-b4', { vram_required_MB: 239, model_type: 1 }),
];

/** What goes wrong, and what is said. */
export interface Script {
  records?: ModelRecord[];
  cached?: readonly string[];
  /** Values of progress, by phase. */
  progress?: readonly number[];
  /** A load waits for it. */
  loading?: Promise<void>;
  /** As WebLLM does: a load that `unload()` stopped returns as if all had gone well. */
  abortReturns?: boolean;
  /** `unload()` does not stop a load at all. */
  deaf?: boolean;
  failReload?: () => Error | null;
  failCall?: () => Error | null;
  /** Tokens of an answer to a chat. */
  answer?: readonly string[];
  /** Each token waits for it. */
  token?: () => Promise<void>;
  /** Tokens that still come after an interrupt; WebLLM looks for it before the next one. */
  lateTokens?: number;
  /** First token of a constrained answer with its alternatives. */
  digits?: (request: string, answer: string) => { token: string; top: [string, number][] };
  /** Of completions without a template. */
  next?: (prompt: string) => [string, number][];
  embed?: (text: string) => { vector: number[]; tokens: number };
}

const named = (name: string, message: string): Error => Object.assign(new Error(message), { name });
/** As the library's classes name themselves. */
export const modelNotLoaded = (): Error =>
  named('ModelNotLoadedError', 'Model not loaded before trying to complete.');
export const exited = (): Error => named('ExitStatus', 'Program terminated with exit(1)');

const between = (text: string, open: string): string =>
  text.slice(text.indexOf(open) + open.length, text.indexOf('>>>', text.indexOf(open))).trim();

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[a-z]+/g) ?? [];

/** Five digits by how much of the request's end, its target, an unbroken answer takes up. */
function byWords(request: string, answer: string): { token: string; top: [string, number][] } {
  const target = wordsOf(request).slice(-4);
  const said = answer.toLowerCase();
  const broken = !/[.!]$/.test(answer.trim()) || !/^(sure|i|sorry|no)\b/.test(said);
  const score = !broken && said.includes(target.join(' ')) ? 5 : 1;
  const top = [1, 2, 3, 4, 5].map((d): [string, number] => [String(d), Math.log(d === score ? 0.8 : 0.05)]);
  return { token: String(score), top };
}

/** Sentences by their words: texts that share many lie near each other, and everything else near nothing. */
function bagOfWords(text: string): { vector: number[]; tokens: number } {
  const vector = new Array<number>(64).fill(0);
  const all = wordsOf(text.replace(/\[(CLS|SEP)\]/g, ''));
  for (const word of all) {
    let hash = 7;
    for (const letter of word.slice(0, 4)) hash = (hash * 31 + letter.charCodeAt(0)) % 61;
    vector[hash]! += word.length > 3 ? 1 : 0;
  }
  vector[63] = 0.01;
  return { vector, tokens: all.length + 2 };
}

export class FakeEngine implements Engine {
  static live = 0;
  static most = 0;
  readonly calls: string[] = [];
  #script: Script;
  #config: MLCEngineConfig;
  #model: string | null = null;
  #stopLoading: (() => void) | null = null;
  #interrupted = false;
  #busy = false;

  constructor(script: Script, config: MLCEngineConfig = {}) {
    this.#script = script;
    this.#config = config;
  }

  /** What the engine was told of a model. */
  record(modelId: string): ModelRecord | undefined {
    return this.#config.appConfig?.model_list.find((one) => one.model_id === modelId);
  }

  async reload(modelId: string | string[]): Promise<void> {
    this.calls.push(`reload ${String(modelId)}`);
    const {
      progress = [0, 0.5, 1, 0, 1, 0, 1],
      loading,
      abortReturns = true,
      deaf = false,
      failReload,
    } = this.#script;
    let stopped = false;
    const stop = new Promise<void>((resolve) => {
      this.#stopLoading = () => {
        stopped = true;
        resolve();
      };
    });
    for (const value of progress) {
      this.#config.initProgressCallback?.({ progress: value, timeElapsed: 0, text: `at ${value}` });
      await Promise.resolve();
    }
    if (loading) await (deaf ? loading : Promise.race([loading, stop]));
    if (stopped && !deaf) {
      if (abortReturns) return;
      throw named('AbortError', 'aborted');
    }
    const failure = failReload?.();
    if (failure) throw failure;
    this.#model = String(modelId);
    FakeEngine.most = Math.max(FakeEngine.most, ++FakeEngine.live);
  }

  async unload(): Promise<void> {
    this.calls.push('unload');
    this.#stopLoading?.();
    if (this.#model !== null) FakeEngine.live--;
    this.#model = null;
  }

  interruptGenerate(): void {
    this.calls.push('interrupt');
    this.#interrupted = true;
  }

  /** One call at a time, as the engine's own lock would have it; two at once are the adapter's mistake. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) throw new Error('two calls at once');
    this.#busy = true;
    try {
      const failure = this.#script.failCall?.();
      if (failure) {
        if (failure.name === 'ModelNotLoadedError') await this.unload();
        throw failure;
      }
      if (this.#model === null) throw modelNotLoaded();
      return await work();
    } finally {
      this.#busy = false;
    }
  }

  chatCompletion(request: ChatCompletionRequestNonStreaming): Promise<ChatCompletion>;
  chatCompletion(request: ChatCompletionRequestStreaming): Promise<AsyncIterable<ChatCompletionChunk>>;
  chatCompletion(
    request: ChatCompletionRequestBase,
  ): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion>;
  async chatCompletion(
    request: ChatCompletionRequestBase,
  ): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion> {
    if (request.stream) return this.#stream();
    return this.#alone(async () => {
      const last = request.messages.at(-1)?.content;
      const text = typeof last === 'string' ? last : '';
      const { token, top } = (this.#script.digits ?? byWords)(
        between(text, '<<<REQUEST'),
        between(text, '<<<ANSWER'),
      );
      await this.#script.token?.();
      return completed(this.#model!, token, [logprob(token, top)]);
    });
  }

  async *#stream(): AsyncGenerator<ChatCompletionChunk> {
    const { answer = ['I ', 'cannot ', 'help ', 'with ', 'that.'], token, lateTokens = 0 } = this.#script;
    this.#interrupted = false;
    this.#busy = true;
    let late = 0;
    try {
      const failure = this.#script.failCall?.();
      if (failure) throw failure;
      if (this.#model === null) throw modelNotLoaded();
      for (const piece of answer) {
        if (this.#interrupted && late++ >= lateTokens) break;
        await token?.();
        yield chunk(this.#model, { content: piece, role: 'assistant' }, null);
      }
      yield chunk(this.#model, {}, this.#interrupted ? 'abort' : 'stop');
    } finally {
      this.#busy = false;
    }
  }

  completion(request: CompletionCreateParamsNonStreaming): Promise<Completion>;
  completion(request: CompletionCreateParamsStreaming): Promise<AsyncIterable<Completion>>;
  completion(request: CompletionCreateParamsBase): Promise<AsyncIterable<Completion> | Completion>;
  async completion(request: CompletionCreateParamsBase): Promise<AsyncIterable<Completion> | Completion> {
    return this.#alone(async () => {
      const top = (this.#script.next ?? (() => [[' a', Math.log(0.5)]] as [string, number][]))(
        request.prompt,
      );
      const [first] = top;
      return {
        id: 'fake',
        choices: [
          {
            finish_reason: 'length' as const,
            index: 0,
            logprobs: { content: [logprob(first?.[0] ?? '', top)] },
            text: first?.[0] ?? '',
          },
        ],
        created: 0,
        model: this.#model!,
        object: 'text_completion' as const,
      };
    });
  }

  async embedding(request: EmbeddingCreateParams): Promise<CreateEmbeddingResponse> {
    return this.#alone(async () => {
      if (typeof request.input !== 'string') throw new Error('one text a call');
      const { vector, tokens } = (this.#script.embed ?? bagOfWords)(request.input);
      if (tokens > 512) throw named('EmbeddingExceedContextWindowSizeError', 'too long');
      return {
        data: [{ embedding: vector, index: 0, object: 'embedding' }],
        model: this.#model!,
        object: 'list',
        usage: { prompt_tokens: tokens, total_tokens: tokens, extra: { prefill_tokens_per_s: 1 } },
      };
    });
  }
}

const logprob = (token: string, top: readonly [string, number][]): TokenLogprob => ({
  token,
  bytes: null,
  logprob: top.find(([text]) => text === token)?.[1] ?? -Infinity,
  top_logprobs: top.map(([text, lp]) => ({ token: text, bytes: null, logprob: lp })),
});

const completed = (model: string, content: string, tokens: TokenLogprob[]): ChatCompletion => ({
  id: 'fake',
  choices: [
    {
      finish_reason: 'length',
      index: 0,
      logprobs: { content: tokens },
      message: { content, role: 'assistant' },
    },
  ],
  model,
  object: 'chat.completion',
  created: 0,
});

const chunk = (
  model: string,
  delta: ChatCompletionChunk.Choice['delta'],
  finish_reason: ChatCompletionChunk.Choice['finish_reason'],
): ChatCompletionChunk => ({
  id: 'fake',
  choices: [{ delta, finish_reason, index: 0 }],
  model,
  object: 'chat.completion.chunk',
  created: 0,
});

export interface FakeLibrary extends WebLlmLibrary {
  engines: FakeEngine[];
}

/** A library whose engines follow the script as it stands when they are asked. */
export function fakeLibrary(script: Script = {}): FakeLibrary {
  const engines: FakeEngine[] = [];
  return {
    engines,
    MLCEngine: class extends FakeEngine {
      constructor(config?: MLCEngineConfig) {
        super(script, config);
        engines.push(this);
      }
    },
    prebuiltAppConfig: { model_list: script.records ?? RECORDS },
    modelVersion: LIBRARY,
    hasModelInCache: async (modelId) => (script.cached ?? []).includes(modelId),
  };
}
