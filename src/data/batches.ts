import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import type { Example } from '../core/types.ts';

/** Where a pass over a data set stands. JSON; belongs to the same examples and batch size. */
export interface BatchesState {
  rng: number[];
  /** Order of the running epoch, as indices into the examples. */
  order: number[];
  /** Position in `order` of the next example. */
  cursor: number;
  epoch: number;
}

/**
 * Endless batches of a fixed size over a data set, in a new seeded order every epoch. A batch runs over the end of an
 * epoch into the next one, so that all batches are full.
 */
export class Batches {
  readonly examples: readonly Example[];
  readonly batchSize: number;
  private rng: Rng;
  private order: number[] = [];
  private cursor = 0;
  /** Epochs begun so far, counted from 1 after the first batch. */
  epoch = 0;

  constructor(examples: readonly Example[], batchSize: number, seed: number | string) {
    if (examples.length === 0) {
      throw new LabError('bad-input', 'The data set holds no examples.', {
        next: 'Choose a data set with at least one example.',
      });
    }
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new LabError('bad-config', `The batch size must be a whole number from 1, not ${batchSize}.`);
    }
    this.examples = examples;
    this.batchSize = batchSize;
    this.rng = new Rng(`batches/${seed}`);
  }

  next(): Example[] {
    const batch: Example[] = [];
    while (batch.length < this.batchSize) {
      if (this.cursor === this.order.length) {
        this.order = this.rng.shuffle(this.examples.map((_, i) => i));
        this.cursor = 0;
        this.epoch++;
      }
      batch.push(this.examples[this.order[this.cursor++]!]!);
    }
    return batch;
  }

  state(): BatchesState {
    return { rng: this.rng.state(), order: [...this.order], cursor: this.cursor, epoch: this.epoch };
  }

  /** Goes on where `state` was taken, even in the middle of an epoch. */
  static from(examples: readonly Example[], batchSize: number, state: BatchesState): Batches {
    if (
      state.order.some((i) => i >= examples.length) ||
      (state.order.length && state.order.length !== examples.length)
    ) {
      throw new LabError('bad-input', 'The saved position belongs to another data set.', {
        safe: 'The checkpoint itself is unharmed.',
        next: 'Resume with the data set and seed that the run was started with.',
      });
    }
    const batches = new Batches(examples, batchSize, 0);
    batches.rng = Rng.from(state.rng);
    batches.order = [...state.order];
    batches.cursor = state.cursor;
    batches.epoch = state.epoch;
    return batches;
  }
}
