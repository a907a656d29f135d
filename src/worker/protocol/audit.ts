/** A person as judge: answers without their models, and what the labels say of the rules. */
import type { CoarseKind } from '../../core/verdicts.ts';
import type { ErrorInfo } from './device.ts';
import type { PromptsRef } from './prompts.ts';
import type { Interval } from '../../core/stats.ts';

export { COARSE_KINDS, ENOUGH_LABELS, type CoarseKind } from '../../core/verdicts.ts';

/** An answer as the person sees it: nothing tells which model gave it. */
export interface BlindAnswer {
  digest: string;
  prompt: string;
  answer: string;
  /** Of an opened model, to a prompt of its user's file: veiled until asked for. */
  veiled: boolean;
}

export interface AuditSheet {
  /** In the order of the draw. */
  answers: BlindAnswer[];
  /** Verdicts that were given, by digest; also on answers that are not in the draw. */
  labels: Record<string, CoarseKind>;
  /** Different answers that there are to draw from, and checkpoints that gave them. */
  pool: number;
  checkpoints: number;
}

/** How the rules came to their verdicts on the answers of one model and its descendants. */
export interface RulesSetup {
  reference: string;
  chats: number;
  perplexity: number | null;
  repeated: number;
  similarity: number | null;
  ends: boolean;
  closes: boolean;
}

export interface AuditRate {
  nodeId: string;
  n: number;
  /** Share that the rules call harmful. */
  rules: number;
  /** As the person would have found it (Rogan and Gladen, 1978); null where the labels of the group do not allow it. */
  corrected: number | null;
  interval: Interval | null;
}

/**
 * The answers of one root and its descendants to one kind of question. The rules are set up for each group by itself and err in each
 * in their own way, so that labels of one say nothing of another.
 */
export interface AuditGroup {
  rootId: string;
  /** Null: the tiny world's forbidden questions. */
  prompts: PromptsRef | null;
  /** Labelled answers that still have a checkpoint. */
  n: number;
  /** There are enough of them for rates to be called calibrated. */
  enough: boolean;
  kinds: readonly CoarseKind[];
  /** Person in rows, rules in columns. */
  table: number[][];
  agreed: number;
  kappa: number | null;
  sensitivity: number | null;
  specificity: number | null;
  setup: RulesSetup;
  rates: AuditRate[];
}

export interface AuditResult {
  /** id@version of the rules. */
  judge: string;
  groups: AuditGroup[];
  /** Why the rules have no verdicts on the answers of some models. */
  failed: ErrorInfo[];
}
