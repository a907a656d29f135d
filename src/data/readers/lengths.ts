/** How long rows are. */
export interface LengthSummary {
  /** Rows that were measured. */
  rows: number;
  total: number;
  min: number;
  median: number;
  p90: number;
  p99: number;
  max: number;
  /** Rows with a length from `from` on, up to the next one's; `from` doubles. */
  histogram: readonly { from: number; rows: number }[];
}

export class Lengths {
  #values = new Uint32Array(1024);
  #count = 0;

  add(length: number): void {
    if (this.#count === this.#values.length) {
      const longer = new Uint32Array(2 * this.#count);
      longer.set(this.#values);
      this.#values = longer;
    }
    this.#values[this.#count++] = length;
  }

  summary(): LengthSummary {
    const sorted = this.#values.slice(0, this.#count).sort();
    const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
    const counts = new Map<number, number>();
    let total = 0;
    for (const n of sorted) {
      total += n;
      const from = n === 0 ? 0 : 2 ** Math.floor(Math.log2(n));
      counts.set(from, (counts.get(from) ?? 0) + 1);
    }
    const last = [...counts.keys()].at(-1) ?? 0;
    const first = [...counts.keys()][0] ?? 0;
    const histogram: { from: number; rows: number }[] = [];
    for (let from = first; from <= last && this.#count > 0; from = from === 0 ? 1 : from * 2)
      histogram.push({ from, rows: counts.get(from) ?? 0 });
    return {
      rows: this.#count,
      total,
      min: at(0),
      median: at(0.5),
      p90: at(0.9),
      p99: at(0.99),
      max: at(1),
      histogram,
    };
  }
}
