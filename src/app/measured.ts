import type { Evaluation, LabNode, Measured } from '../worker/protocol.ts';

/** A checkpoint with what was measured of it; null: not yet. */
export interface MeasuredNode {
  node: LabNode;
  /** Stands for an amount of attack training that was not run. */
  absent: boolean;
  /** The names above it. */
  from: string;
  /** The untouched model that it descends from. */
  rootId: string;
  /** The latest of the whole set, with its answers. */
  evaluation: Evaluation | null;
  measured: Measured | null;
}
