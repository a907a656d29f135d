/** Data files of the user, before and after they are kept in this browser. */
import type { Choice, Inspection, LayoutId, Progress, ReadReport } from '../../data/readers/index.ts';

export type { ChatMessage } from '../../data/chat-template.ts';
export type { DataRow } from '../../data/rows.ts';
export type { LengthSummary, Mapping, Rejected } from '../../data/readers/index.ts';
export type { Choice as DataChoice, LayoutId, Progress as DataProgress, ReadReport };

/** A file to be looked at or imported, as its user says that it is to be read. */
export interface DataFile {
  file: Blob;
  name: string;
  choice: Choice;
  /** Tokens are counted with this node's tokenizer. */
  nodeId: string | null;
}

/** What a file is, before it is imported. */
export interface DataInspection extends Inspection {
  /** All layouts that may be chosen, and the fields of the one that is. */
  layouts: readonly LayoutId[];
  fields: readonly { name: string; required: boolean }[];
  /** Of all rows; null where the file is so large that they are counted while it is imported, or a field has no column yet. */
  report: ReadReport | null;
}

/** An imported data set; its rows are read by `datasetRows`. */
export interface DatasetInfo {
  id: string;
  createdAt: number;
  /** Of the file. */
  name: string;
  bytes: number;
  sha256: string;
  layout: LayoutId;
  header: boolean;
  mapping: Inspection['mapping'];
  harmful: boolean;
  report: ReadReport;
}
