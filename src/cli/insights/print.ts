/** The tables of insights in a terminal and as files: those of the page, nothing computed anew. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from '../../core/errors.ts';
import { unitText, valueText, type ReportColumn, type ReportTable } from '../../report/document.ts';
import { tableCsv } from '../../report/table-file.ts';
import { table as aligned } from '../summary/tables.ts';

/** A map is shown as a grid as well; rows that stand in several tables are printed once. */
export function tablesText(tables: readonly ReportTable[]): string {
  const printed = new Set<string>();
  return tables
    .map((table) => {
      const rows = JSON.stringify(table.rows);
      const again = printed.has(rows);
      printed.add(rows);
      return [table.title, ...table.notes, ...grid(table), ...(again ? [] : [body(table)])].join('\n');
    })
    .join('\n\n');
}

const body = ({ columns, rows }: ReportTable): string =>
  aligned(
    columns.map(heading),
    rows.map((row) => row.map((value, i) => valueText(value, columns[i]!))),
  );

function heading({ title, unit }: ReportColumn): string {
  const sign = unitText(unit, 'en');
  return sign ? `${title}, ${sign}` : title;
}

/** One field for each row, as the picture draws them. */
function grid({ columns, rows, picture }: ReportTable): string[] {
  if (picture?.kind !== 'heat') return [];
  const [x, y, at] = [picture.x, picture.y, picture.value].map((id) => columns.findIndex((c) => c.id === id));
  const text = (row: ReportTable['rows'][number], i: number): string => valueText(row[i]!, columns[i]!);
  const all = (i: number): string[] => [...new Set(rows.map((row) => text(row, i)))];
  const across = all(x!);
  const lines = all(y!).map((name) => {
    const own = rows.filter((row) => text(row, y!) === name);
    return [
      name,
      ...across.map((n) => {
        const row = own.find((r) => text(r, x!) === n);
        return row ? text(row, at!) : '';
      }),
    ];
  });
  return [aligned([columns[y!]!.title, ...across], lines), ''];
}

/** @throws LabError 'bad-input' where the name is that of a file: every table is a file of its own */
export function csvFolder(name: string): string {
  if (!/\.csv$/i.test(name)) return name;
  throw new LabError('bad-input', `--csv wants a folder, not "${name}": every table is a file of its own.`, {
    safe: 'Nothing was started.',
    next: `Try --csv ${name.replace(/\.csv$/i, '')}.`,
  });
}

export function writeCsv(folder: string, tables: readonly ReportTable[]): void {
  mkdirSync(folder, { recursive: true });
  for (const table of tables) writeFileSync(join(folder, `${table.id}.csv`), tableCsv(table));
}
