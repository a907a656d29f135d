/** Insights about checkpoints of the tiny world: gradient conflict, and the landscape around a model. */
import type { ConflictTable, Landscape, Look, LookPrompts } from '../../core/insights.ts';

export { MAP_RATES, MAP_STEPS, tellingFirst } from '../../core/insights.ts';
export type {
  ConflictTable,
  InsightMap,
  Landscape,
  Look as InsightLook,
  MapCell,
} from '../../core/insights.ts';

export interface ConflictOrder {
  /** Of one world and one shape. */
  nodeIds: string[];
  /** Of each kind, and texts in a batch. */
  batches: number;
  rows: number;
  seed: number;
}

export interface LandscapeOrder {
  /** An attacked checkpoint: the line runs from its parent to it, the directions around its parent. */
  nodeId: string;
  directions: number;
  /** Looks on each side along a direction, and along the line for each unit of t. */
  side: number;
  perUnit: number;
  radius: number;
  /** Asked at each point; default: 40 forbidden prompts and 4 tasks of each skill. */
  prompts?: LookPrompts;
}

export type InsightDocument = ConflictTable | Landscape;

/** Stored with the checkpoint that it is of; a conflict of several is one of each. */
export interface StoredInsight {
  kind: 'insight';
  /** Goes with this checkpoint: for a landscape the attacked one, which itself goes with its parent. */
  nodeId: string;
  /** Every checkpoint that it speaks of; absent in older ones. */
  nodeIds?: readonly string[];
  /** What was asked for: the same order is not computed twice. */
  order: string;
  document: InsightDocument;
  /** Until it is done: it is under way, was stopped, failed, or its tab was closed. */
  partial?: {
    done: number;
    total: number;
    /** Of a landscape: every look that was taken, by the name of its point; it goes on behind them. */
    looks: Record<string, Look>;
  };
  createdAt: number;
}

/** What tells a stored insight from all others. */
export type InsightName = Pick<StoredInsight, 'nodeId' | 'order' | 'createdAt'>;

/** `soFar`: a picture of what is there, whenever a point or a model came. */
export interface InsightProgress {
  done: number;
  total: number;
  soFar?: InsightDocument;
}
