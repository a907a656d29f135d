/** Models in WebLLM's cache of this browser, and a checkpoint on its way there or to the disk as an MLC bundle. */
import { errorInfo, type EngineClient } from './client.ts';
import { Job } from './job.svelte.ts';
import type {
  BundleProgress,
  BundleResult,
  BundleTarget,
  BundleType,
  CachedModel,
  ErrorInfo,
  StockLibraries,
} from '../worker/protocol.ts';

export class Bundles {
  #client: EngineClient;
  /** One is written at a time. */
  readonly job = new Job<{ nodeId: string; progress: BundleProgress | null }>();

  /** What was written last, and of which node. */
  done = $state.raw<{ nodeId: string; to: BundleTarget['to']; folder: string; result: BundleResult } | null>(
    null,
  );
  /** Everything that WebLLM can load from this browser. */
  models = $state.raw<readonly CachedModel[]>([]);
  /** By node: the models of WebLLM's own list whose library runs it, for each type; null: none does. */
  stocks = $state.raw<Readonly<Record<string, StockLibraries>>>({});
  /** Why a bundle was not deleted. */
  error = $state.raw<ErrorInfo | null>(null);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  /**
   * @param confirm the name of the node as its user typed it, where an attack is to leave
   * @returns the files where they are to be downloaded
   */
  async write(
    nodeId: string,
    dtype: BundleType,
    target: BundleTarget,
    confirm?: string,
  ): Promise<{ name: string; bytes: ArrayBuffer }[]> {
    if (!this.job.underWay) this.done = null;
    const params = { nodeId, dtype, target, ...(confirm !== undefined && { confirm }) };
    const result = await this.job.run({ nodeId, progress: null }, ({ signal, onEvent }) =>
      this.#client.request('exportMlc', params, {
        signal,
        onEvent: (progress) => onEvent({ nodeId, progress }),
      }),
    );
    if (!result) return [];
    const { files = [], ...rest } = result;
    const folder = target.to === 'folder' ? `${target.folder.name}/${result.folder ?? ''}` : '';
    this.done = { nodeId, to: target.to, folder, result: rest };
    return files;
  }

  /** Asks what runs a node, once. */
  async look(nodeId: string): Promise<void> {
    if (Object.hasOwn(this.stocks, nodeId)) return;
    try {
      const found = await this.#client.request('stockLibraries', { nodeId });
      this.stocks = { ...this.stocks, [nodeId]: found };
    } catch {
      // a node that was just deleted: nobody asks any more
    }
  }

  async refresh(): Promise<void> {
    try {
      this.models = await this.#client.request('webllmModels', {});
    } catch {
      // a browser without a cache has nothing to show; whoever writes into it is told
      this.models = [];
    }
  }

  async remove(url: string): Promise<void> {
    this.error = null;
    try {
      this.models = await this.#client.request('deleteBundle', { url });
    } catch (e) {
      this.error = errorInfo(e);
    }
  }
}
