/** Between parsers, layouts and counts. */
import type { DataRow } from '../rows.ts';
import type { RowReader } from './columns.ts';
import { CsvRows } from './csv.ts';
import { JsonArray } from './json-array.ts';
import { JsonLines } from './jsonl.ts';
import { isRefusal } from './layouts/common.ts';
import type { Tally } from './tally.ts';
import { Utf8 } from './text.ts';
import {
  EXCERPT,
  type Format,
  type Note,
  type RecordParser,
  type RecordSink,
  type TextParser,
} from './types.ts';

/** How a record of a table, or an object, begins. */
export const excerptOf = (raw: unknown): string =>
  (Array.isArray(raw) ? raw.join(' | ') : JSON.stringify(raw, numbers)).slice(0, EXCERPT);

/** Parquet has integers that JSON has not. */
const numbers = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);

export function parserFor(format: Format, delimiter: string | null, sink: RecordSink): RecordParser {
  if (format === 'csv') return decoding(new CsvRows(sink, delimiter ?? ','));
  return format === 'json' ? decoding(new JsonArray(sink)) : new JsonLines(sink);
}

function decoding(parser: TextParser): RecordParser {
  const decoder = new Utf8();
  return {
    write: (bytes) => parser.write(decoder.write(bytes)),
    end: (cut) => {
      parser.write(decoder.end());
      parser.end(cut);
    },
  };
}

/** Records through the layout: kept and counted, or rejected and counted. */
export function rowsInto(reader: RowReader, tally: Tally, keep: (row: DataRow) => void): RecordSink {
  return {
    record(line, raw, excerpt, number) {
      const notes: Note[] = [];
      const row = reader.read(line, raw, notes);
      if (number !== undefined && !isRefusal(row)) row.row = number;
      const refusal = isRefusal(row) ? row : tally.take(row, notes);
      if (refusal) tally.reject(line, refusal, excerpt, number);
      else keep(row as DataRow);
    },
    broken: (line, refusal, excerpt, row) => tally.reject(line, refusal, () => excerpt, row),
  };
}
