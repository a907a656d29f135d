/** What kind of file it is, by its first bytes; its name is not asked. */
import { LabError } from '../../core/errors.ts';
import type { FileSource } from '../../files/source.ts';
import { Damaged, isGzip, slices, unpacked } from './bytes.ts';
import { empty } from './refusals.ts';
import { newlines, NO_TEXT, Utf8 } from './text.ts';
import type { Format } from './types.ts';

/** Bytes that a file's kind and layout are known by; more where its first rows are longer than that. */
export const HEADS: readonly number[] = [2 ** 18, 2 ** 23, 2 ** 26];

export interface Head {
  format: Format;
  gzip: boolean;
  /** Its beginning, unpacked, and the same as text; both empty for Parquet. */
  bytes: Uint8Array;
  text: string;
  /** This is all of it. */
  whole: boolean;
}

const SAFE = 'Nothing of it was kept.';

const refused = (what: string, next: string): LabError =>
  new LabError('bad-input', what, { safe: SAFE, next });

/** @throws LabError 'bad-input' with what it is instead, where it is no file of rows */
export async function readHead(source: FileSource, limit = HEADS[0]!, signal?: AbortSignal): Promise<Head> {
  if (source.size === 0) throw empty(source.name);
  const reading = { limit, ...(signal && { signal }) };
  let bytes = await firstBytes(slices(source, reading), Math.min(limit, source.size));
  const gzip = isGzip(bytes);
  if (gzip) bytes = await firstBytes(unpacked(source, reading), limit);
  const starts = (...magic: number[]): boolean => magic.every((byte, i) => bytes[i] === byte);
  if (starts(0x50, 0x41, 0x52, 0x31)) {
    if (gzip) throw refused(`${source.name} is Parquet within gzip.`, 'Unpack it first: gzip -d.');
    return { format: 'parquet', gzip, bytes: new Uint8Array(0), text: '', whole: false };
  }
  if (starts(0x50, 0x4b, 0x03, 0x04))
    throw refused(
      `${source.name} is a zip archive (or a spreadsheet, which is one).`,
      'Unpack it and choose the file within; save a spreadsheet as CSV in UTF-8.',
    );
  refuseOther(source.name, bytes);
  const decoder = new Utf8();
  const whole = source.size <= limit && (gzip ? bytes.length < limit : bytes.length === source.size);
  const text = decoder.write(bytes) + (whole ? decoder.end() : '');
  refuseLatin(source.name, text);
  return { format: formatOf(source.name, text), gzip, bytes, text, whole };
}

async function firstBytes(parts: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const out = new Uint8Array(limit);
  let length = 0;
  try {
    for await (const part of parts) {
      const fits = part.subarray(0, limit - length);
      out.set(fits, length);
      length += fits.length;
      if (length === limit) break;
    }
  } catch (error) {
    if (!(error instanceof Damaged) || length === 0) throw error;
  }
  return out.subarray(0, length);
}

/** Bytes that no text has, in a file that is one. */
const STRAY = 8;

function refuseOther(name: string, bytes: Uint8Array): void {
  const zeros = [0, 0];
  let control = 0;
  const looked = Math.min(bytes.length, 2 ** 14);
  for (let i = 0; i < looked; i++) {
    const byte = bytes[i]!;
    if (byte === 0) zeros[i % 2]!++;
    else if (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13 && byte !== 12 && byte !== 27) control++;
  }
  const [even, odd] = zeros as [number, number];
  const marked = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  if (marked || Math.max(even, odd) > looked / 5) {
    if (marked || Math.min(even, odd) * 20 < Math.max(even, odd))
      throw refused(
        `${name} is UTF-16 from its first row on, and UTF-8 is wanted.`,
        'Save it as UTF-8, or: iconv -f UTF-16 -t UTF-8 FILE > NEW.',
      );
  }
  // a stray one is a matter of its row
  if (even + odd + control > Math.max(STRAY, looked / 50))
    throw refused(
      `${name} is a binary file: its first row is no text.`,
      'Choose a CSV, JSON, JSONL or Parquet file, or one of these packed by gzip.',
    );
}

/** Of the lines (in an array, of the elements) that may be in another encoding: these are left out one by one. */
const FEW = 0.1;

/** A text in which most of what is not ASCII is not UTF-8 either, and that is so in more than a few of its rows. */
function refuseLatin(name: string, text: string): void {
  if (!text.includes(NO_TEXT)) return;
  let wrong = 0;
  let right = 0;
  for (const [char] of text.matchAll(/\P{ASCII}/gu)) {
    if (char === NO_TEXT) wrong++;
    else right++;
  }
  const rows = text.split(/\n|\}\s*,\s*\{/);
  if (wrong <= right || rows.filter((row) => row.includes(NO_TEXT)).length <= rows.length * FEW) return;
  const line = newlines(text, text.indexOf(NO_TEXT)) + 1;
  throw refused(
    `${name} is not UTF-8: line ${line} is the first with bytes of another encoding, perhaps Latin-1 or Windows-1252.`,
    'Save it as UTF-8, or: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW.',
  );
}

function formatOf(name: string, text: string): Format {
  const begin = text.trimStart();
  if (begin === '') throw empty(name);
  if (/^<(!doctype|html|\?xml)/i.test(begin))
    throw refused(
      `${name} is a page of HTML or XML, perhaps saved in place of the file.`,
      'Download the file itself: on a page that shows it, choose "raw" or "download".',
    );
  if (/^version https:\/\/git-lfs/.test(begin))
    throw refused(
      `${name} is a Git LFS pointer, not the file.`,
      'Fetch the file itself: git lfs pull, or download it from its page.',
    );
  if (/^\[\s*(["[{\]]|$)/.test(begin)) return 'json';
  if (!begin.startsWith('{')) {
    if (!text.includes('\n') && begin.trimEnd().includes('\r'))
      throw refused(
        `${name} ends its lines with CR alone, as old Macintosh programs do.`,
        "Save it with the line ends of today, or: tr '\\r' '\\n' < FILE > NEW.",
      );
    return 'csv';
  }
  const lines = begin.split('\n', 20).filter((line) => line.trim() !== '');
  if (lines.length === 1 || lines.some(isObject)) return 'jsonl';
  throw refused(
    `${name} is one JSON object over several lines (line 1 begins with "{"), not a list of rows.`,
    'Take the array of rows out of it, or write one row a line (JSONL).',
  );
}

function isObject(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}
