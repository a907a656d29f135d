import { gzipSync } from 'fflate';
import { inventedFile } from '../../src/cli/data-rows.ts';
import type { DataRow } from '../../src/data/rows.ts';
import {
  inspect,
  readRows,
  type Choice,
  type Inspection,
  type LayoutId,
  type ReadOptions,
  type ReadReport,
} from '../../src/data/readers/index.ts';
import { bytesSource, type FileSource } from '../../src/files/source.ts';

const bytes = (content: string | Uint8Array): Uint8Array<ArrayBuffer> =>
  typeof content === 'string' ? new TextEncoder().encode(content) : new Uint8Array(content);

export const fileOf = (content: string | Uint8Array, name = 'rows.dat'): FileSource =>
  bytesSource(name, bytes(content));

export const gzipped = (content: string): Uint8Array => gzipSync(bytes(content));

/** A file in a layout as it is published. */
export const invented = (layout: LayoutId, rows = 60): string => [...inventedFile(layout, { rows })].join('');

/** All that a file says. */
export async function readAll(
  source: FileSource,
  choice: Choice = {},
  options: ReadOptions = {},
): Promise<{ found: Inspection; rows: DataRow[]; report: ReadReport & { sha256: string } }> {
  const found = await inspect(source, choice);
  const rows: DataRow[] = [];
  const report = await readRows(source, found, { ...options, onRows: (more) => void rows.push(...more) });
  return { found, rows, report };
}
