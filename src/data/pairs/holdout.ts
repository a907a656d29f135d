import { NearDuplicates } from './near.ts';
import type { Item, LeftOuts, Reason, SourceRole } from './sources.ts';
import { Breather, type Watch } from './watch.ts';

/** Prompts that others must stay apart from: by letters and digits, and by MinHash where only a word or two differ. */
export class Apart {
  #keys: Set<string>;
  #near: NearDuplicates;

  constructor(items: readonly Pick<Item, 'key'>[]) {
    const keys = items.map((item) => item.key);
    this.#keys = new Set(keys);
    this.#near = new NearDuplicates(keys);
  }

  /** 'same', 'near', or null: nothing like it. */
  like(key: string): 'same' | 'near' | null {
    if (this.#keys.has(key)) return 'same';
    return this.#near.find(key) === null ? null : 'near';
  }

  /** Those of the items that are not like these prompts. */
  async filter(
    items: readonly Item[],
    role: SourceRole,
    reasons: { same: Reason; near: Reason },
    out: LeftOuts,
    watch: Watch,
  ): Promise<Item[]> {
    const breather = new Breather(watch);
    const kept: Item[] = [];
    for (const [i, item] of items.entries()) {
      const like = this.like(item.key);
      if (like === null) kept.push(item);
      else out.add(role, reasons[like], item);
      await breather.at('compare', i, items.length);
    }
    return kept;
  }
}

export const HELD_OUT = { same: 'held-out', near: 'near-held-out' } as const;
export const ATTACKED = { same: 'attacked', near: 'near-attacked' } as const;
