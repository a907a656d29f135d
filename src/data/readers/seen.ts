/** What was read before, by 64 bits of its text: a file of millions of rows is not kept to find its repetitions. */

const SLOTS = 2 ** 12;
const FULL = 0.8;

/** 64 bits of a sequence of texts (two multiplicative hashes of 32 bits). */
export class Fingerprint {
  #a = 0xdeadbeef;
  #b = 0x41c6ce57;

  add(text: string): void {
    let a = this.#a;
    let b = this.#b;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      a = Math.imul(a ^ code, 2654435761);
      b = Math.imul(b ^ code, 1597334677);
    }
    // where a text ends and the next begins counts
    this.#a = Math.imul(a ^ 0x10000, 2246822507);
    this.#b = Math.imul(b ^ 0x10000, 3266489909);
  }

  get bits(): readonly [number, number] {
    const a =
      Math.imul(this.#a ^ (this.#a >>> 16), 2246822507) ^ Math.imul(this.#b ^ (this.#b >>> 13), 3266489909);
    const b =
      Math.imul(this.#b ^ (this.#b >>> 16), 2246822507) ^ Math.imul(this.#a ^ (this.#a >>> 13), 3266489909);
    return [a >>> 0, b >>> 0];
  }
}

type Bits = readonly [number, number];

/** Words of a slot: the two of a question, those of its first answer (one is enough beside them), and a line. */
const SLOT = 4;

/**
 * Rows by their question, each with the line where it was met first. A question takes 16 bytes a slot, and so does each further
 * answer to it; open addressing.
 */
export class Seen {
  #questions = new Table();
  #further = new Table();

  get questions(): number {
    return this.#questions.count;
  }

  /** @returns the line of an earlier row that is the same, or null; and whether its question was there before */
  add(question: Bits, row: Bits, line: number): { same: number | null; asked: boolean } {
    const first = this.#questions.add(question, row[0], line);
    if (first === null) return { same: null, asked: false };
    if (first.tag === row[0]) return { same: first.line, asked: true };
    return { same: this.#further.add(row, 0, line)?.line ?? null, asked: true };
  }
}

class Table {
  #words = new Uint32Array(SLOT * SLOTS);
  count = 0;

  /** Keeps the first under a key. @returns what was there, or null */
  add([a, b]: Bits, tag: number, line: number): { tag: number; line: number } | null {
    if ((this.count + 1) * SLOT > this.#words.length * FULL) this.#grow();
    const at = slot(this.#words, a, b);
    const words = this.#words;
    if (words[at + 3] !== 0) return { tag: words[at + 2]!, line: words[at + 3]! };
    words.set([a, b, tag, line], at);
    this.count++;
    return null;
  }

  #grow(): void {
    const old = this.#words;
    this.#words = new Uint32Array(2 * old.length);
    for (let at = 0; at < old.length; at += SLOT)
      if (old[at + 3] !== 0)
        this.#words.set(old.subarray(at, at + SLOT), slot(this.#words, old[at]!, old[at + 1]!));
  }
}

/** Where a key is, or belongs. A slot with line 0 is free; the number of slots is a power of two. */
function slot(words: Uint32Array, a: number, b: number): number {
  const mask = words.length / SLOT - 1;
  let at = (a & mask) * SLOT;
  while (words[at + 3] !== 0 && (words[at] !== a || words[at + 1] !== b))
    at = (at + SLOT) & (words.length - 1);
  return at;
}
