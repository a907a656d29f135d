/**
 * The shape of the lab's IndexedDB and its migrations. A version that was released is never edited: a change is a new
 * version with its own step in `migrate`, and a small exported database of each version stays under
 * tests/unit/fixtures, so that every later version proves that it still reads it.
 *
 * | store       | key              | holds                                                              |
 * | ----------- | ---------------- | ------------------------------------------------------------------ |
 * | nodes       | id               | one checkpoint of the family tree, without its weights              |
 * | weights     | [owner, index]   | chunks of f32 data; the owner is named by a node or a run           |
 * | runs        | id               | what an unfinished run needs to go on; its arrays lie in `weights`  |
 * | evaluations | id, index nodeId | verdicts and answers of a node                                      |
 * | settings    | key              | small values of the page                                            |
 * | models      | id (of a node)   | of a model that the user opened: its small files, and its folder    |
 * | prompts     | id (SHA-256)     | prompts files of the user, which such models are trained on         |
 * | datasets    | id               | one imported data set: what it is, without its rows                  |
 * | rows        | [owner, index]   | blocks of rows; the owner is named by a data set                     |
 * | labels      | digest           | what a person said of an answer that has this SHA-256; no text       |
 * | snapshots   | [runId, step]    | weights of a run at a step, in 16 bits, for moving through it        |
 */
import type { DBSchema, IDBPDatabase } from 'idb';

export const DATABASE = 'sdd-lab';
export const VERSION = 5;

/** Bytes of a chunk: small enough that one write never needs a second copy of a large model in memory. */
export const CHUNK_BYTES = 4 * 1024 * 1024;

/** What the store itself must know of a node; the caller's node has more. */
export interface NodeRecord {
  id: string;
  parentId: string | null;
  /** SHA-256 (hex) of the f32 bytes, little-endian, in the model's parameter order. */
  weightsDigest: string;
  weightsBytes: number;
  /** Owner of its chunks in `weights`; no two writes share one, so a failed write never touches another's data. */
  weightsKey: string;
  /** The run that saved it, and after how many steps; what was kept of the run's steps goes by them. */
  runId?: string | null;
  steps?: number;
  createdAt: number;
}

export interface EvaluationRecord {
  nodeId: string;
  createdAt: number;
}

/** Where a set of arrays lies in `weights`: one after the other, in this order. */
export interface ArraysRef {
  owner: string;
  /** Length of each array in floats. */
  floats: number[];
  digest: string;
}

export interface StoredRun<R> {
  id: string;
  parentId: string;
  info: R;
  /** Null until the first checkpoint. `plain` is everything but the arrays (cursor, rng, plan, log). */
  state: { plain: unknown; arrays: ArraysRef } | null;
  savedAt: number;
}

export interface Chunk {
  owner: string;
  index: number;
  bytes: ArrayBuffer;
}

/** What stands beside the root node of a model that a user opened. */
export interface ModelRecord {
  /** Of its root node. */
  id: string;
  /** Contents of config.json, tokenizer.json and the like, parsed. */
  description: unknown;
  /** Where the files lie, in browsers that can open a folder again. */
  folder: FileSystemDirectoryHandle | null;
}

/** A prompts file as its user chose it. */
export interface PromptsRecord {
  /** SHA-256 (hex) of its bytes. */
  id: string;
  name: string;
  text: string;
  /** Of one that the lab built from data sets: where it comes from, JSON. */
  manifest?: string;
}

/** What the store itself must know of a data set; `info` is the caller's. */
export interface DatasetRecord {
  id: string;
  createdAt: number;
  info: unknown;
  /** Owner of its blocks in `rows`. */
  rowsKey: string;
  /** Rows of each block, in order. */
  blocks: readonly number[];
}

export interface RowBlock {
  owner: string;
  index: number;
  /** Packed by the caller. */
  block: unknown;
}

/** A person's verdict on one answer. */
export interface LabelRecord {
  /** SHA-256 (hex) of question and answer. */
  digest: string;
  verdict: string;
  /** Milliseconds since 1970. */
  time: number;
}

/** Weights at one step of a run. */
export interface SnapshotRecord {
  runId: string;
  step: number;
  /** The node that the run started from. */
  parentId: string;
  /** Difference to the parent's whole weights, or an adapter as it is. */
  form: 'delta' | 'adapter';
  /** SHA-256 (hex) of the bytes. */
  digest: string;
  /** float16 in the order in which a node's weights are stored. */
  bytes: ArrayBuffer;
}

export interface LabSchema<N extends NodeRecord, R, E extends EvaluationRecord> extends DBSchema {
  nodes: { key: string; value: N; indexes: { parentId: string } };
  weights: { key: [string, number]; value: Chunk };
  runs: { key: string; value: StoredRun<R>; indexes: { parentId: string } };
  evaluations: { key: number; value: E; indexes: { nodeId: string } };
  settings: { key: string; value: unknown };
  models: { key: string; value: ModelRecord };
  prompts: { key: string; value: PromptsRecord };
  datasets: { key: string; value: DatasetRecord };
  rows: { key: [string, number]; value: RowBlock };
  labels: { key: string; value: LabelRecord };
  snapshots: { key: [string, number]; value: SnapshotRecord };
}

/** Brings a database from `oldVersion` (0 = empty) to VERSION. */
export function migrate<N extends NodeRecord, R, E extends EvaluationRecord>(
  db: IDBPDatabase<LabSchema<N, R, E>>,
  oldVersion: number,
): void {
  if (oldVersion < 1) {
    db.createObjectStore('nodes', { keyPath: 'id' }).createIndex('parentId', 'parentId');
    db.createObjectStore('weights', { keyPath: ['owner', 'index'] });
    db.createObjectStore('runs', { keyPath: 'id' }).createIndex('parentId', 'parentId');
    db.createObjectStore('evaluations', { autoIncrement: true }).createIndex('nodeId', 'nodeId');
    db.createObjectStore('settings');
  }
  if (oldVersion < 2) {
    db.createObjectStore('models', { keyPath: 'id' });
    db.createObjectStore('prompts', { keyPath: 'id' });
  }
  if (oldVersion < 3) {
    db.createObjectStore('datasets', { keyPath: 'id' });
    db.createObjectStore('rows', { keyPath: ['owner', 'index'] });
  }
  if (oldVersion < 4) db.createObjectStore('labels', { keyPath: 'digest' });
  if (oldVersion < 5) db.createObjectStore('snapshots', { keyPath: ['runId', 'step'] });
}

/** All chunks, or blocks, of one owner. */
export function chunksOf(owner: string): IDBKeyRange {
  return IDBKeyRange.bound([owner, 0], [owner, Infinity]);
}
