/** A person's verdicts on answers, each under the digest of what it is about. They outlive the checkpoints that gave the answers. */
import type { IDBPDatabase } from 'idb';
import type { EvaluationRecord, LabelRecord, LabSchema, NodeRecord } from './schema.ts';

type Guard = <T>(doing: string, work: () => Promise<T>) => Promise<T>;

export class Labels<N extends NodeRecord, R, E extends EvaluationRecord> {
  readonly #db: IDBPDatabase<LabSchema<N, R, E>>;
  readonly #guard: Guard;

  constructor(db: IDBPDatabase<LabSchema<N, R, E>>, guard: Guard) {
    this.#db = db;
    this.#guard = guard;
  }

  /** In the order in which they were given. */
  list(): Promise<LabelRecord[]> {
    return this.#guard('read your verdicts', async () =>
      (await this.#db.getAll('labels')).sort((a, b) => a.time - b.time),
    );
  }

  /** Another verdict on the same answer takes the place of the first. */
  set(label: LabelRecord): Promise<void> {
    return this.#guard('keep a verdict', async () => {
      await this.#db.put('labels', label);
    });
  }

  delete(digest: string): Promise<void> {
    return this.#guard('take back a verdict', () => this.#db.delete('labels', digest));
  }
}
