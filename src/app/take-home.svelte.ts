/** A whole model on its way into a folder of the user. */
import type { Attempts } from './attempts.svelte.ts';
import { errorInfo } from './client.ts';

export class TakeHome {
  #attempts: Attempts;
  #abort: AbortController | null = null;

  /** One is written at a time. */
  writing = $state.raw<{ nodeId: string; loadedBytes: number; totalBytes: number } | null>(null);
  /** The folder that was written last, and of which node. */
  done = $state.raw<{ nodeId: string; folder: string } | null>(null);

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
  }

  /** @param confirm the name of the node as its user typed it, where an attack is to leave */
  async write(nodeId: string, folder: FileSystemDirectoryHandle, confirm?: string): Promise<void> {
    if (this.writing) return;
    const abort = (this.#abort = new AbortController());
    this.#attempts.error = null;
    this.done = null;
    this.writing = { nodeId, loadedBytes: 0, totalBytes: 0 };
    try {
      const written = await this.#attempts.client.request(
        'exportFolder',
        { nodeId, folder, ...(confirm !== undefined && { confirm }) },
        { signal: abort.signal, onEvent: (bytes) => (this.writing = { nodeId, ...bytes }) },
      );
      this.done = { nodeId, folder: `${folder.name}/${written.folder}` };
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.#attempts.error = info;
    } finally {
      this.#abort = null;
      this.writing = null;
    }
  }

  cancel(): void {
    this.#abort?.abort();
  }
}
