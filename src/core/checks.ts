/** What the self-check and the golden cases find: shown by the page, printed by the terminal. */

export interface KernelCheck {
  /** Shader file (or files that work together) without ending. */
  kernel: string;
  /** Awkward shapes, in words. */
  shape: string;
  /** Largest relative error against the float64 reference; Infinity for a wrong write or choice. */
  error: number;
  tolerance: number;
  ok: boolean;
  milliseconds: number;
}

/** Largest error of a group of tensors against its tolerance. */
export interface GoldenGroup {
  group: string;
  error: number;
  tolerance: number;
  ok: boolean;
}

export interface GoldenResult {
  name: string;
  /** Null when supported; otherwise the kind of case that this engine does not know. */
  unsupported: string | null;
  groups: GoldenGroup[];
  /** Stored values that nothing was compared with, and why; absent: there are none. */
  left?: string;
  ok: boolean;
}
