/** Downloading a model by its name, against a server on this machine that breaks in every way that a server can. */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseHubName } from '../../src/core/hub.ts';
import { download, type Progress } from '../../src/hub/download.ts';
import { find } from '../../src/hub/find.ts';
import { HubHttp, type HubOptions } from '../../src/hub/http.ts';
import { originOf, type Plan } from '../../src/hub/plan.ts';
import { Shelf, type Place } from '../../src/hub/shelf.ts';
import { closeAll, fileSystemOn } from '../support/file-system.ts';
import { COMMIT, HubServer, type Asked, type Fault } from '../support/hub-server.ts';
import { FILES, REPO, TWO_PIECES, WEIGHTS, weights } from './support/hub-files.ts';

let server: HubServer;
let root: string;
let shelf: Shelf;
let room = Infinity;
const never = new AbortController().signal;

const http = (o: Partial<HubOptions> = {}): HubHttp =>
  new HubHttp({ url: server.url, hosts: server.hosts, firstWait: 1, silence: 5000, ...o });
const look = () => find(http(), parseHubName(REPO), never);

interface Run {
  signal?: AbortSignal;
  onProgress?: (p: Progress) => void;
  o?: Partial<HubOptions>;
}

async function take(plan: Plan, { signal = never, onProgress = () => {}, o }: Run = {}): Promise<Place> {
  const { id } = originOf(plan);
  const place = (await shelf.place(id)) ?? (await shelf.create(id, plan));
  await download(place, plan, { http: http(o), signal, onProgress, beforeWeights: async () => {} });
  return place;
}

/** The faults of the n-th, (n+1)-th ... request for the weights' bytes; none after the last. */
function weightsFail(...faults: (Fault | null)[]): void {
  let n = 0;
  server.fault = (asked) => (isWeights(asked) ? faults[n++] : null);
}
const isWeights = ({ path }: Asked): boolean => path.startsWith('/store/') && path.endsWith(WEIGHTS);
const onDisk = (name = WEIGHTS): Buffer =>
  readFileSync(join(root, 'downloads', `${REPO.replace('/', '--')}--${COMMIT}`, 'files', name));
const isThere = (): void => expect(onDisk().equals(weights)).toBe(true);

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'sdd-lab-hub-'));
  room = Infinity;
  shelf = new Shelf(fileSystemOn(root, () => room));
  server = await HubServer.start({ repos: { [REPO]: { files: FILES } } });
});
afterEach(async () => {
  vi.unstubAllGlobals();
  closeAll();
  await server.close();
  rmSync(root, { recursive: true });
});

