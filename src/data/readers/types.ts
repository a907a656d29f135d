import type { DataRow } from '../rows.ts';

/** Layouts of published files, see layouts/. */
export type LayoutId =
  'advbench' | 'beavertails' | 'alpaca' | 'lima' | 'sharegpt' | 'chat' | 'mmlu' | 'openbookqa' | 'pairs';

export type Format = 'csv' | 'jsonl' | 'json' | 'parquet';

/** Which column of the file a field of the layout is read from; null: the field is not used. */
export type Mapping = Readonly<Record<string, string | null>>;

/** Why a row is left out. */
export type Reason =
  | 'not-json'
  | 'not-object'
  | 'too-long'
  | 'cut'
  | 'encoding'
  | 'quote'
  | 'columns'
  | 'missing'
  | 'type'
  | 'empty-question'
  | 'empty-answer'
  | 'turns'
  | 'role'
  | 'answer-key'
  | 'duplicate';

export interface Refusal {
  reason: Reason;
  /** The column that it is about, the role that is not known, the line of the first copy ... */
  detail?: string;
}

export interface Rejected extends Refusal {
  /** From 1. */
  line: number;
  /** Its number among the records, from 1, where several may stand on a line. */
  row?: number;
  /** How the row begins, as it stands in the file. */
  excerpt: string;
}

/** What was changed in, or is to be known of, rows that are kept. */
export type Note = 'leading-answer' | 'trailing-question' | 'no-answer' | 'same-prompt';

export interface Field {
  name: string;
  /** Names of the column in published files, the usual one first. */
  columns: readonly string[];
  required: boolean;
}

/** What a parser finds: an object of a JSON file, the cells of a table's row. */
export type Raw = Readonly<Record<string, unknown>> | readonly string[];

/** The first records of a file, to know its layout by. */
export interface Sample {
  format: Format;
  fileName: string;
  /** Objects; empty for CSV. */
  objects: readonly Readonly<Record<string, unknown>>[];
  /** Rows of a CSV, the first one included; empty for others. */
  table: readonly (readonly string[])[];
}

export interface Recognised {
  mapping: Mapping;
  /** The first row of a table names the columns. */
  header: boolean;
}

export interface RowContext {
  note(what: Note): void;
  /** Whether a column was chosen for the field. */
  mapped(field: string): boolean;
  fileName: string;
}

/** A layout family: how it is known, which fields it has, what a row of it says. */
export interface Layout {
  id: LayoutId;
  fields: readonly Field[];
  /** Files in this layout hold what nobody should be helped with: the page warns, and veils them. */
  harmful: boolean;
  /** Fields of a table without a header, by their place. */
  bare?: readonly string[];
  recognise(sample: Sample): Recognised | null;
  /** @param get the value in the column of a field, undefined where there is none */
  row(get: (field: string) => unknown, context: RowContext): Omit<DataRow, 'line'> | Refusal;
}

/** A parser is written to, and tells each record with the line where it begins. */
export interface RecordSink {
  /** @param row number of the record, from 1, where several may stand on a line */
  record(line: number, raw: unknown, excerpt: () => string, row?: number): void;
  broken(line: number, refusal: Refusal, excerpt: string, row?: number): void;
}

/** Takes a file's bytes, which may be cut anywhere; they are valid until `write` answers. */
export interface RecordParser {
  write(bytes: Uint8Array): void;
  /** @param cut the file goes on, and cannot be read from here */
  end(cut?: boolean): void;
}

/** The same of text. */
export interface TextParser {
  write(text: string): void;
  end(cut?: boolean): void;
}

/** Characters of a row, of JSON its bytes; some 250,000 tokens are one row of no training set. */
export const LONGEST_ROW = 4 * 2 ** 20;

/** Up to here the end of a row that is too long is looked for, where all of it must be held for that. */
export const HOPELESS_ROW = 64 * 2 ** 20;

export const EXCERPT = 120;
