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
  createdAt: number;
}
