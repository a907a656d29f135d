/** Self-check, golden cases, shaders. */

export interface KernelCheck {
  kernel: string;
  /** Awkward shapes, in words. */
  shape: string;
  /** Largest relative error against the float64 reference. */
  error: number;
  tolerance: number;
  ok: boolean;
  milliseconds: number;
}

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
  ok: boolean;
}
