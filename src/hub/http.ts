/**
 * Requests to the hub: reading only, without cookies, referrer or any header that a browser would ask leave for first, and to
 * no host outside of the list. What may pass (a broken connection, a busy server) is tried again; the rest is a LabError.
 */
import { LabError } from '../core/errors.ts';
import { HUB_HOSTS, HUB_URL, isAllowed } from '../core/hub.ts';

export interface HubOptions {
  /** Where models are looked up. Tests name a server of their own; the page never does. */
  url: string;
  /** Sources that may be asked, and that a request may be sent on to. */
  hosts: readonly string[];
  /** Milliseconds before the second try; doubled for each further one. */
  firstWait: number;
  /** Milliseconds without a byte after which a connection counts as broken. */
  silence: number;
}

export const HUB: HubOptions = { url: HUB_URL, hosts: HUB_HOSTS, firstWait: 1000, silence: 60_000 };

/** Tries in a row that bring nothing, until one gives up. */
const TRIES = 5;
/** Longest wait that a server may ask for without the user being told to come back later, in milliseconds. */
const LONGEST_WAIT = 120_000;

const SAFE = 'What was downloaded so far is kept, and goes on from there.';

/** A failure that may pass. */
export class Passing extends Error {
  /** What to say when it does not. */
  readonly error: LabError;
  /** Bytes came before it failed. */
  readonly progressed: boolean;
  /** Milliseconds that the server asks to wait. */
  readonly after: number | undefined;

  constructor(error: LabError, o: { progressed?: boolean; after?: number | undefined } = {}) {
    super(error.message);
    this.error = error;
    this.progressed = o.progressed ?? false;
    this.after = o.after;
  }
}

/** The server has no such range of the file. */
export class NoSuchRange extends Error {}

export interface Answer {
  response: Response;
  /** The next bytes of the body; null at its end. @throws Passing when the connection breaks or falls silent */
  read(): Promise<Uint8Array | null>;
  /** Lets go of what was not read. */
  close(): void;
}

export class HubHttp {
  readonly options: HubOptions;

  constructor(options: Partial<HubOptions> = {}) {
    this.options = { ...HUB, ...options };
  }

  /**
   * Runs `work` until it succeeds, fails for good, or failed TRIES times in a row.
   * @param onWait milliseconds until the next try
   */
  async patiently<T>(work: () => Promise<T>, signal: AbortSignal, onWait?: (ms: number) => void): Promise<T> {
    for (let failures = 0; ;) {
      signal.throwIfAborted();
      try {
        return await work();
      } catch (e) {
        signal.throwIfAborted();
        if (!(e instanceof Passing)) throw e;
        failures = e.progressed ? 1 : failures + 1;
        const ms = e.after ?? this.options.firstWait * 2 ** (failures - 1);
        if (failures === TRIES || ms > LONGEST_WAIT || isOffline()) throw e.error;
        onWait?.(ms);
        await pause(ms, signal);
      }
    }
  }

  /**
   * One try. A range is asked for in the only form that needs no leave of the server ("bytes=a-b"): stores that the hub sends
   * on to refuse to be asked for leave.
   * @param what its name, for messages
   * @param range first byte, and the one after the last
   * @throws Passing, NoSuchRange, or LabError 'gated', 'not-found', 'server'
   */
  async get(
    address: string,
    what: string,
    signal: AbortSignal,
    range?: readonly [number, number],
  ): Promise<Answer> {
    const { hosts, silence } = this.options;
    if (!isAllowed(address, hosts)) throw elsewhere(address, what);
    const watch = new Watch(signal, silence);
    let response: Response;
    try {
      response = await fetch(address, {
        ...(range && { headers: { Range: `bytes=${range[0]}-${range[1] - 1}` } }),
        signal: watch.signal,
        credentials: 'omit',
        referrerPolicy: 'no-referrer',
        // the pieces are kept in the browser's storage already
        ...(range && { cache: 'no-store' as const }),
      });
    } catch (cause) {
      watch.end();
      throw new Passing(noConnection(what, cause));
    }
    const close = (): void => {
      watch.end();
      response.body?.cancel().catch(() => {});
    };
    // in a browser the page's policy has stopped it before; here it holds in Node as well
    if (!isAllowed(response.url, hosts)) {
      close();
      throw elsewhere(response.url, what);
    }
    if (!response.ok) {
      close();
      throw refusal(response, what);
    }
    const reader = response.body?.getReader();
    const read = async (): Promise<Uint8Array | null> => {
      try {
        const part = await reader?.read();
        watch.heard();
        if (!part || part.done) {
          watch.end();
          return null;
        }
        return part.value;
      } catch (cause) {
        watch.end();
        throw new Passing(noConnection(what, cause));
      }
    };
    return {
      response,
      read,
      close: () => {
        watch.end();
        reader?.cancel().catch(() => {});
      },
    };
  }

