/** Data files of the user: the one that is looked at, and those that are kept in this browser. */
import { errorInfo, type EngineClient } from './client.ts';
import type {
  DataChoice,
  DataInspection,
  DataProgress,
  DataRow,
  DatasetInfo,
  ErrorInfo,
  LayoutId,
} from '../worker/protocol.ts';

/** Rows of a data set that are shown at once. */
export const SHOWN_ROWS = 20;

export class DataFiles {
  #client: EngineClient;
  #abort: AbortController | null = null;

  /** Kept in this browser, newest first. */
  sets = $state.raw<readonly DatasetInfo[]>([]);
  /** The file that is looked at, how its user says that it is to be read, and what it is. */
  file = $state.raw<File | null>(null);
  choice = $state.raw<DataChoice>({});
  found = $state.raw<DataInspection | null>(null);
  /** What is under way. */
  work = $state.raw<{ kind: 'inspect' | 'import'; progress: DataProgress | null } | null>(null);
  error = $state.raw<ErrorInfo | null>(null);
  /** What the last import came to. */
  imported = $state.raw<{ dataset: DatasetInfo; known: boolean } | null>(null);
  /** A data set whose rows are shown. */
  open = $state.raw<{ id: string; from: number; rows: readonly DataRow[] } | null>(null);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  async refresh(): Promise<void> {
    this.sets = await this.#client.request('datasets', {});
  }

  /** Looks at a file. @param nodeId whose tokenizer counts tokens */
  async look(file: File, nodeId: string | null): Promise<void> {
    this.close();
    this.file = file;
    await this.#inspect(nodeId);
  }

  /** Reads the file in another layout; its columns are found anew. */
  chooseLayout(layout: LayoutId, nodeId: string | null): Promise<void> {
    const { header } = this.choice;
    this.choice = { layout, ...(header !== undefined && { header }) };
    return this.#inspect(nodeId);
  }

  chooseHeader(header: boolean, nodeId: string | null): Promise<void> {
    const { layout } = this.choice;
    this.choice = { ...(layout && { layout }), header };
    return this.#inspect(nodeId);
  }

  /** Reads a field from another column, or (null) from none. */
  chooseColumn(field: string, column: string | null, nodeId: string | null): Promise<void> {
    const layout = this.choice.layout ?? this.found?.layout;
    this.choice = {
      ...this.choice,
      ...(layout && { layout }),
      mapping: { ...this.choice.mapping, [field]: column },
    };
    return this.#inspect(nodeId);
  }

  /** Keeps the file's rows in this browser. */
  async import(nodeId: string | null): Promise<void> {
    const { file, choice } = this;
    if (!file) return;
    const imported = await this.#try('import', (options) =>
      this.#client.request('importData', { file, name: file.name, choice: choice, nodeId }, options),
    );
    if (!imported) return;
    this.close();
    this.imported = imported;
    await this.refresh();
  }

  cancel(): void {
    this.#abort?.abort();
  }

  /** Puts the file aside; nothing of it is kept. */
  close(): void {
    this.cancel();
    this.file = null;
    this.found = null;
    this.choice = {};
    this.error = null;
    this.imported = null;
  }

  /** Shows rows of a data set from the `from`-th on. */
  async show(id: string, from = 0): Promise<void> {
    try {
      const rows = await this.#client.request('datasetRows', { id, from, count: SHOWN_ROWS });
      this.open = { id, from, rows };
    } catch (e) {
      this.error = errorInfo(e);
    }
  }

  hide(): void {
    this.open = null;
  }

  async remove(id: string): Promise<void> {
    try {
      this.sets = await this.#client.request('deleteDataset', { id });
      if (this.open?.id === id) this.open = null;
      if (this.imported?.dataset.id === id) this.imported = null;
    } catch (e) {
      this.error = errorInfo(e);
    }
  }

  async #inspect(nodeId: string | null): Promise<void> {
    const { file, choice } = this;
    if (!file) return;
    const found = await this.#try('inspect', (options) =>
      this.#client.request('inspectData', { file, name: file.name, choice: choice, nodeId }, options),
    );
    if (found && this.file === file && this.choice === choice) this.found = found;
  }

  /** One piece of work at a time: what was under way is stopped. Null where it failed (`error` says why) or was stopped. */
  async #try<T>(
    kind: 'inspect' | 'import',
    start: (options: { signal: AbortSignal; onEvent: (progress: DataProgress) => void }) => Promise<T>,
  ): Promise<T | null> {
    this.cancel();
    const abort = (this.#abort = new AbortController());
    this.error = null;
    this.work = { kind, progress: null };
    try {
      return await start({
        signal: abort.signal,
        onEvent: (progress) => {
          if (this.#abort === abort) this.work = { kind, progress };
        },
      });
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled' && this.#abort === abort) this.error = info;
      return null;
    } finally {
      if (this.#abort === abort) {
        this.#abort = null;
        this.work = null;
      }
    }
  }
}
