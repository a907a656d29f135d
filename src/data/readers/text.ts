/** Text of a data file: UTF-8 that is checked, not guessed. */

/**
 * Stands for bytes that are no UTF-8, or no text. A noncharacter (Unicode 23.7), which no text has for its own, unlike U+FFFD, which many
 * published rows have; so a row that holds it can be told, and left out.
 */
export const NO_TEXT = '\uffff';

/** What a decoder writes for bytes that are no UTF-8, and some texts for their own. */
const REPLACED = '\ufffd';

/** No character of a text: a file in which one stands was damaged there. */
const NUL = '\0';

const BOM = '\ufeff';
const NEWLINE = 0x0a;

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });

/** Whether bytes are UTF-8, of which a lenient decoder made a text. */
function isValid(bytes: Uint8Array, text: string): boolean {
  if (!text.includes(REPLACED)) return true; // the lenient decoder is several times as fast as the strict one
  try {
    strict.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Bytes of a short line: each is an argument of one call. */
const SHORT = 2 ** 13;

function isAscii(bytes: Uint8Array): boolean {
  let all = 0;
  for (const byte of bytes) all |= byte;
  return all < 0x80;
}

/** The text of a line, and whether all of it is UTF-8. */
export function textOfLine(bytes: Uint8Array, line: number): { text: string; valid: boolean } {
  // a browser's decoder makes strings outside of the JavaScript heap, which takes several times as long for so few characters
  if (bytes.length <= SHORT && isAscii(bytes))
    return { text: String.fromCharCode.apply(null, bytes as unknown as number[]), valid: true };
  const text = lenient.decode(bytes);
  return { text: line === 1 && text.startsWith(BOM) ? text.slice(1) : text, valid: isValid(bytes, text) };
}

/** Decodes slices that may end within a character. */
export class Utf8 {
  #rest = new Uint8Array(0);
  #first = true;

  write(bytes: Uint8Array): string {
    const all = joined(this.#rest, bytes);
    const whole = wholeCharacters(all);
    this.#rest = all.slice(whole);
    return this.#text(all.subarray(0, whole));
  }

  end(): string {
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    return this.#text(rest);
  }

  #text(bytes: Uint8Array): string {
    const text = this.#decode(bytes);
    if (!this.#first || text === '') return text;
    this.#first = false;
    return text.startsWith(BOM) ? text.slice(1) : text;
  }

  #decode(bytes: Uint8Array): string {
    const text = utf8(bytes);
    return text.includes(NUL) ? text.replaceAll(NUL, NO_TEXT) : text;
  }
}

function utf8(bytes: Uint8Array): string {
  const text = lenient.decode(bytes);
  if (!text.includes(REPLACED)) return text;
  // Only the lines that are broken are marked.
  const lines: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, at);
    const end = newline < 0 ? bytes.length : newline + 1;
    lines.push(marked(bytes.subarray(at, end)));
    at = end;
  }
  return lines.join('');
}

function marked(bytes: Uint8Array): string {
  const text = lenient.decode(bytes);
  return isValid(bytes, text) ? text : text.replaceAll(REPLACED, NO_TEXT);
}

/** Length without a character that the end cuts. */
function wholeCharacters(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const at = bytes.length - back;
    const byte = bytes[at]!;
    if (byte < 0x80) return bytes.length;
    if (byte < 0xc0) continue; // in the middle of one
    const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return back < wanted ? at : bytes.length;
  }
  return bytes.length;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

/** Newlines in a text up to `end`. */
export function newlines(text: string, end = text.length): number {
  let n = 0;
  for (let at = text.indexOf('\n'); at >= 0 && at < end; at = text.indexOf('\n', at + 1)) n++;
  return n;
}
