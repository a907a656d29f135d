import type { AsyncBuffer, FileMetaData } from 'hyparquet';
import { LabError } from '../../core/errors.ts';
import { readExactly, type FileSource } from '../../files/source.ts';

/** Rows that are handed on at a stretch. */
const ROWS = 2000;

/** Bytes of one row group, unpacked: it is read whole. */
const LARGEST_GROUP = 512 * 2 ** 20;

/** A Parquet file, read by its row groups. The library comes only where such a file is opened. */
export class Parquet {
  private readonly source: FileSource;
  private readonly file: AsyncBuffer;
  private readonly metadata: FileMetaData;

  private constructor(source: FileSource, file: AsyncBuffer, metadata: FileMetaData) {
    this.source = source;
    this.file = file;
    this.metadata = metadata;
  }

  /** @throws LabError 'bad-input' when its end is damaged or missing, or a part of it is too large to be read */
  static async open(source: FileSource): Promise<Parquet> {
    const { parquetMetadataAsync } = await import('hyparquet');
    const file: AsyncBuffer = {
      byteLength: source.size,
      slice: async (start, end = source.size) =>
        (await readExactly(source, start, end - start)).slice().buffer,
    };
    let metadata: FileMetaData;
    try {
      metadata = await parquetMetadataAsync(file);
    } catch (cause) {
      throw damaged(source, cause);
    }
    const largest = Math.max(0, ...metadata.row_groups.map((group) => Number(group.total_byte_size)));
    if (largest > LARGEST_GROUP)
      throw new LabError(
        'bad-input',
        `A row group of ${source.name} has ${Math.ceil(largest / 2 ** 20)} MiB, and one is read whole.`,
        {
          safe: 'Nothing of it was kept.',
          next: 'Write the file again with smaller row groups (pandas: to_parquet(row_group_size=10000)), or as JSONL.',
        },
      );
    return new Parquet(source, file, metadata);
  }

  get rows(): number {
    return Number(this.metadata.num_rows);
  }

  /** Rows as objects, in order, and the share of the rows that is read. */
  async *read(
    limit = Infinity,
    signal?: AbortSignal,
  ): AsyncGenerator<{ rows: Record<string, unknown>[]; done: number }> {
    const { parquetReadObjects } = await import('hyparquet');
    const { compressors } = await import('hyparquet-compressors');
    let first = 0;
    for (const group of this.metadata.row_groups) {
      const end = Math.min(first + Number(group.num_rows), limit);
      if (first >= end) break;
      let rows: Record<string, unknown>[];
      try {
        const { file, metadata } = this;
        rows = await parquetReadObjects({ file, metadata, compressors, rowStart: first, rowEnd: end });
      } catch (cause) {
        if (cause instanceof LabError) throw cause;
        throw damaged(this.source, cause);
      }
      for (let at = 0; at < rows.length; at += ROWS) {
        signal?.throwIfAborted();
        const part = rows.slice(at, at + ROWS).map(plain);
        yield { rows: part, done: (first + at + part.length) / this.rows };
      }
      first = end;
    }
  }
}

/** Integers of 64 bits come as bigint, which no JSON has. */
function plain(row: Record<string, unknown>): Record<string, unknown> {
  for (const [key, value] of Object.entries(row)) if (typeof value === 'bigint') row[key] = Number(value);
  return row;
}

function damaged(source: FileSource, cause: unknown): LabError {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  return new LabError('bad-input', `${source.name} begins as Parquet and cannot be read${why}.`, {
    safe: 'Nothing of it was kept.',
    next: 'Download the file again and compare its size.',
    cause,
  });
}
