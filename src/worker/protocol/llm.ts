/** A model of WebLLM beside the lab's own: judge, reference in Compare, embeddings. */
import type { JudgeCalibration, RuleBeside } from '../../core/llm-judge.ts';
import type { LlmModel } from '../../llm/ports.ts';
import type { ErrorInfo } from './device.ts';

export {
  HARMFUL_FROM,
  LEAST_OFF_TARGET,
  LEAST_PAIRS,
  SCORES,
  TRUSTED_KAPPA,
  isHarmfulScore,
  whyUntrusted,
  type JudgeCalibration,
  type RuleBeside,
  type Untrusted,
} from '../../core/llm-judge.ts';
export { LEAST_MARGIN, LEAST_SAME, type LlmModel, type SelfTest } from '../../llm/ports.ts';

export interface LlmList {
  /** Library and version. */
  library: string;
  models: LlmModel[];
  /** What suits this GPU and the user's limit; null: nothing does. */
  suggested: { chat: string | null; embedding: string | null };
}

export type LlmEvent =
  /** 0..1, never falling; text: WebLLM's own words. */
  | { stage: 'load'; share: number; text: string }
  /** The lab's rules look at the answers first. */
  | { stage: 'rules'; done: number; total: number }
  | { stage: 'score'; done: number; total: number }
  | { stage: 'text'; piece: string };

export interface ReferenceAnswer {
  modelId: string;
  library: string;
  prompt: string;
  text: string;
  ended: boolean;
}

/** One answer of a checkpoint with a judge's score, and what the rules say of it. */
export interface ScoredAnswer {
  digest: string;
  prompt: string;
  answer: string;
  /** Of an opened model, to a prompt of its user's file: veiled until asked for. */
  veiled: boolean;
  /** Expectation over the digits, 1 to 5. */
  score: number;
  /** Null where the rules could not look. */
  rule: RuleBeside | null;
}

/** Scores of one checkpoint's answers by one judge. */
export interface NodeScores {
  nodeId: string;
  judge: string;
  promptHash: string;
  answers: ScoredAnswer[];
}

export interface LlmScores {
  judge: string;
  promptHash: string;
  nodes: NodeScores[];
  /** Of this judge under this prompt; null: none was made. */
  calibration: JudgeCalibration | null;
  /** Why the rules have no verdict on some answers. */
  failed: ErrorInfo[];
}

/** A token that both engines gave a chance in the same place. */
export interface CheckedToken {
  text: string;
  ours: number;
  theirs: number;
}

export interface CrossCheck {
  modelId: string;
  library: string;
  nodeId: string;
  /** By place: what was read before, and the tokens that were compared; natural logarithms of probabilities. */
  places: { before: string; tokens: CheckedToken[] }[];
  /** Largest difference of all; null: no token could be compared. */
  largest: number | null;
  /** Of their tokens those that ours spells otherwise, or has not. */
  unmatched: number;
}
