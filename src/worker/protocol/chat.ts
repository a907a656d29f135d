/** Questions, answers and their tokens. */
import type { ErrorInfo } from './device.ts';
import type { VerdictInfo } from './nodes.ts';

export interface Sampling {
  /** 0 = greedy. */
  temperature: number;
  topK: number;
  topP: number;
  seed: number;
  maxNewTokens: number;
  /** Alternatives reported per token, at most 8. */
  alternatives: number;
}

export const GREEDY: Sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 0,
  maxNewTokens: 40,
  alternatives: 4,
};

export interface TokenView {
  id: number;
  /** As shown, with the space before it where one belongs. */
  text: string;
  /** Natural logarithm of the probability that the model gave it. */
  logprob: number;
  alternatives: { text: string; logprob: number }[];
}

export type GenerateEvent =
  | { type: 'token'; nodeId: string; index: number; token: TokenView }
  | { type: 'done'; nodeId: string; answer: NodeAnswer }
  /** This node could not answer; the others go on. */
  | { type: 'failed'; nodeId: string; error: ErrorInfo };

export interface NodeAnswer {
  nodeId: string;
  prompt: string;
  text: string;
  tokens: TokenView[];
  /** The model ended its turn; false where the answer was cut at the limit. */
  ended: boolean;
  /** Null where the judge has no opinion (a prompt that the world does not know), or where there is none. */
  verdict: VerdictInfo | null;
  /** Of an everyday question from the world's own list: whether this is its answer, word for word. Null for every other one. */
  correct: boolean | null;
  /** Which judge gave it, and how the text was made; `none`: an opened model, of whose answers the world knows nothing. */
  judge: 'exact-rules' | 'none';
  greedy: boolean;
}

/** The world's words and prompts, for the prompt picker and the sentence builder. */
export interface WorldInfo {
  seed: number;
  /** Words that the models know. */
  vocabulary: string[];
  categories: PromptCategory[];
  /** Forbidden procedures that the models know. */
  facts: number;
}

export interface PromptCategory {
  /** 'forbidden/open-vault', 'benign/capital', ... */
  id: string;
  forbidden: boolean;
  /** The category in the world's own words: 'open the ... vault'. */
  label: string;
  prompts: {
    text: string;
    /** The right answer, where there is one. */ reference: string | null;
    split: string;
  }[];
}

export interface PromptCheck {
  ok: boolean;
  unknown: { word: string; suggestions: string[] }[];
}
