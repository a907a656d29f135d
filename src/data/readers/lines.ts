import { EXCERPT, LONGEST_ROW } from './types.ts';

const NEWLINE = 0x0a;

/** Bytes that a character takes at most for each of its UTF-16 units. */
const WIDEST = 3;

/** Bytes that are kept of a line before it is whole, at first; the buffer grows with the lines. */
const FIRST = 2 ** 16;

export interface LineSink {
  /** A line that is not empty, without its newline; the bytes are valid until this answers. */
  line(bytes: Uint8Array, line: number): void;
  /** A line of more than LONGEST_ROW bytes, and how it begins. */
  tooLong(begin: Uint8Array, line: number): void;
  /** A line that the file breaks off in, or before; and how it begins. */
  cut(begin: Uint8Array, line: number): void;
}

/** Cuts a file's bytes at its newlines. In UTF-8 no other character has that byte. */
export class Lines {
  readonly #sink: LineSink;
  /** The beginning of a line whose end has not come yet. */
  #kept = new Uint8Array(FIRST);
  #length = 0;
  #line = 1;
  /** The line was told to be too long, and its rest is passed over. */
  #skipping = false;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  write(bytes: Uint8Array): void {
    let at = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, at)) {
      if (this.#length === 0 && !this.#skipping) this.#tell(bytes.subarray(at, end));
      else {
        this.#keep(bytes.subarray(at, end));
        this.#close();
      }
      this.#line++;
      at = end + 1;
    }
    this.#keep(bytes.subarray(at));
  }

  /** @param cut the line that is not whole has no end */
  end(cut = false): void {
    if (cut && !this.#skipping)
      this.#sink.cut(this.#kept.subarray(0, Math.min(this.#length, EXCERPT * WIDEST)), this.#line);
    else this.#close();
  }

  #tell(bytes: Uint8Array): void {
    if (bytes.length > LONGEST_ROW) this.#sink.tooLong(bytes.subarray(0, EXCERPT * WIDEST), this.#line);
    else if (bytes.length > 0) this.#sink.line(bytes, this.#line);
  }

  #keep(bytes: Uint8Array): void {
    if (this.#skipping || bytes.length === 0) return;
    const length = this.#length + bytes.length;
    if (length > this.#kept.length) {
      const kept = new Uint8Array(Math.max(length, this.#kept.length * 2));
      kept.set(this.#kept.subarray(0, this.#length));
      this.#kept = kept;
    }
    this.#kept.set(bytes, this.#length);
    this.#length = length;
    if (length <= LONGEST_ROW) return;
    this.#tell(this.#kept.subarray(0, length));
    this.#length = 0;
    this.#skipping = true;
  }

  #close(): void {
    const length = this.#length;
    this.#length = 0;
    if (!this.#skipping) this.#tell(this.#kept.subarray(0, length));
    this.#skipping = false;
  }
}
