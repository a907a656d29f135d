import { Rng } from './rng.ts';

/** What a draw is balanced over, the weightiest first: items of equal key share a stratum. */
export type Margin<T> = (item: T, index: number) => string | number;

/**
 * At most n of the items in their own order, drawn at random but balanced: each next one comes from the strata that have
 * given fewest so far. The same seed draws the same, so that models are compared on the same questions. Never a stride:
 * where items repeat in a fixed pattern, a stride takes the same place of every pattern.
 * @param margins default: n stretches of the list, so that whatever its order goes by stays in
 */
export function spread<T>(
  items: readonly T[],
  n: number,
  seed: string,
  margins: readonly Margin<T>[] = [(_, i) => Math.floor((i * n) / items.length)],
): T[] {
  if (items.length <= n) return [...items];
  const keys = items.map((item, i) => margins.map((margin) => margin(item, i)));
  const taken = margins.map(() => new Map<string | number, number>());
  const counts = (i: number): number[] => keys[i]!.map((key, m) => taken[m]!.get(key) ?? 0);
  // Equal candidates are taken in this order.
  let left = new Rng(`spread/${seed}`).shuffle(items.map((_, i) => i));
  const drawn: number[] = [];
  while (drawn.length < n) {
    const next = left.reduce((best, i) => (before(counts(i), counts(best)) ? i : best));
    left = left.filter((i) => i !== next);
    keys[next]!.forEach((key, m) => taken[m]!.set(key, (taken[m]!.get(key) ?? 0) + 1));
    drawn.push(next);
  }
  return drawn.sort((a, b) => a - b).map((i) => items[i]!);
}

/** Lexicographic. */
function before(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((x, i) => x !== b[i]);
  return at >= 0 && a[at]! < b[at]!;
}
