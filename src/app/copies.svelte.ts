/** Copies of checkpoints as files: making one, and looking into one before it is taken in. */
import { errorInfo, type EngineClient } from './client.ts';
import { Job } from './job.svelte.ts';
import type { ErrorInfo } from '../worker/protocol.ts';
import type { ArchiveContents, ArchiveProgress, ArchiveScope } from '../worker/protocol/archive.ts';

interface Way {
  what: 'keep' | 'take';
  progress: ArchiveProgress | null;
}

export class Copies {
  #client: EngineClient;
  readonly job = new Job<Way>();

  /** The file that was chosen, and what it would bring. */
  found = $state.raw<{ file: File; contents: ArchiveContents } | null>(null);
  /** Why the chosen file cannot be taken in. */
  refused = $state.raw<ErrorInfo | null>(null);
  /** How many checkpoints the last copy holds, or brought. */
  done = $state.raw<{ what: Way['what']; checkpoints: number } | null>(null);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  /**
   * @param file where it is written; null: the Blob comes back
   * @param confirm name of the opened model, where an attack on it is among them
   */
  async keep(scope: ArchiveScope, file: FileSystemFileHandle | null, confirm?: string): Promise<Blob | null> {
    this.done = null;
    const made = await this.job.run({ what: 'keep', progress: null }, ({ signal, onEvent }) =>
      this.#client.request(
        'keepCopy',
        { scope, file, ...(confirm !== undefined && { confirm }) },
        { signal, onEvent: (progress) => onEvent({ what: 'keep', progress }) },
      ),
    );
    if (made) this.done = { what: 'keep', checkpoints: made.checkpoints };
    return made?.blob ?? null;
  }

  async look(file: File): Promise<void> {
    this.found = null;
    this.refused = null;
    this.done = null;
    try {
      this.found = { file, contents: await this.#client.request('lookInCopy', { file }) };
    } catch (e) {
      this.refused = errorInfo(e);
    }
  }

  async take(): Promise<void> {
    const { found } = this;
    if (!found) return;
    const taken = await this.job.run({ what: 'take', progress: null }, ({ signal, onEvent }) =>
      this.#client.request(
        'takeCopy',
        { file: found.file },
        { signal, onEvent: (progress) => onEvent({ what: 'take', progress }) },
      ),
    );
    if (!taken) return;
    this.found = null;
    this.done = { what: 'take', checkpoints: taken.nodes.length };
  }

  forget(): void {
    this.found = null;
    this.refused = null;
  }
}
