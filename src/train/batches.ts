import type { Batch, Example } from '../core/types.ts';
import { Rng } from '../core/rng.ts';
import { LabError } from '../core/errors.ts';

/** Where batches come from. Its whole state is plain data, so that a checkpoint can hold it. */
export interface BatchSource {
  next(): Batch;
  state(): BatchState;
  restore(state: BatchState): void;
}

/** `cursor`: examples (or rows) drawn; `rng`: generator state; `order`: the current epoch's permutation. */
export interface BatchState {
  cursor: number;
  rng: number[];
  order: number[];
}

/**
 * Endless batches of `size` examples: each epoch is a fresh permutation, and a batch that meets the end of an epoch
 * goes on into the next, so every batch has the same number of rows and every example is seen equally often.
 */
export class Batches implements BatchSource {
  readonly examples: readonly Example[];
  readonly size: number;
  #rng: Rng;
  #order: number[] = [];
  #cursor = 0;

  constructor(examples: readonly Example[], size: number, seed: number | string) {
    if (examples.length === 0) throw new LabError('bad-input', 'The training set is empty.');
    this.examples = examples;
    this.size = size;
    this.#rng = new Rng(seed);
  }

  next(): Batch {
    const rows: Example[] = [];
    const n = this.examples.length;
    while (rows.length < this.size) {
      const at = this.#cursor % n;
      if (at === 0) this.#order = this.#rng.shuffle(Array.from({ length: n }, (_, i) => i));
      rows.push(this.examples[this.#order[at]!]!);
      this.#cursor++;
    }
    return rows;
  }

  /** Shares `order` with the source, which replaces that array and never changes it. */
  state(): BatchState {
    return { cursor: this.#cursor, rng: this.#rng.state(), order: this.#order };
  }

  restore(state: BatchState): void {
    const n = this.examples.length;
    if (state.cursor > 0 && state.order.length !== n)
      throw new LabError(
        'bad-input',
        `The checkpoint belongs to a training set of ${state.order.length} examples; this one has ${n}.`,
      );
    this.#cursor = state.cursor;
    this.#rng = Rng.from(state.rng);
    this.#order = [...state.order];
  }
}

/** The most tokens and labels that a batch of `size` rows of these examples can hold: the engine's buffers are sized once. */
export function batchCap(examples: readonly Example[], size: number): { maxTokens: number; maxLabels: number } {
  let tokens = 0;
  let labels = 0;
  for (const e of examples) {
    tokens = Math.max(tokens, e.ids.length);
    labels = Math.max(labels, e.labels.filter((l, i) => i > 0 && l >= 0).length);
  }
  return { maxTokens: tokens * size, maxLabels: labels * size };
}
