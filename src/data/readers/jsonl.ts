import { Lines } from './lines.ts';
import { textOfLine } from './text.ts';
import { EXCERPT, type RecordParser, type RecordSink } from './types.ts';

/** One JSON value a line, decoded by itself. Empty lines are passed over, and a line that is too long ends at its newline. */
export class JsonLines implements RecordParser {
  readonly #lines: Lines;

  constructor(sink: RecordSink) {
    this.#lines = new Lines({
      line: (bytes, line) => jsonLine(bytes, line, sink),
      tooLong: (begin, line) => sink.broken(line, { reason: 'too-long' }, excerptOfLine(begin, line)),
      cut: (begin, line) => sink.broken(line, { reason: 'cut' }, excerptOfLine(begin, line)),
    });
  }

  write(bytes: Uint8Array): void {
    this.#lines.write(bytes);
  }

  end(cut = false): void {
    this.#lines.end(cut);
  }
}

const excerptOfLine = (bytes: Uint8Array, line: number): string =>
  textOfLine(bytes, line).text.slice(0, EXCERPT);

function jsonLine(bytes: Uint8Array, line: number, sink: RecordSink): void {
  const { text, valid } = textOfLine(bytes, line);
  const excerpt = (): string => text.trim().slice(0, EXCERPT);
  if (!valid) {
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
