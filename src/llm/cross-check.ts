/** Two engines on the same text: what both say of the next token. Pure. */
import type { TokenChances } from './ports.ts';

/** Places of one text that are compared. */
const PLACES = 8;

/** Beginnings of a text, each ending with a word, evenly spread, the whole text last. */
export function beginnings(text: string, most = PLACES): string[] {
  const ends = [...text.matchAll(/\S+/g)].map((m) => m.index + m[0].length);
  const n = Math.min(most, ends.length);
  return Array.from({ length: n }, (_, i) => text.slice(0, ends[Math.ceil(((i + 1) * ends.length) / n) - 1]));
}

/** log of the softmax at one id, in float64: ln p(id). */
export function logProbability(logits: Float32Array, id: number): number {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - most);
  return logits[id]! - most - Math.log(sum);
}

export interface Compared {
  tokens: { text: string; ours: number; theirs: number }[];
  /** Of their tokens those that ours does not spell so. */
  unmatched: number;
}

/** @param logits ours, at the last token of the same text; @param idOf our id of a token spelled so, where there is exactly one */
export function compareChances(
  theirs: TokenChances,
  logits: Float32Array,
  idOf: (text: string) => number | undefined,
): Compared {
  const tokens: Compared['tokens'] = [];
  let unmatched = 0;
  for (const { text, logprob } of theirs.top) {
    const id = idOf(text);
    if (id === undefined) unmatched++;
    else tokens.push({ text, ours: logProbability(logits, id), theirs: logprob });
  }
  return { tokens, unmatched };
}

/** Null where nothing could be compared. */
export function largestDifference(places: readonly Pick<Compared, 'tokens'>[]): number | null {
  const all = places.flatMap(({ tokens }) => tokens.map((t) => Math.abs(t.ours - t.theirs)));
  return all.length === 0 ? null : Math.max(...all);
}
