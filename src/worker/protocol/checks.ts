/** Self-check, golden cases, shaders. */
export type { GoldenGroup, GoldenResult, KernelCheck } from '../../core/checks.ts';

export interface ShaderInfo {
  /** File name without folder and ending: '04_rope'. */
  name: string;
  source: string;
  /** Header comment of the file: the maths and the shapes. */
  doc: string;
  bindings: { group: number; binding: number; name: string; type: string }[];
  workgroupSize: string;
  /** How the kernel is dispatched, from the header. */
  dispatch: string;
}

/** All dispatches of one kernel variant in a training step, each timed alone. */
export interface KernelTime {
  kernel: string;
  dispatches: number;
  ms: number;
  flops: number;
  /** Read and written, each number once. */
  bytes: number;
}

export interface StepProfile {
  /** Whose step it was, and what that node was called. */
  nodeId: string;
  name: string;
  kernels: KernelTime[];
  /** The GPU's own clock, or the time from submit to done less what an empty submit takes. */
  clock: 'timestamp' | 'wall';
  /** What the engine's kernels reach at their best here: a large product, and a copy. */
  ceilings: { gflopPerS: number; gbPerS: number };
  rows: number;
  tokens: number;
}
