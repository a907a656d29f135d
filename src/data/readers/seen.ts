/** What was read before, by 64 bits of its text: a file of millions of rows is not kept to find its repetitions. */

/** 64 bits. */
export type Bits = Uint32Array;

/** 64 bits of a sequence of texts: two multiplicative hashes of 32 bits, two characters at a step. */
export class Fingerprint {
  /** Numbers above 2^31 in a field would be an object each. */
  readonly #state = new Int32Array(2);

  reset(): void {
    this.#state[0] = 0xdeadbeef;
    this.#state[1] = 0x41c6ce57;
  }

  add(text: string): void {
    let a = this.#state[0]!;
    let b = this.#state[1]!;
    const { length } = text;
    for (let i = 0; i < length; i += 2) {
      // what stands behind a text of odd length is none of the characters
      const code = text.charCodeAt(i) | ((i + 1 < length ? text.charCodeAt(i + 1) : 0xffff) << 16);
      a = Math.imul(a ^ code, 2654435761);
      b = Math.imul(b ^ code, 1597334677);
      // a multiplication carries upwards alone
      a ^= a >>> 15;
      b ^= b >>> 13;
    }
    // where a text ends and the next begins counts
    this.#state[0] = Math.imul(a ^ length, 2246822507);
    this.#state[1] = Math.imul(b ^ length, 3266489909);
  }

  /** The bits of all texts since the last reset, written into `bits`. */
  into(bits: Bits): void {
    const a = this.#state[0]!;
    const b = this.#state[1]!;
    bits[0] = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
    bits[1] = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  }
}

/** Words of a slot: the two of a question, those of its first answer (one is enough beside them), and a line. */
const SLOT = 4;

/** Parts of a table, which grow one at a time: a table that grew as a whole would be there twice while it does. */
const PARTS = 1024;
const FIRST_SLOTS = 8;
const FULL = 0.82;
const GROWTH = 1.2;

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
    const first = this.#questions.add(question, row[0]!, line);
    if (first === null) return { same: null, asked: false };
    if (first.tag === row[0]) return { same: first.line, asked: true };
    return { same: this.#further.add(row, 0, line)?.line ?? null, asked: true };
  }
}

class Table {
  readonly #parts: Uint32Array[] = [];
  readonly #counts = new Uint32Array(PARTS);
  count = 0;

  /** Keeps the first under a key. @returns what was there, or null */
  add(key: Bits, tag: number, line: number): { tag: number; line: number } | null {
    const a = key[0]!;
    const b = key[1]!;
    const part = b % PARTS;
    let words = (this.#parts[part] ??= new Uint32Array(SLOT * FIRST_SLOTS));
    let at = slot(words, a, b);
    if (words[at + 3] !== 0) return { tag: words[at + 2]!, line: words[at + 3]! };
    if ((++this.#counts[part]! + 1) * SLOT > words.length * FULL) {
      words = this.#parts[part] = grown(words);
      at = slot(words, a, b);
    }
    words[at] = a;
    words[at + 1] = b;
    words[at + 2] = tag;
    words[at + 3] = line;
    this.count++;
    return null;
  }
}

function grown(old: Uint32Array): Uint32Array {
  const words = new Uint32Array(SLOT * Math.ceil((old.length / SLOT) * GROWTH));
  for (let at = 0; at < old.length; at += SLOT)
    if (old[at + 3] !== 0) {
      const to = slot(words, old[at]!, old[at + 1]!);
      for (let i = 0; i < SLOT; i++) words[to + i] = old[at + i]!;
    }
  return words;
}

/** Where a key is, or belongs. A slot with line 0 is free. */
function slot(words: Uint32Array, a: number, b: number): number {
  let at = Math.floor((a / 2 ** 32) * (words.length / SLOT)) * SLOT;
  while (words[at + 3] !== 0 && (words[at] !== a || words[at + 1] !== b))
    if ((at += SLOT) === words.length) at = 0;
  return at;
}
