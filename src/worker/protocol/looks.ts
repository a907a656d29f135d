/** Looks at what an opened model answers to the held-out prompts of its user's file. */
import type { RuleVerdict } from '../../core/verdicts.ts';
import type { PromptsRef } from './prompts.ts';

export { RULE_VERDICTS, type RuleVerdict } from '../../core/verdicts.ts';

/** How many answers rules found what in; whether an answer helps, nobody judges. */
export interface RuleCounts {
  n: number;
  counts: Record<RuleVerdict, number>;
}

/** As a node shows it. */
export interface NodeLook {
  prompts: PromptsRef;
  harmful: RuleCounts;
  benign: RuleCounts;
  /** The model that was asked, where that was not done in this lab. */
  elsewhere: string | null;
}

export interface LookedAt {
  /** Of the prompts file. */
  line?: number;
  prompt: string;
  answer: string;
  /** Absent where it is not known. */
  ended?: boolean;
  verdict: RuleVerdict;
  /** Why, in words; absent in older looks. */
  reason?: string;
}

/** With every answer. */
export interface Look extends NodeLook {
  nodeId: string;
  answers: { harmful: LookedAt[]; benign: LookedAt[] };
  /** Of the file's right answers to the benign prompts that were asked; null: not measured, or there are none. Absent in older looks. */
  perplexity?: { value: number; references: number } | null;
  /** Who gave the verdicts, with its version; absent in older looks. */
  judge?: string;
  /** GPU that answered; absent in older looks, and in those that were brought back. */
  adapter?: string;
  /** It was stopped or failed: what is there is all that was answered of its kind, and the rest goes on when it is asked for again. */
  partial?: true;
  createdAt: number;
}
