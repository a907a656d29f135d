/**
 * The one adapter to @mlc-ai/web-llm. The library comes by an injected import, so that nothing of its megabytes is fetched before
 * somebody asks for it, and tests put a fake in its place. It makes a GPUDevice of its own: whoever calls `load` sees to it that
 * nobody else holds the GPU's memory (src/worker/guest.ts).
 */
import type {
  ChatCompletionRequestBase,
  InitProgressReport,
  MLCEngineConfig,
  MLCEngineInterface,
  ModelRecord,
} from '@mlc-ai/web-llm';
import { LabError } from '../core/errors.ts';
import { callFailure, cancelled, isDead, loadFailure, lost, unknownModel } from './errors.ts';
import { filesUrl, listed, modelOf, requireFit, type AdapterFacts } from './models.ts';
import {
  TOP,
  type ChatAnswer,
  type ChatOptions,
  type CompleteOptions,
  type LlmModel,
  type LlmPort,
  type LlmState,
  type LoadOptions,
  type Message,
  type RawEmbedder,
  type RawEmbedding,
  type TokenChances,
} from './ports.ts';
import { Progress } from './progress.ts';
import { requireReachable, type Net } from './reach.ts';

type Library = typeof import('@mlc-ai/web-llm');

/** What the lab uses of an engine. */
export type Engine = Pick<
  MLCEngineInterface,
  'reload' | 'unload' | 'interruptGenerate' | 'chatCompletion' | 'completion' | 'embedding'
>;

/** What the lab uses of the library, by the library's own declarations. */
export interface WebLlmLibrary extends Pick<
  Library,
  'hasModelInCache' | 'prebuiltAppConfig' | 'modelVersion'
> {
  MLCEngine: new (config?: MLCEngineConfig) => Engine;
}

export interface WebLlmOptions {
  library: () => Promise<WebLlmLibrary>;
  /** Of the npm package. */
  version: string;
  /** Null: there is none. */
  adapter: () => Promise<AdapterFacts | null>;
  net: Net;
  /** Models beside the library's own list: those that the lab exported. @param stock the library's list */
  more?: (stock: readonly ModelRecord[]) => Promise<readonly ModelRecord[]>;
  /** Last word on a model of `more`, before it takes the GPU. @throws LabError why it must not be loaded */
  vet?: (record: ModelRecord, signal?: AbortSignal) => Promise<void>;
}

/** A stopped load that does not end by itself is given up after so long. */
const STOPPING_MS = 10_000;

