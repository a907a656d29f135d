/** Fetches the files of a plan, by ranges, onto the shelf; what is there already is not fetched again. */
import { LabError } from '../core/errors.ts';
import { checksum } from './checksum.ts';
import { addressOf, wrong } from './find.ts';
import { NoSuchRange, Passing, type Answer, type HubHttp } from './http.ts';
import { totalBytes, type HubFile, type Plan } from './plan.ts';
import { put, type Place, type SyncAccess } from './shelf.ts';

/** Bytes of one request. */
const PIECE = 8 * 2 ** 20;
/** Times that a file is begun anew because the server's copy changed under way. */
const RESTARTS = 2;

export interface Progress {
  /** `waiting`: the server was busy or the connection broke; it is tried again. */
  state: 'fetching' | 'checking' | 'waiting';
  file: string;
  /** Of the whole download; while checking, of the file that is read again. */
  doneBytes: number;
  totalBytes: number;
}

export interface DownloadOptions {
  http: HubHttp;
  signal: AbortSignal;
  onProgress(progress: Progress): void;
  /** Called once, when the small files are there and before the weights are fetched: throws when the model cannot be used. */
  beforeWeights(): Promise<void>;
}

const isWeights = ({ name }: HubFile): boolean => name.endsWith('.safetensors');

/**
 * @throws LabError 'network' and 'server' when it can go on later, 'wrong-hash' when a file came twice with other bytes than were
 *   published, 'quota', and the reason of `signal`
 */
export async function download(place: Place, plan: Plan, options: DownloadOptions): Promise<void> {
  const all = totalBytes(plan);
  const done = new Map<string, number>();
  for (const file of plan.files) done.set(file.name, Math.min(file.bytes, (await place.has(file)).bytes));
  const tell = (state: Progress['state'], file: HubFile, bytes: number): void => {
    done.set(file.name, bytes);
    const doneBytes = [...done.values()].reduce((a, b) => a + b, 0);
    options.onProgress({ state, file: file.name, doneBytes, totalBytes: all });
  };
  let described = false;
  for (const file of plan.files) {
    if (isWeights(file) && !described) {
      await options.beforeWeights();
      described = true;
    }
    if ((await place.has(file)).checked) continue;
    await one(place, plan, file, options, tell);
  }
}

type Tell = (state: Progress['state'], file: HubFile, bytes: number) => void;

/** Until its hash is right; with wrong bytes it is fetched once again. */
async function one(
  place: Place,
  plan: Plan,
  file: HubFile,
  options: DownloadOptions,
  tell: Tell,
): Promise<void> {
  const { signal, onProgress } = options;
  for (let attempt = 0; attempt < 2; attempt++) {
    await transfer(place, plan, file, options, tell);
    const found = await checksum(await place.source(file), file.hash.kind, (doneBytes) => {
      signal.throwIfAborted();
      onProgress({ state: 'checking', file: file.name, doneBytes, totalBytes: file.bytes });
    });
    if (found === file.hash.hex) {
      await place.markChecked(file);
      return;
    }
    await place.drop(file);
  }
  throw wrong(plan.repo, file.name);
}

async function transfer(
  place: Place,
  plan: Plan,
  file: HubFile,
  options: DownloadOptions,
  tell: Tell,
): Promise<void> {
  const { http, signal } = options;
  const out = await place.open(file);
  try {
    const incoming = new Incoming(out, plan.repo, file, (bytes) => tell('fetching', file, bytes));
    const address = addressOf(http, plan, file.name);
    const what = `${file.name} of ${plan.repo}`;
    const piece = async (): Promise<void> => {
      const range = [incoming.at, Math.min(incoming.at + PIECE, file.bytes)] as const;
      let answer: Answer;
      try {
        answer = await http.get(address, what, signal, range);
      } catch (e) {
        // fewer bytes than were published: another file than before
        if (e instanceof NoSuchRange) return incoming.restart();
        throw e;
      }
      try {
        await incoming.take(answer, range);
      } finally {
        answer.close();
      }
    };
    while (incoming.at < file.bytes)
      await http.patiently(piece, signal, () => tell('waiting', file, incoming.at));
  } finally {
    try {
      out.flush();
    } finally {
      out.close();
    }
  }
}

/** A file on its way to the disk. */
class Incoming {
  /** Bytes that are there. */
  at: number;
  #out: SyncAccess;
  #repo: string;
  #file: HubFile;
  #tell: (bytes: number) => void;
  #restarts = 0;
  /** The server's name for this content, by host: that of one store says nothing about that of another. */
  #etags = new Map<string, string>();

  constructor(out: SyncAccess, repo: string, file: HubFile, tell: (bytes: number) => void) {
    this.#out = out;
    this.#repo = repo;
    this.#file = file;
    this.#tell = tell;
    this.at = out.getSize();
    if (this.at > file.bytes) this.#cut();
  }

  /** From its first byte, since what comes is not what came before. @throws LabError 'server' when that happens again and again */
  restart(): void {
    if (++this.#restarts > RESTARTS)
      throw new LabError(
        'server',
        `${this.#file.name} of ${this.#repo} keeps changing at Hugging Face while it is fetched.`,
        {
          safe: 'The other files of this download are kept.',
          next: 'Try again later.',
        },
      );
    this.#cut();
  }

  #cut(): void {
    this.#out.truncate(0);
    this.at = 0;
    this.#etags.clear();
  }

  /** Appends what was asked for. @throws Passing when it ends too early */
  async take({ response, read }: Answer, [from, to]: readonly [number, number]): Promise<void> {
    if (this.#isOther(response, from)) return this.restart();
    // A server that knows no ranges sends everything, from the first byte.
    const whole = response.status !== 206;
    if (whole) this.#cut();
    const end = whole ? this.#file.bytes : to;
    try {
      while (this.at < end) {
        const part = await read();
        if (!part) throw new Passing(this.#cutShort());
        put(this.#out, part.subarray(0, end - this.at), this.at);
        this.at = Math.min(end, this.at + part.length);
        this.#tell(this.at);
      }
    } catch (e) {
      if (!(e instanceof Passing)) throw e;
      // where everything comes again each time, that bytes came is no progress
      throw new Passing(e.error, { progressed: !whole && this.at > from });
    }
  }

  #cutShort(): LabError {
    return new LabError(
      'network',
      `The connection to Hugging Face ended in the middle of ${this.#file.name}.`,
      {
        safe: 'What was downloaded so far is kept, and goes on from there.',
        next: 'Check the connection, then go on.',
      },
    );
  }

  /** Whether the headers that the server lets a page see speak of other content than before. */
  #isOther({ url, headers, status }: Response, from: number): boolean {
    const { host } = new URL(url);
    const etag = headers.get('etag')?.replace(/^W\//, '');
    const before = this.#etags.get(host);
    if (etag) this.#etags.set(host, etag);
    if (etag && before !== undefined && before !== etag) return true;
    const range = status === 206 ? /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '') : null;
    return range !== null && (Number(range[1]) !== from || Number(range[2]) !== this.#file.bytes);
  }
}