describe('a download', () => {
  it('asks with GET alone, and with no header that needs leave', async () => {
    await take((await look()).plan);
    expect(server.asked.every((one) => one.method === 'GET')).toBe(true);
    const own = ['cookie', 'authorization', 'referer', 'origin', 'if-range'];
    for (const { headers } of server.asked) for (const name of own) expect(headers).not.toHaveProperty(name);
  });

  it('comes in pieces, checked, and is read as a folder', async () => {
    const seen: Progress[] = [];
    const place = await take((await look()).plan, { onProgress: (p) => seen.push(p) });
    isThere();
    expect(server.askedFor(WEIGHTS).map((one) => one.range)).toEqual([
      [0, 8 * 2 ** 20 - 1],
      [8 * 2 ** 20, TWO_PIECES - 1],
    ]);
    const { files: folder, complete } = await place.folder();
    expect(complete).toBe(true);
    expect([...folder.keys()].sort()).toEqual([
      'README.md',
      'config.json',
      WEIGHTS,
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const fetched = seen.filter((p) => p.state === 'fetching').map((p) => p.doneBytes);
    expect(fetched).toEqual([...fetched].sort((a, b) => a - b));
    expect(fetched.at(-1)).toBe(seen[0]!.totalBytes);
    expect(seen.at(-1)).toMatchObject({ state: 'checking', file: WEIGHTS, doneBytes: TWO_PIECES });
    expect(await shelf.list()).toMatchObject([{ complete: true }]);
  });

  it('is not fetched again when it is there', async () => {
    const { plan } = await look();
    await take(plan);
    server.asked.length = 0;
    await take(plan);
    expect(server.asked).toEqual([]);
  });

  it('stops before the weights when the small files cannot be used', async () => {
    const { plan } = await look();
    const place = await shelf.create(originOf(plan).id, plan);
    const beforeWeights = async (): Promise<void> => {
      const { files: folder } = await place.folder();
      expect([...folder.keys()]).toContain('tokenizer.json');
      throw new Error('no');
    };
    await expect(
      download(place, plan, { http: http(), signal: never, onProgress: () => {}, beforeWeights }),
    ).rejects.toThrow('no');
    expect(server.askedFor(WEIGHTS)).toEqual([]);
  });

  it('goes on where it was paused, also with a new shelf', async () => {
    const { plan } = await look();
    const abort = new AbortController();
    const reason = new Error('paused');
    const onProgress = (p: Progress): void => {
      if (p.file === WEIGHTS && p.doneBytes > 3e6) abort.abort(reason);
    };
    await expect(take(plan, { signal: abort.signal, onProgress })).rejects.toBe(reason);
    const kept = onDisk().length;
    expect(kept).toBeGreaterThan(2e6);
    expect(kept).toBeLessThan(TWO_PIECES);
    shelf = new Shelf(fileSystemOn(root));
    const [known] = await shelf.list();
    expect(known).toMatchObject({ complete: false, plan: { commit: COMMIT } });
    server.asked.length = 0;
    await take(known!.plan!);
    isThere();
    expect(server.askedFor(WEIGHTS)[0]!.range![0]).toBe(kept);
  });

  it.each([
    ['a connection that breaks twice', [{ cutAfter: 100_000 }, { cutAfter: 1_000_000 }]],
    ['a connection that falls silent', [{ stallAfter: 50_000 }]],
    ['500, 502 and 503', [{ status: 500 }, { status: 502 }, { status: 503 }]],
    ['429 with Retry-After', [{ status: 429, headers: { 'Retry-After': '0' } }]],
    ['429 with a date', [{ status: 429, headers: { 'Retry-After': new Date(0).toUTCString() } }]],
    ['a server that knows no ranges', [{ ignoreRange: true }]],
    ['a server that forgets ranges half-way', [null, { ignoreRange: true }]],
    ['another content half-way', [null, { etag: '"other"' }, { etag: '"other"' }, { etag: '"other"' }]],
    ['a range that is not there', [null, { status: 416 }]],
  ])('comes through %s', async (_, faults) => {
    const { plan } = await look();
    weightsFail(...(faults as Fault[]));
    await take(plan, { o: { silence: 300 } });
    isThere();
  });

  it('keeps what came before a break', async () => {
    const { plan } = await look();
    weightsFail({ cutAfter: 1_000_000 });
    await take(plan);
    const [, second] = server.askedFor(WEIGHTS);
    expect(second!.range![0]).toBeGreaterThan(0);
    expect(second!.range![0]).toBeLessThanOrEqual(1_000_000);
  });

  it('begins again when the content changed, and refuses by name when it keeps changing', async () => {
    const { plan } = await look();
    weightsFail(null, { etag: '"a"' });
    await take(plan);
    expect(server.askedFor(WEIGHTS).map((one) => one.range![0])).toEqual([0, 8 * 2 ** 20, 0, 8 * 2 ** 20]);
    rmSync(join(root, 'downloads'), { recursive: true });
    let n = 0;
    server.fault = (asked) => (isWeights(asked) ? { etag: `"${n++}"` } : null);
    await expect(take(plan)).rejects.toMatchObject({
      code: 'server',
      message: expect.stringContaining(WEIGHTS),
    });
  });

  it.each<[string, Fault, string, RegExp, number]>([
    ['401', { status: 401 }, 'gated', /log in/, 1],
    ['403', { status: 403, headers: { 'X-Error-Code': 'GatedRepo' } }, 'gated', /log in/, 1],
    ['404', { status: 404 }, 'not-found', /model\.safetensors/, 1],
    ['400', { status: 400 }, 'server', /400/, 1],
    ['503 without end', { status: 503 }, 'server', /503/, 5],
    ['429 for an hour', { status: 429, headers: { 'Retry-After': '3600' } }, 'server', /429/, 1],
    [
      '429 in the hub’s own words',
      { status: 429, headers: { RateLimit: '"resolvers";r=0;t=3000' } },
      'server',
      /429/,
      1,
    ],
    ['connections that break at once', { cutAfter: 0 }, 'network', /connection/i, 5],
    [
      'everything again each time, and cut',
      { ignoreRange: true, cutAfter: 200_000 },
      'network',
      /connection/i,
      5,
    ],
  ])('%s ends it in words', async (_, fault, code, what, tries) => {
    const { plan } = await look();
    server.fault = (asked) => (isWeights(asked) ? fault : null);
    await expect(take(plan)).rejects.toMatchObject({ code, message: expect.stringMatching(what) });
    expect(server.askedFor(WEIGHTS)).toHaveLength(tries);
    server.fault = () => null;
    await take(plan);
    isThere();
  });

  it('says how long to wait', async () => {
    const { plan } = await look();
    server.fault = (asked) => (isWeights(asked) ? { status: 429, headers: { 'Retry-After': '3600' } } : null);
    await expect(take(plan)).rejects.toMatchObject({ next: expect.stringContaining('60 minutes') });
  });

  it('takes nothing from a host that is not on the list', async () => {
    const { plan } = await look();
    const other = await HubServer.start({ repos: { [REPO]: { files: FILES } } });
    try {
      server.fault = ({ path }) => (path.startsWith('/store') ? null : { redirect: other.url });
      await expect(take(plan)).rejects.toMatchObject({
        code: 'server',
        message: expect.stringContaining('not a host'),
      });
      expect(onDisk()).toHaveLength(0);
    } finally {
      await other.close();
    }
  });

  it('says that the computer is offline, and asks no more', async () => {
    const { plan } = await look();
    server.fault = (asked) => (isWeights(asked) ? { cutAfter: 0 } : null);
    vi.stubGlobal('navigator', { onLine: false });
    await expect(take(plan)).rejects.toMatchObject({
      code: 'network',
      message: expect.stringContaining('offline'),
    });
    expect(server.askedFor(WEIGHTS)).toHaveLength(1);
  });

  it('ends in words on a full disk, and goes on once there is room', async () => {
    const { plan } = await look();
    const place = await shelf.create(originOf(plan).id, plan);
    room = 1000;
    const o = { http: http(), signal: never, onProgress: () => {}, beforeWeights: async () => {} };
    await expect(download(place, plan, o)).rejects.toMatchObject({ code: 'quota' });
    room = Infinity;
    await take(plan);
    isThere();
  });

  it('is refused to a second tab by the file itself', async () => {
    const { plan } = await look();
    const place = await shelf.create(originOf(plan).id, plan);
    const held = await place.open(plan.files[0]!);
    await expect(take(plan)).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('Another tab'),
    });
    held.close();
    await take(plan);
  });
});

