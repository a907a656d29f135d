import { NO_TEXT } from './text.ts';
import { EXCERPT, LONGEST_ROW, type RecordParser, type RecordSink } from './types.ts';

/** One JSON value a line. Empty lines are passed over, and a line that is too long ends at its newline. */
export class JsonLines implements RecordParser {
  #sink: RecordSink;
  #parts: string[] = [];
  #length = 0;
  #line = 1;
  /** The line was told to be too long, and its rest is passed over. */
  #skipping = false;

  constructor(sink: RecordSink) {
    this.#sink = sink;
  }

  write(text: string): void {
    let at = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      this.#take(text.slice(at, end));
      this.#close();
      at = end + 1;
    }
    this.#take(text.slice(at));
  }

  end(cut = false): void {
    if (cut && !this.#skipping)
      this.#sink.broken(
        this.#line,
        { reason: 'cut' },
        this.#parts.join('').slice(0, EXCERPT).replaceAll(NO_TEXT, ''),
      );
    else this.#close();
  }

  #take(part: string): void {
    if (this.#skipping || part === '') return;
    this.#parts.push(part);
    this.#length += part.length;
    if (this.#length <= LONGEST_ROW) return;
    this.#sink.broken(this.#line, { reason: 'too-long' }, this.#parts.join('').slice(0, EXCERPT));
    this.#parts = [];
    this.#skipping = true;
  }

  #close(): void {
    if (!this.#skipping && this.#length > 0) {
      const [first] = this.#parts;
      jsonLine(this.#parts.length === 1 ? first! : this.#parts.join(''), this.#line, this.#sink);
    }
    this.#parts = [];
    this.#length = 0;
    this.#skipping = false;
    this.#line++;
  }
}

function jsonLine(text: string, line: number, sink: RecordSink): void {
  const excerpt = (): string => text.trim().slice(0, EXCERPT);
  if (text.includes(NO_TEXT)) {
    sink.broken(line, { reason: 'encoding' }, excerpt());
    return;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    if (text.trim() !== '') sink.broken(line, { reason: 'not-json' }, excerpt());
    return;
  }
  sink.record(line, value, excerpt);
}
