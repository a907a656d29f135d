import type {
  AuditGroup,
  Chosen,
  Evaluation,
  LabNode,
  Look,
  Measured,
  PromptsRef,
  Unfinished,
} from '../worker/protocol.ts';

/** A checkpoint as every row of a report begins. */
export interface Placed {
  node: LabNode;
  /** The names above it. */
  from: string;
  /** What was begun on it and is not done. */
  unfinished: readonly Unfinished[];
}

/** A checkpoint of the tiny world with what was measured of it; null: not yet. */
export interface MeasuredNode extends Placed {
  /** Stands for an amount of attack training that was not run. */
  absent: boolean;
  /** From the untouched model to this one. */
  line: readonly LabNode[];
  /** The untouched model that it descends from. */
  rootId: string;
  /** The latest of the whole set, with its answers; its everyday tasks may be missing. */
  evaluation: Evaluation | null;
  measured: Measured | null;
}

/** A model that its user opened, or what was trained on it: nobody knows the right answers, and rules look at what it says. */
export interface OpenedNode extends Placed {
  /** The prompts file that it is asked with, and how many prompts are held back there; null: none is chosen. */
  file: (PromptsRef & { asks: number }) | null;
  /** Of that file, the one that asked most. */
  look: Look | null;
  /** Multiple choice on imported sets. */
  chosen: readonly Chosen[];
  /** What a person's verdicts say of the rules on its answers to that file; null: nobody has held them against each other. */
  audit: { group: AuditGroup; judge: string } | null;
}

export const nameOf = ({ node, from }: Pick<Placed, 'node' | 'from'>): string =>
  from ? `${from} › ${node.name}` : node.name;
