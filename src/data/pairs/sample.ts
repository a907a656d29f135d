import type { Rng } from '../../core/rng.ts';

/** Category of what has none. */
export const UNLABELLED = 'unlabelled';

export interface SampleSize {
  /** `n` instructions in all, spread over the categories, or `n` of each. */
  per: 'total' | 'category';
  n: number;
}

export interface CategoryCount {
  category: string;
  /** Rows that have it, alone or beside others. */
  there: number;
  taken: number;
  /** It gave all that it has, and less than its share. */
  short: boolean;
}

export interface Sample {
  /** In seeded order; a row stands for one of its categories. */
  chosen: { index: number; category: string }[];
  counts: CategoryCount[];
}

/**
 * A sample that is balanced over categories within one, as far as the rows go: categories take turns, and one that has no more
 * leaves its turns to the others. A row with several categories counts for one of them. Where a category's last rows were
 * taken by another that has more, they change hands (augmenting paths, as in bipartite matching), so that a category is short only
 * when no assignment could give it more.
 */
export function balancedSample(
  rng: Rng,
  rows: readonly { categories: readonly string[] }[],
  { per, n }: SampleSize,
): Sample {
  const places = new Map<string, number[]>();
  rows.forEach(({ categories }, i) => {
    for (const category of categories.length > 0 ? new Set(categories) : [UNLABELLED]) {
      const list = places.get(category);
      if (list) list.push(i);
      else places.set(category, [i]);
    }
  });
  const names = [...places.keys()].sort();
  const hands = new Hands(
    rows.length,
    names.map((name) => rng.shuffle(places.get(name)!)),
  );
  const wanted = per === 'total' ? n : n * names.length;
  const most = per === 'total' ? Infinity : n;
  let open = rng.shuffle(names.map((_, c) => c));
  let taken = 0;
  while (taken < wanted && open.length > 0)
    open = open.filter((c) => {
      if (taken >= wanted) return true;
      if (hands.taken[c]! >= most || !hands.take(c)) return false;
      taken++;
      return true;
    });
  const share = per === 'total' ? Math.floor(Math.min(n, rows.length) / Math.max(1, names.length)) : n;
  const chosen = hands.owner.flatMap((c, index) => (c < 0 ? [] : [{ index, category: names[c]! }]));
  return {
    chosen: rng.shuffle(chosen),
    counts: names.map((category, c) => ({
      category,
      there: places.get(category)!.length,
      taken: hands.taken[c]!,
      short: hands.taken[c]! < share,
    })),
  };
}

/** Which category each row stands for. A row that was taken stays taken, by this category or another. */
class Hands {
  readonly owner: number[];
  readonly taken: number[];
  #lists: readonly (readonly number[])[];
  /** Rows of each list before this are taken. */
  #next: number[];

  constructor(rows: number, lists: readonly (readonly number[])[]) {
    this.owner = Array.from({ length: rows }, () => -1);
    this.taken = lists.map(() => 0);
    this.#next = lists.map(() => 0);
    this.#lists = lists;
  }

  /** One more row for a category. False: there is none, and none that another could give up; that stays so. */
  take(category: number): boolean {
    const from = new Map<number, { by: number; row: number }>();
    const queue = [category];
    for (let at = 0; at < queue.length; at++) {
      const c = queue[at]!;
      const free = this.#free(c);
      if (free !== undefined) {
        this.owner[free] = c;
        for (let giver = c; giver !== category; giver = from.get(giver)!.by) {
          const { by, row } = from.get(giver)!;
          this.owner[row] = by;
        }
        this.taken[category]!++;
        return true;
      }
      for (const row of this.#lists[c]!) {
        const other = this.owner[row]!;
        if (other === c || other === category || from.has(other)) continue;
        from.set(other, { by: c, row });
        queue.push(other);
      }
    }
    return false;
  }

  #free(c: number): number | undefined {
    const list = this.#lists[c]!;
    while (this.#next[c]! < list.length && this.owner[list[this.#next[c]!]!] !== -1) this.#next[c]!++;
    return list[this.#next[c]!];
  }
}
