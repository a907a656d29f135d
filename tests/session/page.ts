import type { FromWorker, Method, Notice, ParamsOf, ResultOf, RunInfo } from '../../src/worker/protocol.ts';
import { Service, type ServiceOptions } from '../../src/worker/service.ts';

/** A page: one service and everything it said. */
export class Page {
  readonly notices: Notice[] = [];
  readonly events: unknown[] = [];
  readonly service: Service;
  #answers = new Map<number, (message: FromWorker) => void>();
  #id = 0;

  /** @param o where its hub and its file system are, WebLLM's cache, and WebLLM */
  constructor(
    gpu: GPU,
    databaseName: string,
    o: Pick<ServiceOptions, 'hub' | 'fileSystem' | 'artifacts' | 'webllm'> = {},
  ) {
    // Everything crosses through structured clone, as it does to a real page.
    this.service = new Service({
      ...o,
      gpu,
      databaseName,
      post: (message) => this.#receive(structuredClone(message)),
    });
  }

  #receive(message: FromWorker): void {
    if (message.type === 'notice') this.notices.push(message.notice);
    else if (message.type === 'event') this.events.push(message.event);
    else this.#answers.get(message.id)!(message);
  }

  /** @param cancel milliseconds, or something to wait for, after which the request is cancelled */
  ask<M extends Method>(
    method: M,
    params: ParamsOf<M>,
    cancel?: number | Promise<unknown>,
  ): Promise<ResultOf<M>> {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, (m) => {
        if (m.type === 'result') resolve(m.result as ResultOf<M>);
        else if (m.type === 'error') reject(m.error);
      });
      this.service.receive({ type: 'request', id, method, params });
      if (cancel === undefined) return;
      const then = typeof cancel === 'number' ? new Promise((done) => setTimeout(done, cancel)) : cancel;
      void then.then(() => this.service.receive({ type: 'cancel', id }));
    });
  }

  /** Waits for the run to come to a state. */
  async until(runId: string, ...states: RunInfo['state'][]): Promise<RunInfo> {
    for (;;) {
      const run = (await this.ask('runs', {})).find((r) => r.id === runId);
      const told = this.notices.findLast(
        (n): n is Extract<Notice, { type: 'run' }> =>
          n.type === 'run' && n.runId === runId && n.event.type === 'state',
      );
      const state = told?.event.type === 'state' ? told.event.run : run;
      if (state && states.includes(state.state))
        return { ...state, log: run?.log ?? [], probes: run?.probes ?? [] };
      await new Promise((r) => setTimeout(r, 10));
    }
  }

  /** What a closed tab leaves: nothing is saved on the way out. */
  die(): void {
    this.service.close();
  }
}
