/** Words of texts as small numbers, without a string for each of them: an answer set has millions. */
import { mix } from './near.ts';

/** Writing without spaces between words, and Korean, whose particles hang on its words: pairs of characters stand for words. */
const UNSPACED = /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}\p{sc=Thai}]/u;
/** Most texts: nothing is to be normalised. */
const ASCII = /^\p{ASCII}*$/u;
const RUNS = /[\p{L}\p{M}\p{N}]+/gu;
const PARTS =
  /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}\p{sc=Thai}ー]+|[^\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}\p{sc=Thai}ー]+/gu;

/** Words of a text in lower case; of East Asian scripts pairs of neighbouring characters, as Lucene's CJKBigramFilter has them. */
export function terms(text: string): string[] {
  const runs = text.normalize('NFKC').toLowerCase().match(RUNS) ?? [];
  return runs.flatMap((run) => {
    if (!UNSPACED.test(run)) return [run];
    return (run.match(PARTS) ?? []).flatMap((part) => {
      if (!UNSPACED.test(part)) return [part];
      const signs = [...part];
      return signs.length === 1 ? signs : signs.slice(1).map((sign, i) => signs[i]! + sign);
    });
  });
}

const SLOTS = 2 ** 14;
const FULL = 0.7;

/** Numbers for words, known by 64 bits of each: of a million words, two share them in one of 37 million vocabularies. */
export class Vocabulary {
  #size = 0;
  /** Two words of hash a slot, and the number from 1 (0: free); open addressing. */
  #slots = new Uint32Array(3 * SLOTS);
  #a = 0;
  #b = 0;

  get size(): number {
    return this.#size;
  }

  /**
   * Hands on the number of each word of a text, in order.
   * @param grow gives new words a number; else they are passed over
   */
  each(text: string, grow: boolean, take: (id: number) => void): void {
    this.#begin();
    if (!ASCII.test(text)) {
      for (const word of terms(text)) {
        for (let i = 0; i < word.length; i++) this.#add(word.charCodeAt(i));
        this.#end(grow, take);
      }
      return;
    }
    let inside = false;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      const letter = code | 0x20; // in lower case, where it is one
      if (letter >= 0x61 && letter <= 0x7a) this.#add(letter);
      else if (code >= 0x30 && code <= 0x39) this.#add(code);
      else {
        if (inside) this.#end(grow, take);
        inside = false;
        continue;
      }
      inside = true;
    }
    if (inside) this.#end(grow, take);
  }

  #begin(): void {
    this.#a = 0x811c9dc5;
    this.#b = 0x41c6ce57;
  }

  #add(code: number): void {
    this.#a = Math.imul(this.#a ^ code, 0x01000193);
    this.#b = Math.imul(this.#b ^ code, 0x9e3779b1);
    this.#b ^= this.#b >>> 15;
  }

  #end(grow: boolean, take: (id: number) => void): void {
    const [a, b] = [mix(this.#a ^ (this.#b >>> 7)), mix(this.#b)];
    this.#begin();
    const at = slot(this.#slots, a, b);
    let id = this.#slots[at + 2]!;
    if (id === 0) {
      if (!grow) return;
      id = ++this.#size;
      this.#slots.set([a, b, id], at);
      if (3 * this.#size > this.#slots.length * FULL) this.#grow();
    }
    take(id - 1);
  }

  #grow(): void {
    const old = this.#slots;
    const slots = new Uint32Array(2 * old.length);
    for (let at = 0; at < old.length; at += 3)
      if (old[at + 2] !== 0) slots.set(old.subarray(at, at + 3), slot(slots, old[at]!, old[at + 1]!));
    this.#slots = slots;
  }
}

/** Where a word is, or belongs; the number of slots is a power of two. */
function slot(slots: Uint32Array, a: number, b: number): number {
  const mask = slots.length / 3 - 1;
  let at = 3 * (a & mask);
  while (slots[at + 2] !== 0 && (slots[at] !== a || slots[at + 1] !== b))
    if ((at += 3) === slots.length) at = 0;
  return at;
}
