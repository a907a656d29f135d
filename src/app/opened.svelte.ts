/** Models that the user opens: the one on its way, and which of the opened ones can be read now. */
import { errorInfo, type EngineClient } from './client.ts';
import type { ErrorInfo, LabNode, ModelSource } from '../worker/protocol.ts';

export interface Opening {
  /** The node whose files are opened again; null for a new model. */
  nodeId: string | null;
  loadedBytes: number;
  totalBytes: number;
}

export class OpenedModels {
  #client: EngineClient;
  #abort: AbortController | null = null;

  /** One model is opened at a time. */
  opening = $state.raw<Opening | null>(null);
  error = $state.raw<ErrorInfo | null>(null);
  /** Root nodes whose weights can be read. */
  readable = $state.raw<readonly string[]>([]);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  /** The node, or null where it failed (`error` says why) or was cancelled. */
  async open(source: ModelSource, nodeId: string | null = null): Promise<LabNode | null> {
    const abort = (this.#abort = new AbortController());
    this.error = null;
    this.opening = { nodeId, loadedBytes: 0, totalBytes: 0 };
    try {
      return await this.#client.request(
        'openModel',
        { source, ...(nodeId !== null && { nodeId }) },
        { signal: abort.signal, onEvent: (bytes) => (this.opening = { nodeId, ...bytes }) },
      );
    } catch (e) {
      this.fail(e);
      return null;
    } finally {
      this.#abort = null;
      this.opening = null;
    }
  }

  cancel(): void {
    this.#abort?.abort();
  }

  /** What went wrong while files were chosen. */
  fail(e: unknown): void {
    const info = errorInfo(e);
    if (info.code !== 'cancelled') this.error = info;
  }

  /** The folder that a model was opened from, for asking the browser again. */
  async folder(nodeId: string): Promise<FileSystemDirectoryHandle | null> {
    try {
      return await this.#client.request('modelFolder', { nodeId });
    } catch (e) {
      this.fail(e);
      return null;
    }
  }

  /** From now on. */
  canRead(nodeId: string): void {
    if (!this.readable.includes(nodeId)) this.readable = [...this.readable, nodeId];
  }
}
