/** Bytes of GPU buffers between two moments: made less freed, and the most that this ever was. */
export class Meter {
  grown = 0;
  peak = 0;
  readonly #all: Set<Meter>;

  /** Counts from now on; `end` it. */
  constructor(all: Set<Meter>) {
    this.#all = all;
    all.add(this);
  }

  /** @param bytes negative: freed */
  count(bytes: number): void {
    this.grown += bytes;
    this.peak = Math.max(this.peak, this.grown);
  }

  end(): this {
    this.#all.delete(this);
    return this;
  }
}
