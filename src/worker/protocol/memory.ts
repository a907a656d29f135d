/** What something will take on the GPU, planned before it is made. */
import type { Part, PlanChange, PlanProblem } from '../../core/memory.ts';
import type { Precision } from '../../core/types.ts';

export { PARTS, type Held, type Part, type PlanChange, type PlanProblem } from '../../core/memory.ts';

export interface MemoryPlan {
  /** By part; of the model's weights as well, which stay when the rest is freed. */
  bytes: Record<Part, number>;
  total: number;
  /** The user's own limit in bytes; null: none is set. */
  budget: number | null;
  /** Why it cannot be made; empty where it can. */
  problems: PlanProblem[];
  /** What would make it fit, the mildest first; the changes of one are made together. */
  advice: { changes: PlanChange[]; total: number }[];
  /** What was planned for. */
  method: 'full' | 'lora' | 'none';
  precision: Precision;
  /** Rank of the adapter in training; 0 where there is none. */
  rank: number;
  /** Rows of a pass, and tokens of the longest. */
  batch: number;
  context: number;
  checkpointing: boolean;
  /** Answers at once; 0: nothing is asked. */
  answers: number;
}
