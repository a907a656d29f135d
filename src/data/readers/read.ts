import { createSHA256 } from 'hash-wasm';
import type { FileSource } from '../../files/source.ts';
import type { DataRow } from '../rows.ts';
import { Damaged, slices, unpacked } from './bytes.ts';
import { checkMapping, RowReader } from './columns.ts';
import type { Inspection } from './inspect.ts';
import { layoutOf } from './layouts.ts';
import { Parquet } from './parquet.ts';
import { excerptOf, parserFor, rowsInto } from './records.ts';
import { nothingIn, unrecognised } from './refusals.ts';
import { Tally, type CountTokens, type ReadReport } from './tally.ts';
import type { RecordSink } from './types.ts';

/** Bytes that become rows at a time: so small that their texts stay among the objects that are cheap to collect. */
const PART = 2 ** 14;

export interface Progress {
  readBytes: number;
  totalBytes: number;
  rows: number;
  rejected: number;
}

export interface ReadOptions {
  /** Told of the rows of each slice; nothing is read before it has answered. */
  onRows?(rows: readonly DataRow[]): void | Promise<void>;
  onProgress?(progress: Progress): void;
  signal?: AbortSignal;
  countTokens?: CountTokens;
  /** Rejected rows that the report keeps. */
  keepRejected?: number;
}

/**
 * Reads a file to its end, as it was inspected.
 * @returns what was counted, and the SHA-256 (hex) of the file's bytes
 * @throws LabError 'bad-input' when the mapping is not whole, or the file holds no row that can be used; the signal's reason
 */
export async function readRows(
  source: FileSource,
  inspection: Pick<Inspection, 'format' | 'gzip' | 'delimiter' | 'layout' | 'header' | 'columns' | 'mapping'>,
  o: ReadOptions = {},
): Promise<ReadReport & { sha256: string }> {
  const { format, layout: id, mapping, columns } = inspection;
  if (id === null) throw unrecognised(source.name, columns);
  const layout = layoutOf(id);
  checkMapping(layout, mapping, columns, source.name);
  const hash = await createSHA256();
  hash.init();
  const tally = new Tally(o.countTokens ?? null, o.keepRejected);
  let rows: DataRow[] = [];
  const reader = new RowReader(layout, mapping, source.name, format === 'csv' ? columns : null);
  const sink = rowsInto(reader, tally, (row) => rows.push(row));
  const handOn = async (): Promise<void> => {
    const ready = rows;
    rows = [];
    if (ready.length > 0) await o.onRows?.(ready);
    o.signal?.throwIfAborted();
  };
  const tell = (done: number): void =>
    o.onProgress?.({ readBytes: done, totalBytes: source.size, rows: tally.rows, rejected: tally.rejected });
  let readBytes = 0;
  const reading = {
    ...(o.signal && { signal: o.signal }),
    onBytes: (bytes: Uint8Array, read: number) => {
      hash.update(bytes);
      readBytes = read;
    },
  };
  if (format === 'parquet') {
    const parquet = await Parquet.open(source);
    for await (const slice of slices(source, reading)) void slice;
    let line = 1;
    for await (const { rows: raws, done } of parquet.read(Infinity, o.signal)) {
      for (const raw of raws) sink.record(line++, raw, () => excerptOf(raw));
      await handOn();
      tell(Math.round(done * source.size));
    }
  } else {
    const named = format === 'csv' && inspection.header;
    const parser = parserFor(format, inspection.delimiter, named ? afterFirst(sink) : sink);
    let damaged: Damaged | null = null;
    try {
      for await (const bytes of inspection.gzip ? unpacked(source, reading) : slices(source, reading)) {
        for (let at = 0; at < bytes.length; at += PART) {
          parser.write(bytes.subarray(at, at + PART));
          await handOn();
        }
        tell(readBytes);
      }
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      damaged = error;
    }
    parser.end(damaged !== null);
    if (damaged && tally.rows === 0) throw damaged;
    await handOn();
    tell(source.size);
  }
  const report = tally.report();
  if (report.rows === 0) throw nothingIn(source.name, report.rejected.first, report.rejected.rows);
  return { ...report, sha256: hash.digest() };
}

/** Without the names of the columns. */
function afterFirst(sink: RecordSink): RecordSink {
  let first = true;
  return {
    record(line, raw, excerpt, row) {
      if (!first) sink.record(line, raw, excerpt, row);
      first = false;
    },
    broken: (line, refusal, excerpt, row) => sink.broken(line, refusal, excerpt, row),
  };
}
