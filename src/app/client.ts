/** The typed promise API over the worker protocol: the page's only way to the engine. */
import { LabError } from '../core/errors.ts';
import type {
  ErrorInfo,
  EventOf,
  FromWorker,
  Method,
  Notice,
  ParamsOf,
  ResultOf,
  ToWorker,
} from '../worker/protocol.ts';

/** An error that came from the worker (or from its death), in words for the page. */
export class EngineError extends Error {
  readonly info: ErrorInfo;
  constructor(info: ErrorInfo) {
    super(info.what);
    this.name = 'EngineError';
    this.info = info;
  }
}

/** Whatever was thrown, as the page shows it. */
export function errorInfo(e: unknown): ErrorInfo {
  if (e instanceof EngineError) return e.info;
  if (e instanceof LabError) return { code: e.code, what: e.message, safe: e.safe, next: e.next };
  return {
    code: 'page',
    what: e instanceof Error ? e.message : String(e),
    safe: 'Everything stored in this browser is untouched.',
    next: 'Reload the page; the checkpoints will be back.',
  };
}

/** The part of a Worker that the client uses. */
export type WorkerPort = Pick<Worker, 'postMessage' | 'terminate' | 'addEventListener'>;

interface Pending {
  resolve(value: unknown): void;
  reject(error: EngineError): void;
  onEvent: ((event: unknown) => void) | undefined;
}

const CRASHED: ErrorInfo = {
  code: 'worker-crashed',
  what: 'The engine stopped unexpectedly.',
  safe: 'All saved checkpoints are safe; a run under way is safe up to its last automatic checkpoint.',
  next: 'It has been started again: continue the interrupted run, or start a new one.',
};

export class EngineClient {
  #spawn: () => WorkerPort;
  /** Null until the first request, and after a crash until the next one. */
  #port: WorkerPort | null = null;
  #pending = new Map<number, Pending>();
  #nextId = 1;

  onNotice: (notice: Notice) => void = () => {};
  /** The worker died; the next request starts a new one, which waits for `init`. */
  onCrash: (error: ErrorInfo) => void = () => {};

  constructor(spawn: () => WorkerPort) {
    this.#spawn = spawn;
  }

  /** Rejects with EngineError; 'cancelled' when `signal` fired. */
  request<M extends Method>(
    method: M,
    params: ParamsOf<M>,
    options: { onEvent?: (event: EventOf<M>) => void; signal?: AbortSignal } = {},
  ): Promise<ResultOf<M>> {
    const id = this.#nextId++;
    const { signal, onEvent } = options;
    return new Promise<ResultOf<M>>((resolve, reject) => {
      const cancel = () => this.#send({ type: 'cancel', id });
      const settle = () => signal?.removeEventListener('abort', cancel);
      this.#pending.set(id, {
        resolve: (value) => {
          settle();
          resolve(value as ResultOf<M>);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
        onEvent: onEvent && ((event) => onEvent(event as EventOf<M>)),
      });
      this.#send({ type: 'request', id, method, params });
      if (signal?.aborted) cancel();
      else signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  /** Kills the worker; requests under way fail with 'worker-crashed'. */
  restart(error: ErrorInfo = CRASHED): void {
    this.#port?.terminate();
    this.#port = null;
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const p of lost) p.reject(new EngineError(error));
    this.onCrash(error);
  }

  #send(message: ToWorker): void {
    this.#port ??= this.#start();
    this.#port.postMessage(message);
  }

  #start(): WorkerPort {
    const port = this.#spawn();
    port.addEventListener('message', (e) => {
      if (port === this.#port) this.#receive((e as MessageEvent<FromWorker>).data);
    });
    port.addEventListener('error', (e) => {
      if (port !== this.#port) return;
      e.preventDefault();
      const message = (e as ErrorEvent).message;
      this.restart(message ? { ...CRASHED, what: `${CRASHED.what} (${message})` } : CRASHED);
    });
    return port;
  }

  #receive(message: FromWorker): void {
    if (message.type === 'notice') {
      this.onNotice(message.notice);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (!pending) return;
    if (message.type === 'event') {
      pending.onEvent?.(message.event);
      return;
    }
    this.#pending.delete(message.id);
    if (message.type === 'result') pending.resolve(message.result);
    else pending.reject(new EngineError(message.error));
  }
}

/** The real engine worker. */
export function spawnEngine(): WorkerPort {
  return new Worker(new URL('../worker/engine-worker.ts', import.meta.url), { type: 'module' });
}