describe('bytes that are not those that were published', () => {
  it.each([WEIGHTS, 'tokenizer.json'])('%s is fetched once again', async (name) => {
    const { plan } = await look();
    let n = 0;
    server.fault = (asked) =>
      asked.path.endsWith(name) && (name !== WEIGHTS || isWeights(asked)) && n++ === 0
        ? { wrongByte: true }
        : null;
    await take(plan);
    isThere();
    expect(server.askedFor(name).filter((one) => one.range![0] === 0)).toHaveLength(2);
  });

  it('are refused by name the second time, deleted, and never offered as a model', async () => {
    const { plan } = await look();
    server.fault = (asked) => (isWeights(asked) ? { wrongByte: true } : null);
    await expect(take(plan)).rejects.toMatchObject({
      code: 'wrong-hash',
      message: expect.stringContaining(`${WEIGHTS} of ${REPO}`),
    });
    expect(server.askedFor(WEIGHTS).filter((one) => one.range![0] === 0)).toHaveLength(2);
    const [kept] = await shelf.list();
    expect(kept!.complete).toBe(false);
    expect(() => onDisk()).toThrow();
    expect((await (await shelf.place(kept!.id))!.folder()).files.has(WEIGHTS)).toBe(false);
  });

  it('are found also where they were written by an earlier visit', async () => {
    const { plan } = await look();
    const abort = new AbortController();
    const onProgress = (p: Progress): void => {
      if (p.file === WEIGHTS && p.doneBytes > 3e6) abort.abort(new Error('paused'));
    };
    await expect(take(plan, { signal: abort.signal, onProgress })).rejects.toThrow('paused');
    const damaged = onDisk();
    damaged[1000]! ^= 1;
    writeFileSync(join(root, 'downloads', originOf(plan).id, 'files', WEIGHTS), damaged);
    await take(plan);
    isThere();
  });
});

describe('the shelf', () => {
  it('shows a download whose plan was cut off, and deletes it', async () => {
    const { plan } = await look();
    const { id } = originOf(plan);
    await shelf.create(id, plan);
    const path = join(root, 'downloads', id, 'plan.json');
    truncateSync(path, statSync(path).size - 5);
    expect(await shelf.list()).toEqual([{ id, plan: null, haveBytes: 0, complete: false }]);
    await shelf.remove(id);
    expect(readdirSync(join(root, 'downloads'))).toEqual([]);
    expect(await shelf.list()).toEqual([]);
  });
});