  /** A small answer as a whole, tried again where that may help: the `fetch` that @huggingface/hub is given. */
  fetch(what: string, signal: AbortSignal): typeof fetch {
    return (input) =>
      this.patiently(async () => {
        const { response, read } = await this.get(String(input), what, signal);
        const parts: Uint8Array<ArrayBuffer>[] = [];
        for (let part = await read(); part; part = await read()) parts.push(new Uint8Array(part));
        return new Response(new Blob(parts), { status: response.status, headers: response.headers });
      }, signal);
  }
}

/** A signal that fires with the caller's, and when nothing was heard for too long. */
class Watch {
  #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #caller: AbortSignal;
  #silence: number;
  #stop = (): void => this.#abort.abort(this.#caller.reason);

  constructor(caller: AbortSignal, silence: number) {
    this.#caller = caller;
    this.#silence = silence;
    caller.addEventListener('abort', this.#stop);
    if (caller.aborted) this.#stop();
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#abort.abort(new Error('silence')), this.#silence);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#caller.removeEventListener('abort', this.#stop);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}

/** Certainly without a connection; a browser that says otherwise may be wrong. */
const isOffline = (): boolean => typeof navigator !== 'undefined' && navigator.onLine === false;

function noConnection(what: string, cause: unknown): LabError {
  return isOffline()
    ? new LabError('network', `This computer is offline: ${what} cannot be downloaded now.`, {
        safe: SAFE,
        next: 'Go on when there is a connection again. Models that are here already work without one.',
        cause,
      })
    : new LabError('network', `The connection to Hugging Face failed while ${what} was on its way.`, {
        safe: SAFE,
        next: 'Check the connection (a company network may block huggingface.co and hf.co), then go on.',
        cause,
      });
}

function elsewhere(address: string, what: string): LabError {
  const host = URL.canParse(address) ? new URL(address).host : address;
  return new LabError('server', `${what} would come from ${host}, which is not a host of Hugging Face.`, {
    safe: 'Nothing was taken from there.',
    next: 'Download the files yourself, then open their folder.',
  });
}

function refusal(response: Response, what: string): Error {
  const { status } = response;
  if (status === 416) return new NoSuchRange();
  if (status === 401 || status === 403) return closed(response, what);
  if (status === 404)
    return new LabError('not-found', `Hugging Face has no ${what}.`, {
      safe: 'Nothing was downloaded.',
      next: 'Check the spelling (owner/name, and the revision behind @).',
    });
  const busy = status === 429;
  if (busy || status === 408 || status >= 500) {
    const after = waitOf(response);
    const minutes = after !== undefined && after > LONGEST_WAIT ? Math.ceil(after / 60_000) : null;
    return new Passing(
      new LabError(
        'server',
        busy
          ? `Hugging Face answers that this address asked too often (429), and sent no ${what}.`
          : `Hugging Face answered ${status} instead of ${what}.`,
        {
          safe: SAFE,
          next: minutes
            ? `It asks to wait ${minutes} minutes; then go on.`
            : 'Wait a few minutes, then go on.',
        },
      ),
      { after },
    );
  }
  return new LabError('server', `Hugging Face answered ${status} instead of ${what}.`, {
    safe: SAFE,
    next: 'Try again later, or download the files yourself and open their folder.',
  });
}

/** What does not exist, or is private, answers a visitor's look-up with 401 too, so as not to tell which. */
function closed({ headers, status, url }: Response, what: string): LabError {
  const code = headers.get('x-error-code');
  const isLookUp = new URL(url).pathname.startsWith('/api/');
  if (code === 'RepoNotFound' || (code !== 'GatedRepo' && status === 401 && isLookUp))
    return new LabError('not-found', `Hugging Face shows visitors no ${what}.`, {
      safe: 'Nothing was downloaded.',
      next: 'Check the spelling (owner/name). A private model is downloaded by its owner, who then opens the folder here.',
    });
  return new LabError(
    'gated',
    `Hugging Face gives ${what} only to those who log in and agree to its licence (${status}).`,
    {
      safe: SAFE,
      next: 'Log in on its page at Hugging Face, agree, download all files into one folder, then open that folder here.',
    },
  );
}

/** Milliseconds from Retry-After (seconds or a date), or from the hub's own RateLimit (`"api";r=0;t=55`). */
function waitOf({ headers }: Response): number | undefined {
  const retry = headers.get('retry-after');
  if (retry !== null) {
    const seconds = /^\d+$/.test(retry.trim()) ? Number(retry) : (Date.parse(retry) - Date.now()) / 1000;
    if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  }
  const reset = /;\s*t=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1];
  return reset === undefined ? undefined : Number(reset) * 1000;
}
