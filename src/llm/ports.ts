/**
 * What the lab asks of another engine for language models beside its own. One adapter (webllm.ts) stands behind these ports, so that
 * tests and later engines can take its place. Everything said to a user is a LabError.
 */

/** A model that the other engine offers. */
export interface LlmModel {
  id: string;
  kind: 'chat' | 'embedding';
  /** GPU memory that its makers name, in bytes; null: they name none. */
  bytes: number | null;
  /** It computes with 16-bit floats, which not every GPU has. */
  f16: boolean;
  /** All its files are in this browser. */
  cached: boolean;
  /** A checkpoint that this lab put into WebLLM's cache, not a model as its makers released it. */
  own: boolean;
}

export type LlmState =
  | { phase: 'empty' }
  | { phase: 'loading'; modelId: string }
  | { phase: 'ready'; modelId: string }
  /** The GPU took the model's memory back: it has to be loaded again. */
  | { phase: 'lost'; modelId: string };

export interface LoadProgress {
  /** 0..1, never falling. */
  share: number;
  /** The engine's own words. */
  text: string;
}

export interface LoadOptions {
  /** GPU memory that the user allows, in bytes; null: no limit is set. */
  most?: number | null;
  onProgress?: (progress: LoadProgress) => void;
  signal?: AbortSignal;
}

export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface ChatOptions {
  maxTokens: number;
  /** 0: the most likely token each time. */
  temperature: number;
  seed: number;
  /** Told each piece as it comes; nothing more after an abort. */
  onText?: (piece: string) => void;
  signal?: AbortSignal;
}

export interface ChatAnswer {
  text: string;
  /** The model ended its turn; false where it was cut at maxTokens. */
  ended: boolean;
}

/** A generated token with the most likely ones in its place; natural logarithms of probabilities. */
export interface TokenChances {
  text: string;
  logprob: number;
  top: { text: string; logprob: number }[];
}

export interface CompleteOptions {
  maxTokens: number;
  seed: number;
  /** EBNF that the answer must follow; chats only. */
  grammar?: string;
  signal?: AbortSignal;
}

/** Alternatives for each token, the most that the adapter gives. */
export const TOP = 5;

export interface LlmPort {
  /** Name and version of the library, as scores are signed. */
  readonly library: string;
  readonly state: LlmState;
  models(): Promise<LlmModel[]>;
  /**
   * Puts a model on the GPU in the place of the one before.
   * @throws LabError before anything is started where the model cannot work here; 'cancelled' once the GPU is free again
   */
  load(modelId: string, options?: LoadOptions): Promise<void>;
  /** @throws LabError 'device-lost' where the model has to be loaded again; 'cancelled' at once */
  chat(messages: readonly Message[], options: ChatOptions): Promise<ChatAnswer>;
  /** Tokens at temperature 1 with their TOP alternatives. `prompt` is text without a chat template. */
  complete(
    ask: { messages: readonly Message[] } | { prompt: string },
    options: CompleteOptions,
  ): Promise<TokenChances[]>;
  /** Frees the GPU; what is under way is stopped. */
  unload(): Promise<void>;
}

/** One text as the engine's embedding model sees it, as it comes. */
export interface RawEmbedding {
  vector: number[];
  /** That the text has. */
  tokens: number;
}

export interface RawEmbedder {
  readonly library: string;
  readonly state: LlmState;
  load(modelId: string, options?: LoadOptions): Promise<void>;
  /** @throws LabError 'too-large' where the text has more tokens than the model takes */
  embedRaw(text: string, signal?: AbortSignal): Promise<RawEmbedding>;
}

/** The same text twice must be the same direction, but for rounding. */
export const LEAST_SAME = 0.9999;
/** A paraphrase must be nearer than anything unrelated, by so much. */
export const LEAST_MARGIN = 0.05;

export interface SelfTest {
  reliable: boolean;
  /** Lowest cosine of a text with itself, asked again between others; 1 where the engine repeats itself. */
  same: number;
  /** Lowest cosine of a sentence and its paraphrase, less the highest of two unrelated ones. */
  margin: number;
}

export interface EmbedPort {
  readonly id: string;
  load(options?: LoadOptions): Promise<void>;
  /** Unit vectors, one a text. */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]>;
  /** Whether what it says can be used at all. */
  selfTest(signal?: AbortSignal): Promise<SelfTest>;
}

export interface ScoreItem {
  prompt: string;
  answer: string;
}

export interface Score {
  /** Expectation over the digits 1 to 5. */
  score: number;
  /** Probability of each digit, renormalised over the five. */
  digits: [number, number, number, number, number];
}

export interface JudgePort {
  /** Model, library and version: whose score it is. */
  readonly id: string;
  score(
    items: readonly ScoreItem[],
    options?: {
      signal?: AbortSignal;
      /** Told each score as it comes, in order. */
      onScore?: (score: Score, index: number) => void;
    },
  ): Promise<Score[]>;
}
