/**
 * Checkpoints, unfinished runs, evaluations and data sets in IndexedDB.
 *
 * Large arrays are written first, in chunks that nothing refers to yet; then one transaction checks that all chunks are
 * there and makes the node (or the run's new state) visible. A tab that dies in between leaves chunks without an owner,
 * which `sweep` removes at the next start. So a reader sees a node whole or not at all.
 *
 * Every method throws LabError: 'quota' when the disk is full, 'newer-database', 'store-closed' once another tab has
 * asked for a newer version, 'corrupt-model' when stored bytes do not match their digest, 'storage' for the rest.
 */
import { deleteDB, type IDBPDatabase } from 'idb';
import { LabError } from '../core/errors.ts';
import { Archives } from './archive.ts';
import { Arrays, newOwner, requireChunks } from './arrays.ts';
import { Datasets } from './datasets.ts';
import { storeError } from './failures.ts';
import { Labels } from './labels.ts';
import { openDatabase } from './opening.ts';
import {
  CHUNK_BYTES,
  DATABASE,
  chunksOf,
  type EvaluationRecord,
  type LabSchema,
  type ModelRecord,
  type NodeRecord,
  type PromptsRecord,
  type StoredRun,
} from './schema.ts';
import { dropWithNodes, dropWithRun, Snapshots } from './snapshots.ts';
import { alone, drop, settle, writing } from './transactions.ts';

export interface StoreOptions {
  name?: string;
  /** The store was closed from outside: another tab wants a newer version, or the browser cleared the data. */
  onClosed?: (error: LabError) => void;
  /** Milliseconds to wait for another tab that holds an older version open. */
  patience?: number;
  /** Bytes of a chunk; tests make it small. */
  chunkBytes?: number;
}

/** A node as the caller gives it: the store fills in digest, size and place of the weights. */
export type NewNode<N extends NodeRecord> = Omit<N, 'weightsDigest' | 'weightsBytes' | 'weightsKey'>;

export class Store<N extends NodeRecord, R, E extends EvaluationRecord> {
  #db: IDBPDatabase<LabSchema<N, R, E>>;
  #closed: LabError | null = null;
  #arrays: Arrays<N, R, E>;
  /** Imported data sets. */
  readonly datasets: Datasets<N, R, E>;
  /** A person's verdicts. */
  readonly labels: Labels<N, R, E>;
  /** Ways into an archive and out of one. */
  readonly archives: Archives<N, R, E>;
  /** Kept steps of runs. */
  readonly snapshots: Snapshots<N, R, E>;

  private constructor(db: IDBPDatabase<LabSchema<N, R, E>>, chunkBytes: number) {
    this.#db = db;
    this.#arrays = new Arrays(db, chunkBytes);
    const guard = <T>(doing: string, work: () => Promise<T>): Promise<T> => this.#guard(doing, work);
    this.datasets = new Datasets(db, guard);
    this.labels = new Labels(db, guard);
    this.snapshots = new Snapshots(db, guard);
    this.archives = new Archives(db, guard, chunkBytes);
  }

  static async open<N extends NodeRecord, R, E extends EvaluationRecord>(
    options: StoreOptions = {},
  ): Promise<Store<N, R, E>> {
    const { name = DATABASE, onClosed, patience = 5000, chunkBytes = CHUNK_BYTES } = options;
    let store: Store<N, R, E> | null = null;
    const db = await openDatabase<N, R, E>(name, patience, (error) => {
      if (store) store.#closed = error;
      onClosed?.(error);
    });
    store = new Store(db, chunkBytes);
    return store;
  }

  close(): void {
    this.#db.close();
  }

  /** Deletes everything. For tests and for a user who asks for it. */
  static destroy(name = DATABASE): Promise<void> {
    return deleteDB(name);
  }

  // ----------------------------------------------------------------------------------------------------------- nodes

