/** Data files of the user on their way into the store. */
import { RowPacker, unpackRows, type PackedRows } from '../data/readers/block.ts';
import type { DataRow } from '../data/rows.ts';
import type { CountTokens, Progress, readRows } from '../data/readers/index.ts';
import { blobSource, type FileSource } from '../files/source.ts';
import type { DatasetRecord } from '../store/schema.ts';
import type { Context } from './context.ts';
import type { OpenedModels } from './opened.ts';
import type { DataFile, DataInspection, DatasetInfo } from './protocol.ts';

/** The parsers come only where a file is opened. */
const readers = () => import('../data/readers/index.ts');

/** Files up to this size are read to their end before they are imported, to show what is in them. */
const COUNTED_BYTES = 16e6;

/** Milliseconds between two reports of how far it is. */
const REPORT_EVERY = 100;

const infoOf = ({ id, createdAt, info }: DatasetRecord): DatasetInfo => ({
  ...(info as Omit<DatasetInfo, 'id' | 'createdAt'>),
  id,
  createdAt,
});

export class DataSets {
  #ctx: Context;
  #opened: OpenedModels;

  constructor(ctx: Context, opened: OpenedModels) {
    this.#ctx = ctx;
    this.#opened = opened;
  }

  /** @throws LabError 'bad-input' as the readers do */
  async inspect(
    { file, name, choice, nodeId }: DataFile,
    emit: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<DataInspection> {
    const { inspect, layoutOf, LAYOUTS } = await readers();
    const source = blobSource(file, name);
    const found = await inspect(source, choice, signal);
    const layout = found.layout && layoutOf(found.layout);
    const fields = layout?.fields.map((field) => ({ name: field.name, required: field.required })) ?? [];
    const ready = layout !== null && fields.every((f) => !f.required || found.mapping[f.name] != null);
    const report =
      ready && file.size <= COUNTED_BYTES ? await this.#read(source, found, nodeId, { emit, signal }) : null;
    return { ...found, layouts: LAYOUTS.map(({ id }) => id), fields, report };
  }

  /**
   * Reads a file to its end and keeps its rows. Answers with the data set that is there already where the same file was imported
   * in the same way.
   */
  async import(
    { file, name, choice, nodeId }: DataFile,
    emit: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<{ dataset: DatasetInfo; known: boolean }> {
    const { inspect } = await readers();
    const source = blobSource(file, name);
    const found = await inspect(source, choice, signal);
    let known: DatasetInfo | undefined;
    const record = await this.#ctx.store.datasets.add(async (put) => {
      const packer = new RowPacker(put);
      const onRows = (rows: readonly DataRow[]): Promise<void> => packer.add(rows);
      const { sha256, ...report } = await this.#read(source, found, nodeId, { emit, signal, onRows });
      await packer.end();
      const { layout, header, mapping, harmful } = found;
      const info = { name, bytes: file.size, sha256, layout: layout!, header, mapping, harmful, report };
      known = (await this.list()).find((one) => sameImport(one, info));
      return known ? null : { id: crypto.randomUUID(), createdAt: Date.now(), info };
    });
    this.#ctx.notify({ type: 'datasets' });
    return { dataset: known ?? infoOf(record!), known: known !== undefined };
  }

  async list(): Promise<DatasetInfo[]> {
    return (await this.#ctx.store.datasets.list()).map(infoOf);
  }

  /** @throws LabError 'not-found' */
  async rows(id: string, from: number, count: number): Promise<DataRow[]> {
    return this.#ctx.store.datasets.rows(id, from, count, (block) => unpackRows(block as PackedRows));
  }

  async remove(id: string): Promise<DatasetInfo[]> {
    await this.#ctx.store.datasets.delete(id);
    this.#ctx.notify({ type: 'datasets' });
    return this.list();
  }

  async #read(
    source: FileSource,
    found: Parameters<typeof readRows>[1],
    nodeId: string | null,
    o: {
      emit: (progress: Progress) => void;
      signal: AbortSignal;
      onRows?: (rows: readonly DataRow[]) => Promise<void>;
    },
  ): ReturnType<typeof readRows> {
    const countTokens = await this.#tokens(nodeId);
    const { readRows: read } = await readers();
    let told = -Infinity;
    return read(source, found, {
      signal: o.signal,
      ...(o.onRows && { onRows: o.onRows }),
      ...(countTokens && { countTokens }),
      onProgress: (progress) => {
        const now = performance.now();
        if (now - told < REPORT_EVERY && progress.readBytes < progress.totalBytes) return;
        told = now;
        o.emit(progress);
      },
    });
  }

  async #tokens(nodeId: string | null): Promise<CountTokens | null> {
    const node = nodeId === null ? undefined : await this.#ctx.store.node(nodeId);
    if (!node) return null;
    if (node.root !== null) return (text) => this.#ctx.tokenizer.encode(text).length;
    const { tokenizer } = await this.#opened.text(await this.#ctx.rootId(node));
    return (text) => tokenizer.encode(text).length;
  }
}

/** The order of a mapping's fields says nothing. */
function sameImport(
  a: Omit<DatasetInfo, 'id' | 'createdAt'>,
  b: Omit<DatasetInfo, 'id' | 'createdAt'>,
): boolean {
  const fields = new Set([...Object.keys(a.mapping), ...Object.keys(b.mapping)]);
  return (
    a.sha256 === b.sha256 &&
    a.layout === b.layout &&
    a.header === b.header &&
    [...fields].every((field) => (a.mapping[field] ?? null) === (b.mapping[field] ?? null))
  );
}
