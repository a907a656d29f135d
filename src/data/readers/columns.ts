/** From what stands in a file's columns to the fields of its layout. */
import { LabError } from '../../core/errors.ts';
import type { DataRow } from '../rows.ts';
import { isObject, isRefusal } from './layouts/common.ts';
import type { Layout, Mapping, Note, Refusal, RowContext } from './types.ts';

/** @throws LabError 'bad-input' when a mapping names a field or a column that is not there, or leaves out a field that must be */
export function checkMapping(
  layout: Layout,
  mapping: Mapping,
  columns: readonly string[],
  fileName: string,
): void {
  const fail = (what: string, next: string): never => {
    throw new LabError('bad-input', what, { safe: 'Nothing of it was kept.', next });
  };
  const there = columns.map((column) => `"${column}"`).join(', ');
  const fields = layout.fields.map(({ name }) => name).join(', ');
  for (const [field, column] of Object.entries(mapping)) {
    if (!layout.fields.some(({ name }) => name === field))
      fail(`The layout "${layout.id}" has no field "${field}".`, `Its fields are ${fields}.`);
    if (column !== null && !columns.includes(column))
      fail(`${fileName} has no column "${column}".`, `Choose one of its columns: ${there}.`);
  }
  for (const { name, required } of layout.fields)
    if (required && mapping[name] == null)
      fail(
        `No column of ${fileName} is chosen for "${name}".`,
        `Choose one of its columns for it: ${there}; or choose another layout.`,
      );
}

/** Turns records into rows. */
export class RowReader {
  #layout: Layout;
  #mapping: Mapping;
  #context: RowContext;
  #notes: Note[] = [];
  /** Of the cells of a table; null for objects. */
  #indexes: Readonly<Record<string, number>> | null;
  #width: number;
  #raw: unknown = null;

  /** @param table names of the columns of a table, in order; null: the records are objects */
  constructor(layout: Layout, mapping: Mapping, fileName: string, table: readonly string[] | null) {
    this.#layout = layout;
    this.#mapping = mapping;
    this.#context = {
      note: (note) => this.#notes.push(note),
      mapped: (field) => this.#mapping[field] != null,
      fileName,
    };
    this.#width = table?.length ?? 0;
    this.#indexes =
      table &&
      Object.fromEntries(
        Object.entries(mapping).flatMap(([field, column]) =>
          column === null ? [] : [[field, table.indexOf(column)]],
        ),
      );
  }

  readonly #get = (field: string): unknown => {
    if (this.#indexes) {
      const index = this.#indexes[field];
      return index === undefined ? undefined : (this.#raw as readonly string[])[index];
    }
    const column = this.#mapping[field];
    if (column == null) return undefined;
    const raw = this.#raw as Readonly<Record<string, unknown>>;
    return Object.hasOwn(raw, column) ? raw[column] : undefined;
  };

  /** @param notes what is to be known of the row is added to them */
  read(line: number, raw: unknown, notes: Note[]): DataRow | Refusal {
    if (this.#indexes) {
      const cells = raw as readonly string[];
      if (cells.length !== this.#width)
        return { reason: 'columns', detail: `${cells.length}/${this.#width}` };
    } else if (!isObject(raw)) return { reason: 'not-object' };
    this.#raw = raw;
    this.#notes = notes;
    const row = this.#layout.row(this.#get, this.#context);
    if (!isRefusal(row)) return { line, ...row };
    const column = row.detail === undefined ? undefined : this.#mapping[row.detail];
    const named = (row.reason === 'missing' || row.reason === 'type') && column;
    return named ? { ...row, detail: named } : row;
  }
}
