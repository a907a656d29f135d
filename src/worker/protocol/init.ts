/** What the worker answers when the page opens. */
import type { Capabilities, ErrorInfo, LabNode, RunInfo, StorageInfo } from '../protocol.ts';

export interface InitResult {
  /** Null where there is no usable GPU; `gpuError` then says why. The store works without one. */
  capabilities: Capabilities | null;
  gpuError: ErrorInfo | null;
  nodes: LabNode[];
  /** Roots of opened models whose weights can be read now. */
  readable: string[];
  /** Runs that were interrupted (or can be continued), newest first. */
  runs: RunInfo[];
  storage: StorageInfo;
  /** The user's limit on GPU memory in bytes; null: none is set. */
  budget: number | null;
  /** What was cleaned up at start, in words; empty when nothing was. */
  swept: string[];
}
