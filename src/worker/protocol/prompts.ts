/** Prompts files: what a user's own model is trained on. Their texts stay in this browser and never cross to the page. */

import type { BuiltFor } from '../../data/pairs/manifest.ts';

export type { BuiltFor };

/** How many lines of a prompts file each split has. */
export interface SplitCounts {
  defence: number;
  attack: number;
  eval: number;
}

export interface PromptsInfo {
  /** SHA-256 (hex) of the file. */
  id: string;
  name: string;
  harmful: SplitCounts;
  benign: SplitCounts;
  /** Refusals of its own; 0: the lab's are used. */
  refusals: number;
  /** What a person should know before believing results from it. */
  notes: string[];
  /** What the builder of the lab made it for; null: it is a file of its user. */
  built: BuiltFor | null;
}

/** The file that a run or a node was trained on. */
export interface PromptsRef {
  id: string;
  name: string;
}
