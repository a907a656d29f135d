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
