import { LabError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import type { Example } from '../core/types.ts';

/** 'random', or 'length': rows of similar length come together, in batches of random order. */
export type BatchOrder = 'random' | 'length';

/** Where a pass over a data set stands. JSON; belongs to the same examples and batch size. */
export interface BatchesState {
  rng: number[];
  /** Absent: 'random'. */
  by?: BatchOrder;
  /** Order of the running epoch, as indices into the examples. */
  order: number[];
  /** Position in `order` of the next example. */
  cursor: number;
  epoch: number;
}

/** Batches whose rows are sorted by length together: enough to find neighbours, few enough that epochs differ. */
const WINDOW = 32;

/**
 * Endless batches of a fixed size over a data set, in a new seeded order every epoch. A batch runs over the end of an
 * epoch into the next one, so that all batches are full. The engine packs rows without padding, so that the order by length saves
 * it no work; but the loss is a mean over a batch's labels, and among rows of one length none outweighs the others.
 */
export class Batches {
  readonly examples: readonly Example[];
  readonly batchSize: number;
  readonly by: BatchOrder;
  private rng: Rng;
  private order: number[] = [];
  private cursor = 0;
  /** Epochs begun so far, counted from 1 after the first batch. */
  epoch = 0;

  constructor(
    examples: readonly Example[],
    batchSize: number,
    seed: number | string,
    by: BatchOrder = 'random',
  ) {
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
    this.by = by;
    this.rng = new Rng(`batches/${seed}`);
  }

  next(): Example[] {
    return this.nextIndices().map((i) => this.examples[i]!);
  }

  /** As `next`, but where the rows stand among the examples. */
  nextIndices(): number[] {
    const batch: number[] = [];
    while (batch.length < this.batchSize) {
      if (this.cursor === this.order.length) {
        this.order = this.#shuffled(this.batchSize - batch.length);
        this.cursor = 0;
        this.epoch++;
      }
      batch.push(this.order[this.cursor++]!);
    }
    return batch;
  }

  /** @param open rows that the batch that is being filled still wants */
  #shuffled(open: number): number[] {
    const order = this.rng.shuffle(this.examples.map((_, i) => i));
    if (this.by === 'random') return order;
    const size = this.batchSize;
    const first = order.slice(0, open % size);
    const batches: number[][] = [];
    for (let at = first.length; at < order.length; at += size * WINDOW) {
      const window = order.slice(at, at + size * WINDOW);
      window.sort((a, b) => this.examples[a]!.ids.length - this.examples[b]!.ids.length);
      for (let i = 0; i < window.length; i += size) batches.push(window.slice(i, i + size));
    }
    // what is left over stands last, where the next epoch fills it up
    const rest = batches.at(-1)?.length === size ? [] : (batches.pop() ?? []);
    return [...first, ...this.rng.shuffle(batches).flat(), ...rest];
  }

  state(): BatchesState {
    return {
      rng: this.rng.state(),
      ...(this.by !== 'random' && { by: this.by }),
      order: [...this.order],
      cursor: this.cursor,
      epoch: this.epoch,
    };
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
    const batches = new Batches(examples, batchSize, 0, state.by);
    batches.rng = Rng.from(state.rng);
    batches.order = [...state.order];
    batches.cursor = state.cursor;
    batches.epoch = state.epoch;
    return batches;
  }
}
