import type { Notice } from './protocol.ts';

/** What a tab changed in the store that all tabs share. */
type Shared = Extract<Notice, { type: 'node' | 'nodes-deleted' | 'run-gone' | 'downloads' | 'datasets' }>;

const SHARED: ReadonlySet<Notice['type']> = new Set<Shared['type']>([
  'node',
  'nodes-deleted',
  'run-gone',
  'downloads',
  'datasets',
]);

/** Tells the lab's other tabs of new, renamed, judged and deleted checkpoints, and hears of theirs. */
export class Tabs {
  readonly #channel: BroadcastChannel | null;

  /** @param room tabs of one database hear one another */
  constructor(room: string, onNotice: (notice: Shared) => void) {
    this.#channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel(room);
    this.#channel?.addEventListener('message', ({ data }) => onNotice(data as Shared));
  }

  /** Passes on what concerns others too; the rest of a run's progress is its own tab's. */
  tell(notice: Notice): void {
    if (notice.type === 'run' && notice.event.type === 'node')
      this.#channel?.postMessage({ type: 'node', node: notice.event.node } satisfies Shared);
    else if (SHARED.has(notice.type)) this.#channel?.postMessage(notice);
  }

  close(): void {
    this.#channel?.close();
  }
}
