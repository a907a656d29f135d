/**
 * Near-duplicates among prompts: MinHash (Broder, 1997) over shingles of words finds the candidates, the exact Jaccard index of
 * their shingles decides.
 */

/** Words of a shingle. Prompts are short: with three, one changed word in the middle of ten already hides a copy. */
const WORDS = 2;
/** Two prompts with at least this much in common, of all their shingles, are near-duplicates. */
export const NEAR_JACCARD = 0.6;
/** Hashes of a signature, in bands of ROWS: of pairs at NEAR_JACCARD, 1 - (1 - 0.6^3)^42 = 99.996 % share a band. */
const ROWS = 3;
const BANDS = 42;
const HASHES = ROWS * BANDS;

/** Spreads each bit over all of them (the end of MurmurHash3). */
export function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Odd multipliers and offsets of the hash functions, the same on every machine. */
const MULTIPLY = Uint32Array.from({ length: HASHES }, (_, i) => mix(2 * i + 1) | 1);
const ADD = Uint32Array.from({ length: HASHES }, (_, i) => mix(0x9e3779b9 + i));

function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

const ASCII = /^\p{ASCII}*$/u;

/** Writing without spaces between words: each character stands for a word. */
const UNSPACED =
  /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Bopo}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmr}\p{sc=Mymr}]\p{M}*/gu;

/** Hashed shingles of a normalised text (promptKey): of words, and of a text of fewer words the text itself. */
export function shingles(key: string): Set<number> {
  const words = (ASCII.test(key) ? key : key.replace(UNSPACED, ' $& ').trim()).split(/\s+/);
  if (words.length < WORDS) return new Set([hash(key)]);
  const out = new Set<number>();
  for (let i = 0; i + WORDS <= words.length; i++) out.add(hash(words.slice(i, i + WORDS).join(' ')));
  return out;
}

export function jaccard(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  let shared = 0;
  for (const x of a) if (b.has(x)) shared++;
  return shared === 0 ? 0 : shared / (a.size + b.size - shared);
}

/** The smallest value of each hash function over the shingles: two signatures agree in a share that estimates the Jaccard index. */
export function signature(of: ReadonlySet<number>): Uint32Array {
  const out = new Uint32Array(HASHES).fill(0xffffffff);
  for (const x of of)
    for (let i = 0; i < HASHES; i++) {
      const h = mix(Math.imul(x, MULTIPLY[i]!) + ADD[i]!);
      if (h < out[i]!) out[i] = h;
    }
  return out;
}

/** Prompts that others are held against. */
export class NearDuplicates {
  #shingles: Set<number>[] = [];
  /** Shingles of any of them. */
  #all = new Set<number>();
  #bands: Map<number, number[]>[] = Array.from({ length: BANDS }, () => new Map<number, number[]>());

  /** @param keys normalised texts, as promptKey makes them */
  constructor(keys: Iterable<string> = []) {
    for (const key of keys) this.add(key);
  }

  add(key: string): void {
    const own = shingles(key);
    const index = this.#shingles.push(own) - 1;
    for (const shingle of own) this.#all.add(shingle);
    bandsOf(signature(own)).forEach((band, i) => {
      const there = this.#bands[i]!.get(band);
      if (there) there.push(index);
      else this.#bands[i]!.set(band, [index]);
    });
  }

  /** The one most like `key`, the first of several; null where none is a near-duplicate. */
  find(key: string): { index: number; jaccard: number } | null {
    if (this.#shingles.length === 0) return null;
    const own = shingles(key);
    // |A and B| / |A or B| is at most what A shares with all of them: most texts need no signature
    let shared = 0;
    for (const shingle of own) if (this.#all.has(shingle)) shared++;
    if (shared / own.size < NEAR_JACCARD) return null;
    const candidates = new Set<number>();
    bandsOf(signature(own)).forEach((band, i) => {
      for (const index of this.#bands[i]!.get(band) ?? []) candidates.add(index);
    });
    let best: { index: number; jaccard: number } | null = null;
    for (const index of candidates) {
      const j = jaccard(own, this.#shingles[index]!);
      if (j < NEAR_JACCARD) continue;
      if (!best || j > best.jaccard || (j === best.jaccard && index < best.index))
        best = { index, jaccard: j };
    }
    return best;
  }
}

function bandsOf(signed: Uint32Array): number[] {
  return Array.from({ length: BANDS }, (_, band) => {
    let h = band;
    for (let i = 0; i < ROWS; i++) h = mix(Math.imul(h, 31) ^ signed[band * ROWS + i]!);
    return h;
  });
}
