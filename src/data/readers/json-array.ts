import { JSONParser, TokenType } from '@streamparser/json';
import { NO_TEXT } from './text.ts';
import {
  EXCERPT,
  HOPELESS_ROW,
  LONGEST_ROW,
  type Reason,
  type RecordSink,
  type TextParser,
} from './types.ts';

const NEWLINE = 0x0a;

/**
 * The elements of one JSON array, each as soon as it is whole; one that is too long is passed over. Where the text stops being JSON, the elements before stand; what
 * follows cannot be told apart any more, and is one broken row.
 */
export class JsonArray implements TextParser {
  #sink: RecordSink;
  #encoder = new TextEncoder();
  #parser = new JSONParser({ paths: ['$.*'], keepStack: false, stringBufferSize: 2 ** 16 });
  #bytes = new Uint8Array(0);
  /** Of the bytes in the file. */
  #base = 0;
  #depth = 0;
  /** Where lines were counted up to. */
  #counted = 0;
  #line = 1;
  /** Of the element that is being read. */
  #start = { line: 1, offset: 0 };
  /** Of the element that was read last. */
  #end = 0;
  #row = 0;
  /** Bytes that are no UTF-8 may stand in the element that is being read. */
  #marked = false;
  #broken = false;
  #closed = false;

  constructor(sink: RecordSink) {
    this.#sink = sink;
    this.#parser.onToken = ({ token, offset }) => {
      const closes = token === TokenType.RIGHT_BRACE || token === TokenType.RIGHT_BRACKET;
      const opens = token === TokenType.LEFT_BRACE || token === TokenType.LEFT_BRACKET;
      if (closes) {
        this.#depth--;
        this.#end = offset;
      } else if (this.#depth === 1 && token !== TokenType.COMMA) {
        this.#lineOf(offset);
        this.#start = { line: this.#line, offset };
        this.#row++;
      }
      if (opens) this.#depth++;
      if (closes && this.#depth === 0) this.#closed = true;
    };
    this.#parser.onValue = ({ value }) => {
      const excerpt = (): string => JSON.stringify(value).slice(0, EXCERPT);
      const refuse = (reason: Reason): void =>
        this.#sink.broken(this.#start.line, { reason }, excerpt().replaceAll(NO_TEXT, ''), this.#row);
      if (this.#end - this.#start.offset > LONGEST_ROW) refuse('too-long');
      else if (this.#marked && JSON.stringify(value).includes(NO_TEXT)) refuse('encoding');
      else this.#sink.record(this.#start.line, value, excerpt, this.#row);
    };
    this.#parser.onError = () => this.#break('cut');
  }

  write(text: string): void {
    if (this.#broken || this.#closed) return;
    this.#marked = (this.#marked && this.#depth > 1) || text.includes(NO_TEXT);
    this.#bytes = this.#encoder.encode(text);
    this.#parser.write(this.#bytes);
    this.#lineOf(this.#base + this.#bytes.length);
    this.#base += this.#bytes.length;
    if (this.#depth > 1 && this.#base - this.#start.offset > HOPELESS_ROW) this.#break('too-long');
  }

  end(): void {
    if (!this.#broken && !this.#closed) this.#break('cut');
  }

  #break(reason: 'cut' | 'too-long'): void {
    if (this.#broken) return;
    this.#broken = true;
    const at = Math.max(0, this.#start.offset - this.#base);
    const text = new TextDecoder().decode(this.#bytes.subarray(at, at + EXCERPT));
    this.#sink.broken(this.#start.line, { reason }, text.replaceAll(NO_TEXT, ''), this.#row);
  }

  #lineOf(offset: number): void {
    const end = Math.min(offset - this.#base, this.#bytes.length);
    let at = this.#bytes.indexOf(NEWLINE, this.#counted - this.#base);
    while (at >= 0 && at < end) {
      this.#line++;
      at = this.#bytes.indexOf(NEWLINE, at + 1);
    }
    this.#counted = offset;
  }
}
