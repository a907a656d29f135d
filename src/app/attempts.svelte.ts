import { errorInfo, type EngineClient } from './client.ts';
import type { ErrorInfo, Method, ParamsOf, ResultOf } from '../worker/protocol.ts';

/** Requests that never throw: what goes wrong outside a run, a comparison or an evaluation lands in `error`. */
export class Attempts {
  readonly client: EngineClient;
  /** The last thing that went wrong. */
  error = $state.raw<ErrorInfo | null>(null);

  constructor(client: EngineClient) {
    this.client = client;
  }

  /** The answer, or null where it failed or was cancelled by `signal`. */
  async try<M extends Method>(
    method: M,
    params: ParamsOf<M>,
    signal?: AbortSignal,
  ): Promise<ResultOf<M> | null> {
    try {
      return await this.client.request(method, params, signal && { signal });
    } catch (e) {
      if (!signal?.aborted) this.error = errorInfo(e);
      return null;
    }
  }
}
