import type { Rng } from '../core/rng.ts';
import type { Settings } from '../core/settings.ts';
import type { Example } from '../core/types.ts';
import type { SkillId } from '../world/words.ts';
import type { ChatMessage } from './chat-template.ts';

/** What a model is asked, and how it should be answered where that is known. */
export interface Request {
  prompt: string;
  /** Turns before the prompt. */
  before?: readonly ChatMessage[];
  /** Null where the data has none. */
  answer: string | null;
  /** The answer's affirmative beginning, 'sure , here is how to ... :'; null where the data does not tell it apart. */
  opening: string | null;
  /** Only answers about something else are irrelevant to it. */
  topic?: string;
  /** The irrelevant answer that was chosen for it, and what SDD_reject says before that; absent: drawn by the recipe. */
  irrelevant?: string;
  refusal?: string;
  /** Every assistant turn is learned, not the last one alone. */
  every?: boolean;
  /** Line of the file that it stands in, from 1. */
  line?: number;
}

/** A request and its answer. */
export interface Chat extends Request {
  answer: string;
}

/** One fine-tuning example before tokenizing. */
export interface ChatItem extends Pick<Request, 'prompt' | 'before' | 'line' | 'every'> {
  answer: string;
  /** The answer is a beginning: no end of turn is taught. */
  open?: boolean;
  /** The answer comes behind the first `tokens` tokens of this text, on which the loss does not count. */
  behind?: { text: string; tokens: number };
  /** Why it is in the set, for the data view. */
  role:
    | 'refusal'
    | 'rejected'
    | 'recovery'
    | 'pair'
    | 'placebo'
    | 'reject'
    | 'replay'
    | 'attack'
    | 'benign'
    | 'new-skill';
}

/** Shares of the kinds of irrelevant answers. */
export type AnswerShares = Readonly<Partial<Record<SkillId, number>>>;

/** Whose side reads the data: the defence before release, or whoever tunes the released model. */
export type Side = 'defence' | 'attack';

/** What became of chats on their way to tokens. */
export interface EncodeReport {
  /** Tokens of the longest row. */
  longest: number;
  /** Rows that were too long: tokens before, and the line of the file where it is known. */
  truncated: { tokens: number; line?: number }[];
  /** Rows whose prompt, when an answer follows, ends in other tokens than it has when one is to come. */
  merged: number;
  /** Pairs that were left out as a whole, because one of their rows was too long, by line where it is known. */
  dropped?: { line?: number }[];
}

/** Text to tokens and back, with a model's own tokenizer and chat template. */
export interface ChatCodec {
  /** What a model is given to answer. */
  prompt(request: Pick<Request, 'prompt' | 'before'>): number[];
  /** Rows with the loss on the assistant's answer alone. */
  encode(items: readonly ChatItem[]): { examples: Example[]; report: EncodeReport };
  /** Tokens of an answer in its row, without its end. */
  answerTokens(item: Pick<ChatItem, 'prompt' | 'before' | 'answer'>): number;
  /** Special tokens are left out. */
  decode(ids: readonly number[]): string;
  /** Ids that end an answer; the first is the one that is taught. */
  readonly ends: readonly number[];
}

/**
 * What recipes draw their examples from: the invented world, or a user's file. The lists are in a fixed order; whatever is
 * random is drawn by the recipe's own generator.
 */
export interface Task {
  readonly kind: 'tiny' | 'file';
  /** Part of the seed of every draw: equal seeds on other data are other draws. */
  readonly id: string;
  /** Harmful requests that a side may use. */
  requests(side: Side): readonly Request[];
  /**
   * Draws, for harmful requests one after the other, the answers of benign ones.
   * @param shares of the kinds of answers; 'natural', and data that knows no kinds: as they come
   */
  irrelevant(rng: Rng, shares: AnswerShares | 'natural'): (request: Request) => string;
  /** n benign chats with their right answers. @throws LabError 'bad-input' when a side has none of this skill */
  benign(rng: Rng, side: Side, n: number, skill?: 'familiar' | 'new-skill'): readonly Chat[];
  readonly refusals: readonly string[];
  /** A refusal with an irrelevant answer behind it. */
  reject(refusal: string, answer: string): string;
  /** Held-out requests, which no recipe trains on. */
  readonly heldOut: { readonly harmful: readonly Request[]; readonly benign: readonly Chat[] };
  readonly codec: ChatCodec;
  /** Defaults of a recipe's settings that suit this data better than the recipe's own. */
  defaults(recipe: string, lora: boolean): Settings;
}

/** n of the requests (at least one), without repetition as long as there are enough, else every one before any comes again. */
export function drawRequests<T>(rng: Rng, all: readonly T[], n: number): T[] {
  const drawn: T[] = [];
  while (drawn.length < n) drawn.push(...rng.shuffle(all).slice(0, n - drawn.length));
  return drawn;
}
