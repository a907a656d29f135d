import Papa from 'papaparse';
import { newlines, NO_TEXT } from './text.ts';
import { EXCERPT, LONGEST_ROW, type RecordSink, type TextParser } from './types.ts';

/** What Papa's core parser gives; its types leave it open. */
interface Parsed {
  data: string[][];
  errors: { code: string; row: number; index: number }[];
  meta: { cursor: number };
}

const DELIMITERS = [',', '\t', ';', '|'];

export function guessDelimiter(sample: string): string {
  const { meta } = Papa.parse<string[]>(sample, {
    delimitersToGuess: DELIMITERS,
    newline: '\n',
    preview: 10,
  });
  return DELIMITERS.includes(meta.delimiter) ? meta.delimiter : ',';
}

/** Characters that are parsed again after a broken row, so that many of them do not cost the square of the file. */
const AFTER_BREAK = 2 ** 14;
const WINDOW = 2 ** 21;

/**
 * A table with rows that end at a newline outside of quotes. Where a quotation mark opens and nothing closes it, or a text goes on
 * behind a closing one, that row is left out and the next line begins anew: one stray mark does not swallow the file.
 */
export class CsvRows implements TextParser {
  #sink: RecordSink;
  #parser: InstanceType<typeof Papa.Parser>;
  #text = '';
  #line = 1;
  #window = WINDOW;
  /** Length at which it is parsed again where a row's end is not there yet: it doubles, or a long row would cost the square of its length. */
  #enough = 0;
  #skipping = false;

  constructor(sink: RecordSink, delimiter: string) {
    this.#sink = sink;
    this.#parser = new Papa.Parser({ delimiter, newline: '\n', quoteChar: '"' });
  }

  write(text: string): void {
    this.#text += text;
    this.#parse(false);
  }

  end(cut = false): void {
    if (cut)
      this.#sink.broken(this.#line, { reason: 'cut' }, this.#text.slice(0, EXCERPT).replaceAll(NO_TEXT, ''));
    else this.#parse(true);
  }

  #parse(last: boolean): void {
    while (this.#text !== '' && (last || this.#text.length >= this.#enough)) {
      this.#enough = 0;
      if (this.#skipping && (this.#skipping = !this.#nextLine(0))) return;
      const part = this.#text.length > this.#window ? this.#text.slice(0, this.#window) : this.#text;
      const final = last && part.length === this.#text.length;
      const { data, errors, meta } = this.#parser.parse(part, 0, !final) as Parsed;
      // Of a row that is not whole yet, Papa cannot say whether its marks close.
      const error = errors.find((one) => final || one.row < data.length);
      const first = this.#line;
      const good = error ? error.row : data.length;
      // looked for once in all of it, not in each cell
      const inside = good > 0 && newlines(part, error ? error.index : meta.cursor) > good;
      const marked = part.includes(NO_TEXT);
      for (let i = 0; i < good; i++) this.#row(data[i]!, inside, marked);
      if (error) {
        this.#broken(first, error.index);
      } else if (final) {
        this.#text = '';
      } else if (meta.cursor > 0) {
        this.#text = this.#text.slice(meta.cursor);
        this.#window = Math.min(WINDOW, this.#window * 2);
      } else if (part.length > LONGEST_ROW) {
        this.#tooLong(part);
      } else if (part.length < this.#text.length) {
        this.#window *= 2; // a row that is longer than the window
      } else {
        this.#enough = Math.min(2 * part.length, LONGEST_ROW + 1);
        return;
      }
    }
  }

  /** @param inside a cell of the text may hold a newline, and (`marked`) bytes that are no UTF-8 */
  #row(cells: string[], inside: boolean, marked: boolean): void {
    const line = this.#line++;
    if (inside) for (const cell of cells) this.#line += newlines(cell);
    const at = cells.length - 1;
    if (cells[at]!.endsWith('\r')) cells[at] = cells[at]!.slice(0, -1);
    if (cells.length === 1 && cells[0]!.trim() === '') return;
    const excerpt = (): string => cells.join(' | ').slice(0, EXCERPT);
    if (marked && cells.some((cell) => cell.includes(NO_TEXT)))
      this.#sink.broken(line, { reason: 'encoding' }, excerpt());
    else this.#sink.record(line, cells, excerpt);
  }

  /** A mark at `index` of the text, which begins at line `first`, opens and does not close. */
  #broken(first: number, index: number): void {
    const start = this.#text.lastIndexOf('\n', index - 1) + 1;
    this.#sink.broken(this.#line, { reason: 'quote' }, this.#text.slice(start, start + EXCERPT));
    this.#window = AFTER_BREAK;
    this.#line = first + newlines(this.#text, index);
    this.#skipping = !this.#nextLine(index);
  }

  #tooLong(part: string): void {
    const reason = part.includes('\n') ? 'quote' : 'too-long';
    this.#sink.broken(this.#line, { reason }, part.slice(0, EXCERPT));
    this.#window = AFTER_BREAK;
    this.#skipping = !this.#nextLine(0);
  }

  /** Goes on behind the first newline from `from`. @returns false where there is none yet, and the text was passed over */
  #nextLine(from: number): boolean {
    const newline = this.#text.indexOf('\n', from);
    this.#text = newline < 0 ? '' : this.#text.slice(newline + 1);
    if (newline >= 0) this.#line++;
    return newline >= 0;
  }
}