export class WebLlm implements LlmPort, RawEmbedder {
  readonly library: string;
  #options: WebLlmOptions;
  #engine: Engine | null = null;
  #state: LlmState = { phase: 'empty' };
  #progress: (report: InitProgressReport) => void = () => {};
  /** Calls go one after the other; WebLLM blocks on its own lock otherwise, and an unload would cut in. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: WebLlmOptions) {
    this.#options = options;
    this.library = `@mlc-ai/web-llm ${options.version}`;
  }

  get state(): LlmState {
    return this.#state;
  }

  async models(): Promise<LlmModel[]> {
    const library = await this.#open();
    const { own, stock } = await this.#records(library);
    const records = listed([...own, ...stock]);
    const ours = new Set(own.map(({ model_id }) => model_id));
    const begun = await this.#options.net.cached('webllm/config');
    const modelList = { model_list: records };
    return Promise.all(
      records.map(async (record) => {
        // looking for every shard of every model takes long: only of those that were begun
        const maybe = begun.has(`${filesUrl(record)}mlc-chat-config.json`);
        const cached = maybe && (await library.hasModelInCache(record.model_id, modelList));
        return modelOf(record, { cached, own: ours.has(record.model_id) });
      }),
    );
  }

  load(modelId: string, options: LoadOptions = {}): Promise<void> {
    return this.#inTurn(() => this.#load(modelId, options));
  }

  async #load(modelId: string, { most = null, onProgress, signal }: LoadOptions): Promise<void> {
    if (signal?.aborted) throw cancelled();
    const library = await this.#open();
    const { own, stock } = await this.#records(library);
    const records = [...own, ...stock];
    const record = records.find((one) => one.model_id === modelId);
    if (!record) throw unknownModel(modelId);
    requireFit(record, { version: library.modelVersion, most, adapter: await this.#options.adapter() });
    const appConfig = { model_list: records };
    await requireReachable(record, this.#options.net, () => library.hasModelInCache(modelId, appConfig));
    if (own.includes(record)) await this.#options.vet?.(record, signal);
    if (signal?.aborted) throw cancelled();

    await this.#free();
    const progress = new Progress();
    this.#progress = ({ progress: raw, text }) => onProgress?.(progress.next(raw, text));
    this.#state = { phase: 'loading', modelId };
    const engine = new library.MLCEngine({
      appConfig,
      initProgressCallback: (report) => this.#progress(report),
      logLevel: 'SILENT',
    });
    try {
      await stoppable(engine, () => engine.reload(modelId), signal);
      this.#engine = engine;
      this.#state = { phase: 'ready', modelId };
    } catch (e) {
      this.#state = { phase: 'empty' };
      throw loadFailure(e, modelId);
    } finally {
      this.#progress = () => {};
    }
  }

  async chat(messages: readonly Message[], o: ChatOptions): Promise<ChatAnswer> {
    return this.#ask(o.signal, async (engine, modelId) => {
      const request = {
        ...this.#request(messages, modelId, o),
        temperature: o.temperature,
        stream: true,
      } as const;
      let text = '';
      let ended = false;
      // after an abort the tokens that are still on their way are read, so that the engine lets go of its lock, and dropped
      for await (const { choices } of await engine.chatCompletion(request)) {
        const [choice] = choices;
        if (!choice) continue;
        const piece = choice.delta.content ?? '';
        if (choice.finish_reason) ended = choice.finish_reason === 'stop';
        if (piece === '' || o.signal?.aborted) continue;
        text += piece;
        o.onText?.(piece);
      }
      return { text, ended };
    });
  }

  async complete(
    ask: { messages: readonly Message[] } | { prompt: string },
    o: CompleteOptions,
  ): Promise<TokenChances[]> {
    return this.#ask(o.signal, async (engine, modelId) => {
      // the chances are taken after the temperature, so that they are the model's own at 1 alone
      const chances = { temperature: 1, logprobs: true, top_logprobs: TOP };
      const { choices } =
        'prompt' in ask
          ? await engine.completion({ prompt: ask.prompt, max_tokens: o.maxTokens, seed: o.seed, ...chances })
          : await engine.chatCompletion({
              ...this.#request(ask.messages, modelId, o),
              ...chances,
              ...(o.grammar !== undefined && { response_format: { type: 'grammar', grammar: o.grammar } }),
              stream: false,
            });
      const content = choices[0]?.logprobs?.content ?? [];
      return content.map(({ token, logprob, top_logprobs }) => ({
        text: token,
        logprob,
        top: top_logprobs.map((one) => ({ text: one.token, logprob: one.logprob })),
      }));
    });
  }

  async embedRaw(text: string, signal?: AbortSignal): Promise<RawEmbedding> {
    return this.#ask(signal, async (engine) => {
      const { data, usage } = await engine.embedding({ input: text });
      return { vector: data[0]?.embedding ?? [], tokens: usage.prompt_tokens };
    });
  }

  unload(): Promise<void> {
    this.#engine?.interruptGenerate();
    return this.#inTurn(() => this.#free());
  }

  // ---------------------------------------------------------------------------------------------------------- within

  async #open(): Promise<WebLlmLibrary> {
    try {
      return await this.#options.library();
    } catch (cause) {
      throw new LabError('network', 'WebLLM, which comes with the lab, did not arrive.', {
        safe: 'Nothing was started.',
        next: 'Reload the page and try again.',
        cause,
      });
    }
  }

  async #records(
    library: WebLlmLibrary,
  ): Promise<{ own: readonly ModelRecord[]; stock: readonly ModelRecord[] }> {
    const stock = library.prebuiltAppConfig.model_list;
    return { own: (await this.#options.more?.(stock)) ?? [], stock };
  }

  #request(
    messages: readonly Message[],
    modelId: string,
    { maxTokens, seed }: { maxTokens: number; seed: number },
  ): ChatCompletionRequestBase {
    return {
      messages: messages.map(({ role, content }) => ({ role, content })),
      max_tokens: maxTokens,
      seed,
      // these think aloud first unless they are told not to; others take no such word
      ...(/^Qwen3/.test(modelId) && { extra_body: { enable_thinking: false } }),
    };
  }

  async #free(): Promise<void> {
    const engine = this.#engine;
    this.#engine = null;
    this.#state = { phase: 'empty' };
    // a dead one has nothing to free
    await engine?.unload().catch(() => {});
  }

  #ask<T>(
    signal: AbortSignal | undefined,
    call: (engine: Engine, modelId: string) => Promise<T>,
  ): Promise<T> {
    return this.#inTurn(async () => {
      if (signal?.aborted) throw cancelled();
      const engine = this.#engine;
      const { phase } = this.#state;
      if (phase === 'lost') throw lost(this.#state.modelId);
      if (!engine || phase !== 'ready')
        throw new LabError('not-found', 'No WebLLM model is loaded.', { next: 'Load one first.' });
      const { modelId } = this.#state;
      const stop = (): void => engine.interruptGenerate();
      signal?.addEventListener('abort', stop, { once: true });
      try {
        return await call(engine, modelId);
      } catch (e) {
        const error = callFailure(e, modelId);
        if (error.code === 'device-lost' || isDead(e)) {
          await this.#free();
          if (error.code === 'device-lost') this.#state = { phase: 'lost', modelId };
        }
        throw error;
      } finally {
        signal?.removeEventListener('abort', stop);
      }
    }, signal);
  }

  /** Work waits for that before it; an abort answers the caller at once, and what was begun still ends before the next. */
  #inTurn<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const mine = this.#turn.then(work, work);
    this.#turn = mine.catch(() => {});
    if (!signal) return mine;
    return new Promise<T>((resolve, reject) => {
      const abort = (): void => reject(cancelled());
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      mine.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
  }
}

/**
 * A load that an abort ends. WebLLM is told by `unload()`, and `reload()` may then return as if all had gone well, or go on to its
 * end where it was past the last place that looks: what counts is the caller's signal, and the GPU is free when this rejects.
 */
async function stoppable(
  engine: Engine,
  reload: () => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!signal) return reload();
  const stopped = new Promise<void>((resolve) =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  const loading = reload();
  await Promise.race([loading, stopped]).catch((e: unknown) => {
    if (!signal.aborted) throw e;
  });
  if (!signal.aborted) return;
  await engine.unload().catch(() => {});
  const givenUp = new Promise<void>((resolve) => setTimeout(resolve, STOPPING_MS));
  await Promise.race([loading.catch(() => {}), givenUp]);
  // it went on loading after it was told to stop
  await engine.unload().catch(() => {});
  throw cancelled();
}
