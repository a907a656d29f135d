/** A whole model on its way into a folder of the user. */
import type { Attempts } from './attempts.svelte.ts';
import { Job } from './job.svelte.ts';

export class TakeHome {
  #attempts: Attempts;
  /** One is written at a time. */
  readonly job: Job<{ nodeId: string; loadedBytes: number; totalBytes: number }>;

  /** The folder that was written last, and of which node. */
  done = $state.raw<{ nodeId: string; folder: string } | null>(null);

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
    this.job = new Job((error) => (attempts.error = error));
  }

  /** @param confirm the name of the node as its user typed it, where an attack is to leave */
  async write(nodeId: string, folder: FileSystemDirectoryHandle, confirm?: string): Promise<void> {
    if (!this.job.underWay) this.done = null;
    const written = await this.job.run({ nodeId, loadedBytes: 0, totalBytes: 0 }, ({ signal, onEvent }) =>
      this.#attempts.client.request(
        'exportFolder',
        { nodeId, folder, ...(confirm !== undefined && { confirm }) },
        { signal, onEvent: (bytes) => onEvent({ nodeId, ...bytes }) },
      ),
    );
    if (written) this.done = { nodeId, folder: `${folder.name}/${written.folder}` };
  }
}
