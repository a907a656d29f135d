import type { FileSource } from '../../files/source.ts';
import type { DataRow } from '../rows.ts';
import { checkMapping, RowReader } from './columns.ts';
import { guessDelimiter } from './csv.ts';
import { HEADS, readHead, type Head } from './format.ts';
import { layoutOf, recognise } from './layouts.ts';
import { byPlace, columnsOf, isObject, mapped } from './layouts/common.ts';
import { Parquet } from './parquet.ts';
import { nothingIn, refuseWrapped } from './refusals.ts';
import { excerptOf, parserFor, rowsInto } from './records.ts';
import { Tally } from './tally.ts';
import type { Format, Layout, LayoutId, Mapping, RecordSink, Rejected, Sample } from './types.ts';

/** Records that a layout is known by, and rows that are shown before a file is imported. */
const SAMPLE = 50;

/** What a user says of a file; what is absent is as the file's beginning tells. */
export interface Choice {
  layout?: LayoutId;
  /** Fields that are read from other columns, or (null) from none. */
  mapping?: Mapping;
  /** Whether the first row of a table names its columns. */
  header?: boolean;
}

export interface Inspection {
  name: string;
  bytes: number;
  format: Format;
  gzip: boolean;
  /** Between the cells of a CSV. */
  delimiter: string | null;
  /** Null: no layout is recognised, and one must be chosen. */
  layout: LayoutId | null;
  /** The first row of a CSV names its columns. */
  header: boolean;
  columns: readonly string[];
  mapping: Mapping;
  /** Files in this layout hold what nobody should be helped with. */
  harmful: boolean;
  /** The first rows, and what was left out among them. */
  preview: readonly DataRow[];
  rejected: readonly Rejected[];
}

/** @throws LabError 'bad-input' where it is no file of rows, or the choice does not fit it */
export async function inspect(
  source: FileSource,
  choice: Choice = {},
  signal?: AbortSignal,
): Promise<Inspection> {
  const { head, delimiter, sample, records, broken } = await begin(source, signal);
  if (records.length === 0) throw nothingIn(source.name, broken, broken.length);
  if (head.format !== 'csv' && sample.objects.length === 0)
    throw nothingIn(
      source.name,
      records.map(({ raw, ...place }) => ({ ...place, reason: 'not-object', excerpt: excerptOf(raw) })),
      records.length,
    );
  const found = recognise(sample);
  const chosen = choice.layout ?? found?.layout.id ?? (choice.mapping ? 'pairs' : null);
  if (chosen === null && records.length === 1) refuseWrapped(source.name, records[0]!.raw);
  const layout = chosen === null ? null : layoutOf(chosen);
  const own = layout && found?.layout === layout ? found : layout?.recognise(sample);
  // a mapping that names what stands in the first row says that it is a header
  const names = new Set(columnsOf(sample, true));
  const named = Object.values(choice.mapping ?? {}).some((column) => column !== null && names.has(column));
  const header =
    head.format !== 'csv' || (choice.header ?? (named || (own?.header ?? found?.header ?? true)));
  const columns = columnsOf(sample, header);
  const guessed = own?.header === header ? own.mapping : guess(layout, columns, header);
  const mapping = { ...guessed, ...choice.mapping };
  const base = {
    name: source.name,
    bytes: source.size,
    format: head.format,
    gzip: head.gzip,
    delimiter,
    layout: chosen,
    header,
    columns,
    mapping,
    harmful: (layout?.harmful ?? false) || (found?.layout.harmful ?? false),
  };
  const ready = layout?.fields.every(({ name, required }) => !required || mapping[name] != null) ?? false;
  if (!layout || !ready) return { ...base, preview: [], rejected: broken };
  checkMapping(layout, mapping, columns, source.name);
  const tally = new Tally();
  const preview: DataRow[] = [];
  const collect = rowsInto(
    new RowReader(layout, mapping, source.name, base.format === 'csv' ? columns : null),
    tally,
    (row) => preview.push(row),
  );
  for (const { line, raw, row } of head.format === 'csv' && header ? records.slice(1) : records)
    collect.record(line, raw, () => excerptOf(raw), row);
  const rejected = [...tally.report().rejected.first, ...broken].sort((a, b) => a.line - b.line);
  return { ...base, preview, rejected };
}

function guess(layout: Layout | null, columns: readonly string[], header: boolean): Mapping {
  if (!layout) return {};
  return header ? mapped(layout.fields, columns) : byPlace(layout.fields, layout.bare ?? [], columns.length);
}

interface Beginning {
  head: Head;
  delimiter: string | null;
  sample: Sample;
  records: { line: number; raw: unknown; row?: number }[];
  broken: Rejected[];
}

/** The first records; of a file whose first row is long, more bytes than usual are looked at. */
async function begin(source: FileSource, signal?: AbortSignal, size = 0): Promise<Beginning> {
  const limit = HEADS[size]!;
  const head = await readHead(source, limit, signal);
  const delimiter = head.format === 'csv' ? guessDelimiter(head.text) : null;
  const found = await sampleOf(source, head, delimiter);
  if (found.records.length === 0 && !head.whole && size + 1 < HEADS.length)
    return begin(source, signal, size + 1);
  return { head, delimiter, ...found };
}

async function sampleOf(
  source: FileSource,
  head: Head,
  delimiter: string | null,
): Promise<Pick<Beginning, 'sample' | 'records' | 'broken'>> {
  const records: Beginning['records'] = [];
  const broken: Rejected[] = [];
  const numbered = (row: number | undefined) => row !== undefined && { row };
  const sink: RecordSink = {
    record: (line, raw, _, row) => records.length < SAMPLE && records.push({ line, raw, ...numbered(row) }),
    broken: (line, refusal, excerpt, row) =>
      records.length < SAMPLE && broken.push({ line, ...numbered(row), ...refusal, excerpt }),
  };
  if (head.format === 'parquet') {
    const parquet = await Parquet.open(source);
    for await (const { rows } of parquet.read(SAMPLE))
      for (const raw of rows) records.push({ line: records.length + 1, raw });
  } else {
    const parser = parserFor(head.format, delimiter, sink);
    parser.write(head.bytes);
    if (head.whole) parser.end();
  }
  const raws = records.map(({ raw }) => raw);
  const sample: Sample = {
    format: head.format,
    fileName: source.name,
    objects: raws.filter(isObject),
    table: head.format === 'csv' ? (raws as string[][]) : [],
  };
  return { sample, records, broken };
}
