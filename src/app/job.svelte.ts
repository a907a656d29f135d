/** Work of which one piece runs at a time: how far it is, how it is stopped, and why it failed. */
import { errorInfo } from './client.ts';
import type { ErrorInfo } from '../worker/protocol.ts';

export class Job<Progress> {
  #abort: AbortController | null = null;
  #fail: (error: ErrorInfo | null) => void;
  #end: () => void = () => {};

  /** Resolves when nothing runs. */
  ended: Promise<void> = Promise.resolve();

  /** Null: nothing runs. */
  underWay = $state.raw<Progress | null>(null);
  error = $state.raw<ErrorInfo | null>(null);

  /** @param fail told why a piece failed, and null when one begins; default: it stands in `error` */
  constructor(fail?: (error: ErrorInfo | null) => void) {
    this.#fail = fail ?? ((error) => (this.error = error));
  }

  /** What the work gives, or null where it failed, was stopped, or another piece runs. */
  async run<T>(
    begin: Progress,
    work: (how: { signal: AbortSignal; onEvent: (progress: Progress) => void }) => Promise<T>,
  ): Promise<T | null> {
    if (this.#abort) return null;
    const { signal } = (this.#abort = new AbortController());
    this.#fail(null);
    this.underWay = begin;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    try {
      return await work({ signal, onEvent: (progress) => (this.underWay = progress) });
    } catch (e) {
      const info = errorInfo(e);
      if (info.code !== 'cancelled') this.#fail(info);
      return null;
    } finally {
      this.#abort = null;
      this.underWay = null;
      this.#end();
    }
  }

  stop(): void {
    this.#abort?.abort();
  }
}
