/**
 * A hub on 127.0.0.1 that answers as Hugging Face's does, as far as the lab asks: look-up, list of files by pages, files of a
 * commit, large ones by a redirect to a store on another host. Like the real stores, it refuses to be asked for leave (OPTIONS).
 * `fault` decides for each request what goes wrong.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Files } from './checkpoint.ts';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

export interface Repo {
  files: Files;
  commit?: string;
  gated?: boolean;
}

export interface Asked {
  method: string;
  host: string;
  path: string;
  /** First and last byte, where a range was asked for. */
  range: [number, number] | null;
  headers: IncomingMessage['headers'];
}

export interface Fault {
  status?: number;
  headers?: Record<string, string>;
  /** Bytes of the body that are sent before the connection breaks. */
  cutAfter?: number;
  /** Bytes of the body that are sent before nothing more comes. */
  stallAfter?: number;
  ignoreRange?: boolean;
  /** Another byte in the middle of the file, which is otherwise the same. */
  wrongByte?: boolean;
  etag?: string;
  redirect?: string;
}

export interface HubServerOptions {
  repos: Record<string, Repo>;
  /** Speaks TLS with this certificate, for a browser that is told to find the hub's own hosts here. */
  tls?: { key: string; cert: string };
  /** The store's host as the redirect names it; another port of this server by default. */
  store?: string;
  /** Entries on one page of a list of files. */
  pageLength?: number;
}

const bytesOf = (content: string | Uint8Array): Buffer =>
  typeof content === 'string'
    ? Buffer.from(content)
    : Buffer.from(content.buffer, content.byteOffset, content.length);
const isLarge = (name: string): boolean => name.endsWith('.safetensors');
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const gitOid = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

export class HubServer {
  readonly asked: Asked[] = [];
  fault: (asked: Asked) => Fault | null | undefined = () => null;
  #options: HubServerOptions;
  #servers: Server[] = [];

  private constructor(options: HubServerOptions) {
    this.#options = options;
  }

  static async start(options: HubServerOptions): Promise<HubServer> {
    const hub = new HubServer(options);
    for (let i = 0; i < 2; i++) {
      const answer = (request: IncomingMessage, response: ServerResponse): void =>
        hub.#answer(request, response);
      const server = options.tls ? createTlsServer(options.tls, answer) : createServer(answer);
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      hub.#servers.push(server);
    }
    return hub;
  }

  /** Of the hub (0) and of the store (1). */
  port(which: 0 | 1 = 0): number {
    return (this.#servers[which]!.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port()}`;
  }

  get hosts(): string[] {
    return [this.url, `http://127.0.0.1:${this.port(1)}`];
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  /** Requests for bytes of a file, at the store where it is a large one. */
  askedFor(name: string): Asked[] {
    return this.asked.filter(
      (one) => one.path.endsWith(`/${name}`) && (!isLarge(name) || one.path.startsWith('/store/')),
    );
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://hub');
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const asked: Asked = {
      method: request.method ?? '',
      host: request.headers.host ?? '',
      path: decodeURIComponent(pathname),
      range: range ? [Number(range[1]), Number(range[2])] : null,
      headers: request.headers,
    };
    this.asked.push(asked);
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader(
      'Access-Control-Expose-Headers',
      'Link, ETag, Content-Range, Retry-After, RateLimit, X-Error-Code',
    );
    const fault = this.fault(asked) ?? {};
    for (const [name, value] of Object.entries(fault.headers ?? {})) response.setHeader(name, value);
    if (asked.method !== 'GET') return end(response, 403);
    if (fault.status !== undefined) return end(response, fault.status);
    const [, kind, owner, name, what, revision, file] =
      /^\/(api\/models|store)?\/?([^/]+)\/([^/]+)\/(revision|tree|resolve)\/([^/]+)(?:\/(.+))?$/.exec(
        asked.path,
      ) ?? [];
    const repo = this.#options.repos[`${owner}/${name}`];
    if (!repo) {
      response.setHeader('X-Error-Code', 'RepoNotFound');
      return end(response, 401);
    }
    const commit = repo.commit ?? COMMIT;
    if (!['HEAD', 'main', commit].includes(revision!)) return end(response, 404);
    if (kind === 'api/models' && what === 'revision')
      return json(response, {
        _id: '1',
        id: `${owner}/${name}`,
        sha: commit,
        private: false,
        gated: repo.gated ? 'manual' : false,
      });
    if (kind === 'api/models')
      return this.#list(response, repo, asked.path, Number(searchParams.get('cursor') ?? 0));
    if (repo.gated) {
      response.setHeader('X-Error-Code', 'GatedRepo');
      return end(response, 403);
    }
    const content = repo.files[file ?? ''];
    if (content === undefined) return end(response, 404);
    if (isLarge(file!) && kind !== 'store') {
      const store = fault.redirect ?? this.#options.store ?? this.hosts[1]!;
      response.setHeader('Location', `${store}/store${asked.path}`);
      return end(response, 302);
    }
    send(response, bytesOf(content), asked, fault);
  }

  #list(response: ServerResponse, { files }: Repo, path: string, cursor: number): void {
    const length = this.#options.pageLength ?? 1000;
    const all = Object.entries(files).map(([name, content]) => {
      const bytes = bytesOf(content);
      const lfs = isLarge(name) && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } };
      return { type: 'file', path: name, size: bytes.length, oid: gitOid(bytes), ...lfs };
    });
    const next = `${this.#options.tls ? 'https://huggingface.co' : this.url}${path}?cursor=${cursor + length}`;
    if (cursor + length < all.length) response.setHeader('Link', `<${next}>; rel="next"`);
    json(response, [
      ...(cursor === 0 ? [{ type: 'directory', path: 'onnx', size: 0, oid: '' }] : []),
      ...all.slice(cursor, cursor + length),
    ]);
  }
}

function send(response: ServerResponse, original: Buffer, { range }: Asked, fault: Fault): void {
  const bytes = fault.wrongByte ? Buffer.from(original) : original;
  if (fault.wrongByte) bytes[bytes.length >> 1]! ^= 1;
  const [from, last] = range && !fault.ignoreRange ? range : [0, bytes.length - 1];
  response.setHeader('ETag', fault.etag ?? `"${original.length}"`);
  if (from >= bytes.length) return end(response, 416);
  const body = bytes.subarray(from, last + 1);
  const partial = range !== null && !fault.ignoreRange;
  if (partial) response.setHeader('Content-Range', `bytes ${from}-${from + body.length - 1}/${bytes.length}`);
  response.writeHead(partial ? 206 : 200, { 'Content-Length': body.length });
  const some = fault.cutAfter ?? fault.stallAfter;
  if (some === undefined) response.end(body);
  else response.write(body.subarray(0, some), () => fault.cutAfter !== undefined && response.destroy());
}

function json(response: ServerResponse, value: unknown): void {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(value));
}

function end(response: ServerResponse, status: number): void {
  response.statusCode = status;
  response.end();
}
