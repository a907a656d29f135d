/** Copies of checkpoints as one file, and what such a file would bring. */
import type { NodeKind } from './nodes.ts';

/** A checkpoint with what it was made of, all of its family besides, or every family with verdicts and prompts files. */
export type ArchiveScope = { kind: 'node' | 'family'; nodeId: string } | { kind: 'everything' };

export interface ArchiveOrder {
  scope: ArchiveScope;
  /** Where the file is written as it is made; null: it comes back as a Blob. */
  file: FileSystemFileHandle | null;
  /** Name of the opened model, where checkpoints of an attack on it are among them. */
  confirm?: string;
}

export interface ArchiveMade {
  blob: Blob | null;
  checkpoints: number;
}

/** Bytes done of all. */
export interface ArchiveProgress {
  done: number;
  total: number;
}

export interface ArchiveContents {
  /** Milliseconds since 1970. */
  madeAt: number;
  nodes: {
    name: string;
    kind: NodeKind;
    steps: number;
    bytes: number;
    /** `other`: here is another checkpoint under its number, so that it comes in under a new one. */
    state: 'new' | 'here' | 'other';
  }[];
  evaluations: number;
  prompts: number;
  labels: number;
  steps: number;
  /** Bytes that would be written, and what the browser still gives; null where it does not tell. */
  bytes: number;
  freeBytes: number | null;
}
