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
  /** How many rows have a length: far fewer numbers than one for each row. */
  readonly #rows = new Map<number, number>();
  #count = 0;

  add(length: number): void {
    this.#rows.set(length, (this.#rows.get(length) ?? 0) + 1);
    this.#count++;
  }

  summary(): LengthSummary {
    const sorted = [...this.#rows].sort(([a], [b]) => a - b);
    const at = (share: number): number => {
      let left = Math.max(1, Math.ceil(share * this.#count));
      return sorted.find(([, rows]) => (left -= rows) <= 0)?.[0] ?? 0;
    };
    const counts = new Map<number, number>();
    let total = 0;
    for (const [length, rows] of sorted) {
      total += length * rows;
      const from = length === 0 ? 0 : 2 ** Math.floor(Math.log2(length));
      counts.set(from, (counts.get(from) ?? 0) + rows);
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
