/** What a run has taken, as it was counted while it ran. */
export interface RunCost {
  /** Updates made. */
  steps: number;
  /**
   * Gradient evaluations: rows that went forward and backward, divided by the rows of the run's batch. A step of plain fine-tuning
   * is one; each pass of an inner loop counts like any other.
   */
  gradients: number;
  /** Passes forward alone (scores of a reference, its hidden states): their rows, divided by those of the run's batch. */
  forwards: number;
  /** Tokens that went forward and backward. */
  tokens: number;
  /** Wall time of the steps, without looks, probes, checkpoints and pauses. */
  seconds: number;
  /** Most bytes that the run held on the GPU at once: its model, its trainer and what its recipe keeps; nothing of anybody else. */
  peakBytes: number;
}

/** Of runs that came one after the other. */
export function sumCosts(costs: readonly RunCost[]): RunCost {
  const sum = (of: (cost: RunCost) => number): number => costs.reduce((total, cost) => total + of(cost), 0);
  return {
    steps: sum((c) => c.steps),
    gradients: sum((c) => c.gradients),
    forwards: sum((c) => c.forwards),
    tokens: sum((c) => c.tokens),
    seconds: sum((c) => c.seconds),
    peakBytes: Math.max(0, ...costs.map((c) => c.peakBytes)),
  };
}
