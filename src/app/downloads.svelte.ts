/** Models from Hugging Face: the one that was looked up, the one on its way, and those that wait to be gone on with. */
import { errorInfo, type EngineClient } from './client.ts';
import type { DownloadProgress, ErrorInfo, HubModel, KeptDownload } from '../worker/protocol.ts';

export interface Fetching {
  id: string;
  /** Null until the first bytes. */
  progress: DownloadProgress | null;
}

export class Downloads {
  #client: EngineClient;
  #abort: AbortController | null = null;

  looking = $state(false);
  found = $state.raw<HubModel | null>(null);
  /** One model is downloaded at a time. */
  fetching = $state.raw<Fetching | null>(null);
  kept = $state.raw<readonly KeptDownload[]>([]);
  error = $state.raw<ErrorInfo | null>(null);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  /** @param name `owner/name`, or `owner/name@revision` */
  async look(name: string): Promise<void> {
    this.error = null;
    this.found = null;
    this.looking = true;
    try {
      this.found = await this.#client.request('findModel', { name });
    } catch (e) {
      this.error = errorInfo(e);
    } finally {
      this.looking = false;
    }
  }

  /** Begins or goes on. True when every byte is here; false when it was paused or failed (`error` says why). */
  async fetch(id: string): Promise<boolean> {
    const abort = (this.#abort = new AbortController());
    this.error = null;
    this.fetching = { id, progress: null };
    try {
      const onEvent = (progress: DownloadProgress) => (this.fetching = { id, progress });
      await this.#client.request('download', { id }, { signal: abort.signal, onEvent });
      if (this.found?.id === id) this.found = null;
      return true;
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.error = info;
      return false;
    } finally {
      this.#abort = null;
      this.fetching = null;
    }
  }

  /** What has come stays. */
  pause(): void {
    this.#abort?.abort();
  }

  async remove(id: string): Promise<void> {
    this.error = null;
    try {
      await this.#client.request('deleteDownload', { id });
      if (this.found?.id === id) this.found = null;
    } catch (e) {
      this.error = errorInfo(e);
    }
  }

  async refresh(): Promise<void> {
    try {
      this.kept = await this.#client.request('downloads', {});
    } catch {
      // a browser without a file system has no downloads to show; whoever begins one is told
      this.kept = [];
    }
  }
}