  /** All nodes, oldest first. */
  nodes(): Promise<N[]> {
    return this.#guard('read the family tree', async () => {
      const all = await this.#db.getAll('nodes');
      return all.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
    });
  }

  node(id: string): Promise<N | undefined> {
    return this.#guard('read a checkpoint', () => this.#db.get('nodes', id));
  }

  /**
   * Stores a new node with its weights; it becomes visible in one transaction.
   * @param model of a model that a user opened; its weights may be empty, because they stay in the user's files
   */
  addNode(node: NewNode<N>, weights: Float32Array, model?: Omit<ModelRecord, 'id'>): Promise<N> {
    return this.#guard(`save the checkpoint '${node.id}'`, () =>
      writing(async () => {
        const owner = newOwner('node', node.id);
        const { digest, chunks } = await this.#arrays.write(owner, [weights]);
        const own = { weightsDigest: digest, weightsBytes: weights.byteLength, weightsKey: owner };
        const record = { ...node, ...own } as unknown as N;
        try {
          const tx = this.#db.transaction(['nodes', 'weights', 'models'], 'readwrite');
          await settle(tx, async () => {
            await requireChunks(tx.objectStore('weights').count(chunksOf(owner)), chunks);
            await requireParent(tx.objectStore('nodes'), record.parentId);
            await tx.objectStore('nodes').add(record);
            if (model) await tx.objectStore('models').add({ ...model, id: node.id });
          });
        } catch (e) {
          await this.#arrays.drop(owner);
          throw e;
        }
        return record;
      }),
    );
  }

  /** Changes a node's own data (name, verdicts); the weights stay as they are. Undefined where there is no such node. */
  updateNode(id: string, change: (node: N) => N): Promise<N | undefined> {
    return this.#guard('change a checkpoint', async () => {
      const tx = this.#db.transaction('nodes', 'readwrite');
      return settle(tx, async () => {
        const node = await tx.store.get(id);
        if (!node) return undefined;
        const { weightsDigest, weightsBytes, weightsKey } = node;
        const changed = { ...change(node), id, weightsDigest, weightsBytes, weightsKey };
        await tx.store.put(changed);
        return changed;
      });
    });
  }

  /** Weights in the model's parameter order, checked against their digest. */
  weights(id: string): Promise<Float32Array> {
    return this.#guard(`read the weights of '${id}'`, async () => {
      const node = await this.#db.get('nodes', id);
      if (!node) throw missing(`checkpoint '${id}'`);
      const floats = [node.weightsBytes / 4];
      const arrays = await this.#arrays.read(
        { owner: node.weightsKey, floats, digest: node.weightsDigest },
        id,
      );
      return arrays[0]!;
    });
  }

  /** What stands beside the root of an opened model. */
  model(id: string): Promise<ModelRecord | undefined> {
    return this.#guard('read an opened model', () => this.#db.get('models', id));
  }

  /** Remembers where an opened model's files lie now. */
  setModelFolder(id: string, folder: FileSystemDirectoryHandle | null): Promise<void> {
    return this.#guard('remember where a model lies', async () => {
      const tx = this.#db.transaction('models', 'readwrite');
      await settle(tx, async () => {
        const model = await tx.store.get(id);
        if (model) await tx.store.put({ ...model, folder });
      });
    });
  }

  /** Deletes a node and everything below it (nodes, weights, runs, evaluations) in one transaction; answers the ids. */
  deleteNode(id: string): Promise<string[]> {
    return this.#guard('delete a checkpoint', async () => {
      const names = ['nodes', 'weights', 'runs', 'evaluations', 'models', 'snapshots'] as const;
      const tx = this.#db.transaction(names, 'readwrite');
      return settle(tx, async () => {
        const nodes = tx.objectStore('nodes');
        const stores = { nodes, snapshots: tx.objectStore('snapshots') };
        const root = await nodes.get(id);
        const gone = root ? [root] : [];
        for (const parent of gone) gone.push(...(await nodes.index('parentId').getAll(parent.id)));
        for (const { id: nodeId, weightsKey } of gone) {
          await nodes.delete(nodeId);
          await tx.objectStore('models').delete(nodeId);
          await tx.objectStore('weights').delete(chunksOf(weightsKey));
          for (const key of await tx.objectStore('evaluations').index('nodeId').getAllKeys(nodeId)) {
            await tx.objectStore('evaluations').delete(key);
          }
          for (const run of await tx.objectStore('runs').index('parentId').getAll(nodeId)) {
            if (run.state) await tx.objectStore('weights').delete(chunksOf(run.state.arrays.owner));
            await tx.objectStore('runs').delete(run.id);
            await dropWithRun(stores, run.id);
          }
        }
        await dropWithNodes(stores, gone);
        return gone.map((n) => n.id);
      });
    });
  }

  // ------------------------------------------------------------------------------------------------------------ runs

  /** All unfinished runs, newest first. */
  runs(): Promise<StoredRun<R>[]> {
    return this.#guard('read the interrupted runs', async () =>
      (await this.#db.getAll('runs')).sort((a, b) => b.savedAt - a.savedAt),
    );
  }

  run(id: string): Promise<StoredRun<R> | undefined> {
    return this.#guard('read an interrupted run', () => this.#db.get('runs', id));
  }

  /**
   * Stores where a run stands, replacing its earlier state in one transaction: after a failure the earlier state is
   * still there, whole.
   * @param state `plain` must survive structured clone; `arrays` are weights and optimizer moments
   */
  saveRun(
    run: { id: string; parentId: string; info: R },
    state: { plain: unknown; arrays: Float32Array[] },
  ): Promise<StoredRun<R>> {
    return this.#guard('save where the run stands', () =>
      writing(async () => {
        const savedAt = Date.now();
        const owner = newOwner('run', run.id);
        const { digest, chunks } = await this.#arrays.write(owner, state.arrays);
        const floats = state.arrays.map((a) => a.length);
        const record = { ...run, state: { plain: state.plain, arrays: { owner, floats, digest } }, savedAt };
        try {
          const tx = this.#db.transaction(['runs', 'weights', 'nodes'], 'readwrite');
          await settle(tx, async () => {
            const weights = tx.objectStore('weights');
            await requireChunks(weights.count(chunksOf(owner)), chunks);
            await requireParent(tx.objectStore('nodes'), run.parentId);
            const before = await tx.objectStore('runs').get(run.id);
            await tx.objectStore('runs').put(record);
            if (before?.state) await weights.delete(chunksOf(before.state.arrays.owner));
          });
        } catch (e) {
          await this.#arrays.drop(owner);
          throw e;
        }
        return record;
      }),
    );
  }

  /** The arrays of a run's last checkpoint, in the order in which they were saved. */
  runArrays(run: StoredRun<R>): Promise<Float32Array[]> {
    return this.#guard('read the interrupted run', async () => {
      if (!run.state) throw missing(`state of the run '${run.id}'`);
      return this.#arrays.read(run.state.arrays, run.id);
    });
  }

  deleteRun(id: string): Promise<void> {
    return this.#guard('forget a run', async () => {
      const tx = this.#db.transaction(['runs', 'weights', 'nodes', 'snapshots'], 'readwrite');
      await settle(tx, async () => {
        const run = await tx.objectStore('runs').get(id);
        if (run?.state) await tx.objectStore('weights').delete(chunksOf(run.state.arrays.owner));
        await tx.objectStore('runs').delete(id);
        await dropWithRun({ nodes: tx.objectStore('nodes'), snapshots: tx.objectStore('snapshots') }, id);
      });
    });
  }

  // ------------------------------------------------------------------------------------- evaluations, prompts, settings

  /**
   * Stores an evaluation and, in the same transaction, what the node shows of it. Undefined where the node is gone.
   * @param instead of which evaluations of the node it takes the place
   */
  addEvaluation(
    evaluation: E,
    change: (node: N) => N = (node) => node,
    instead?: (old: E) => boolean,
  ): Promise<N | undefined> {
    return this.#guard('save an evaluation', async () => {
      const tx = this.#db.transaction(['nodes', 'evaluations'], 'readwrite');
      return settle(tx, async () => {
        const node = await tx.objectStore('nodes').get(evaluation.nodeId);
        if (!node) return undefined;
        const changed = change(node);
        const evaluations = tx.objectStore('evaluations');
        if (instead) await drop(evaluations, evaluation.nodeId, instead);
        await evaluations.add(evaluation);
        await tx.objectStore('nodes').put(changed);
        return changed;
      });
    });
  }

  /** Deletes those of a node that `which` names. */
  dropEvaluations(nodeId: string, which: (one: E) => boolean): Promise<void> {
    return this.#guard('delete an evaluation', async () => {
      const tx = this.#db.transaction('evaluations', 'readwrite');
      await settle(tx, () => drop(tx.store, nodeId, which));
    });
  }

  /** Evaluations of a node, newest first. */
  evaluations(nodeId: string): Promise<E[]> {
    return this.#guard('read the evaluations', async () => {
      const all = await this.#db.getAllFromIndex('evaluations', 'nodeId', nodeId);
      return all.sort((a, b) => b.createdAt - a.createdAt);
    });
  }

  /** A prompts file by the SHA-256 of its bytes. */
  prompts(id: string): Promise<PromptsRecord | undefined> {
    return this.#guard('read a prompts file', () => this.#db.get('prompts', id));
  }

  allPrompts(): Promise<PromptsRecord[]> {
    return this.#guard('read the prompts files', () => this.#db.getAll('prompts'));
  }

  setPrompts(record: PromptsRecord): Promise<void> {
    return this.#guard('keep a prompts file', async () => {
      await this.#db.put('prompts', record);
    });
  }

  deletePrompts(id: string): Promise<void> {
    return this.#guard('delete a prompts file', () => this.#db.delete('prompts', id));
  }

  setting(key: string): Promise<unknown> {
    return this.#guard('read a setting', () => this.#db.get('settings', key));
  }

  setSetting(key: string, value: unknown): Promise<void> {
    return this.#guard('keep a setting', async () => {
      await this.#db.put('settings', value, key);
    });
  }

  // --------------------------------------------------------------------------------------------------------- cleaning

  /**
   * Removes chunks, rows and kept steps that belong to nothing: what a tab left that died while writing. Does nothing while
   * another tab is writing. Answers how many owners were removed.
   * @param open runs that some tab has open
   */
  sweep(open: ReadonlySet<string> = new Set()): Promise<number> {
    return this.#guard('clean up', () =>
      alone(async () => {
        const tx = this.#db.transaction(['nodes', 'runs', 'weights'], 'readwrite');
        const weights = await settle(tx, async () => {
          const owned = new Set((await tx.objectStore('nodes').getAll()).map((n) => n.weightsKey));
          for (const run of await tx.objectStore('runs').getAll()) {
            if (run.state) owned.add(run.state.arrays.owner);
          }
          const found = new Set((await tx.objectStore('weights').getAllKeys()).map(([owner]) => owner));
          const orphans = [...found].filter((owner) => !owned.has(owner));
          for (const owner of orphans) await tx.objectStore('weights').delete(chunksOf(owner));
          return orphans.length;
        });
        return weights + (await this.datasets.sweep()) + (await this.snapshots.sweep(open));
      }),
    );
  }

  // ----------------------------------------------------------------------------------------------------------- within

  async #guard<T>(doing: string, work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw this.#closed;
    try {
      return await work();
    } catch (e) {
      throw this.#closed ?? storeError(e, doing);
    }
  }
}

/** Another tab may have deleted it meanwhile: nothing is stored below a checkpoint that is gone. */
async function requireParent(
  nodes: { getKey(id: string): Promise<string | undefined> },
  parentId: string | null,
): Promise<void> {
  if (parentId !== null && (await nodes.getKey(parentId)) === undefined)
    throw missing(`checkpoint '${parentId}', from which this was made,`);
}

function missing(what: string): LabError {
  return new LabError('bad-input', `There is no ${what} any more.`, {
    safe: 'All other checkpoints are untouched.',
    next: 'Reload the page to see the current family tree.',
  });
}
