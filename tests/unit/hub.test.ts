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
import { HUB_HOSTS, isAllowed, parseHubName } from '../../src/core/hub.ts';
import { planShards } from '../../src/files/shards.ts';
import { download, type Progress } from '../../src/hub/download.ts';
import { find } from '../../src/hub/find.ts';
import { HubHttp, type HubOptions } from '../../src/hub/http.ts';
import { originOf, type Plan } from '../../src/hub/plan.ts';
import { Shelf, type Place } from '../../src/hub/shelf.ts';
import { tinyConfigJson } from '../../src/recipes/tiny.ts';
import { checkpoint, type Files } from '../support/checkpoint.ts';
import { closeAll, fileSystemOn } from '../support/file-system.ts';
import { COMMIT, gitOid, HubServer, sha256, type Asked, type Fault } from '../support/hub-server.ts';

const REPO = 'someone/some-model';
const WEIGHTS = 'model.safetensors';
const TWO_PIECES = 8 * 2 ** 20 + 12_345;

/** Small files of a real model; weights of more than one piece, whose content nobody reads here. */
const weights = new Uint8Array(TWO_PIECES).map((_, i) => (i * 31 + (i >> 11)) & 255);
const FILES: Files = {
  ...checkpoint(),
  'README.md': 'not needed',
  'pytorch_model.bin': 'not needed',
  [WEIGHTS]: weights,
};

let server: HubServer;
let root: string;
let shelf: Shelf;
let room = Infinity;
const never = new AbortController().signal;

async function start(repos = { [REPO]: { files: FILES } }, pageLength?: number): Promise<void> {
  server = await HubServer.start({ repos, ...(pageLength !== undefined && { pageLength }) });
}

const http = (o: Partial<HubOptions> = {}): HubHttp =>
  new HubHttp({ url: server.url, hosts: server.hosts, firstWait: 1, silence: 5000, ...o });
const look = (name = REPO, o?: Partial<HubOptions>) => find(http(o), parseHubName(name), never);

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

describe('a name', () => {
  it.each([
    ['owner/name', 'owner/name', null],
    [' HuggingFaceTB/SmolLM2-135M-Instruct ', 'HuggingFaceTB/SmolLM2-135M-Instruct', null],
    ['a/b@v1.0', 'a/b', 'v1.0'],
    ['a/b@refs/pr/3', 'a/b', 'refs/pr/3'],
    ['https://huggingface.co/a/b', 'a/b', null],
    ['https://huggingface.co/a/b/tree/main', 'a/b', 'main'],
  ])('%s', (text, repo, revision) => expect(parseHubName(text)).toEqual({ repo, revision }));

  it.each([
    '',
    'name',
    'a/b/c',
    'a/..',
    '../b',
    'a/b@',
    'a/b@../x',
    'a/b c',
    'https://example.com/a/b',
    'a--x/b',
    '-a/b',
  ])('%j is none', (text) =>
    expect(() => parseHubName(text)).toThrow(expect.objectContaining({ code: 'bad-input' })),
  );
});

describe('the hosts', () => {
  it.each([
    ['https://huggingface.co/a', true],
    ['https://us.aws.cdn.hf.co/x', true],
    ['https://cas-bridge.xethub.hf.co/x', true],
    ['http://huggingface.co/a', false],
    ['https://huggingface.co:444/a', false],
    ['https://hf.co.evil.example/a', false],
    ['https://evilhf.co/a', false],
    ['https://hf.co/a', false],
    ['https://huggingface.co@evil.example/', false],
    ['nonsense', false],
  ])('%s: %s', (address, allowed) => expect(isAllowed(address, HUB_HOSTS)).toBe(allowed));
});

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'sdd-lab-hub-'));
  room = Infinity;
  shelf = new Shelf(fileSystemOn(root, () => room));
  await start();
});
afterEach(async () => {
  vi.unstubAllGlobals();
  closeAll();
  await server.close();
  rmSync(root, { recursive: true });
});

describe('a look-up', () => {
  it('pins the commit and lists what is needed, small files first', async () => {
    const { plan, config } = await look(`${REPO}@main`);
    expect(plan).toMatchObject({ repo: REPO, commit: COMMIT, revision: 'main' });
    expect(plan.files.map((f) => f.name)).toEqual([
      'config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      WEIGHTS,
    ]);
    expect(plan.files.at(-1)).toEqual({
      name: WEIGHTS,
      bytes: TWO_PIECES,
      hash: { kind: 'sha256', hex: sha256(weights) },
    });
    expect(plan.files[0]!.hash).toEqual({
      kind: 'git',
      hex: gitOid(Buffer.from(FILES['config.json'] as string)),
    });
    expect(config.hidden_size).toBe(tinyConfigJson().hidden_size);
    expect(server.askedFor(WEIGHTS)).toEqual([]);
  });

  it('reads a list of several pages', async () => {
    await server.close();
    await start(undefined, 2);
    expect((await look()).plan.files).toHaveLength(4);
    expect(server.asked.filter((one) => one.path.includes('/tree/')).length).toBeGreaterThan(2);
  });

  it('follows the index of shards', async () => {
    const { index } = planShards(
      new Map([
        ['a', [4]],
        ['b', [4]],
      ]),
      'F32',
      16,
    );
    const shards = { 'model-00001-of-00002.safetensors': 'one', 'model-00002-of-00002.safetensors': 'two' };
    const { [WEIGHTS]: _, ...small } = FILES;
    const sharded = { ...small, 'model.safetensors.index.json': JSON.stringify(index) };
    await server.close();
    await start({ [REPO]: { files: { ...sharded, ...shards } } });
    expect((await look()).plan.files.slice(-3).map((f) => f.name)).toEqual([
      'model.safetensors.index.json',
      ...Object.keys(shards),
    ]);
    await server.close();
    await start({ [REPO]: { files: { ...sharded, 'model-00001-of-00002.safetensors': 'one' } } });
    await expect(look()).rejects.toMatchObject({
      code: 'corrupt-model',
      message: expect.stringContaining('00002-of-00002'),
    });
  });

  const without = (name: string): Files =>
    Object.fromEntries(Object.entries(FILES).filter(([one]) => one !== name));
  const config = (changes: object): Files => ({
    ...FILES,
    'config.json': JSON.stringify({ ...tinyConfigJson(), ...changes }),
  });
  it.each<[string, Files, string, RegExp]>([
    ['another architecture', config({ model_type: 'mistral' }), 'bad-config', /model_type/],
    ['a field that changes the maths', config({ attention_bias: true }), 'bad-config', /attention_bias/],
    ['no config', without('config.json'), 'not-found', /config\.json/],
    ['no tokenizer', without('tokenizer.json'), 'not-found', /tokenizer\.json/],
    ['no safetensors', without(WEIGHTS), 'not-found', /pytorch_model\.bin/],
  ])('refuses %s by name before any weights are asked for', async (_, content, code, what) => {
    await server.close();
    await start({ [REPO]: { files: content } });
    await expect(look()).rejects.toMatchObject({ code, message: expect.stringMatching(what) });
    expect(server.askedFor(WEIGHTS)).toEqual([]);
  });

  it('says who is not there, what is gated, and which revision is unknown', async () => {
    await expect(look('nobody/nothing')).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('nobody/nothing'),
    });
    await expect(look(`${REPO}@other`)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('@other'),
    });
    await server.close();
    await start({ [REPO]: { files: FILES, gated: true } as never });
    await expect(look()).rejects.toMatchObject({ code: 'gated', message: expect.stringContaining(REPO) });
  });

  it('does not believe a config.json with other bytes than its hash', async () => {
    server.fault = ({ path }) => (path.endsWith('config.json') ? { wrongByte: true } : null);
    await expect(look()).rejects.toMatchObject({
      code: 'wrong-hash',
      message: expect.stringContaining('config.json'),
    });
  });

  it('does not believe an answer that is no list', async () => {
    server.fault = ({ path }) => (path.includes('/tree/') ? { status: 204 } : null);
    await expect(look()).rejects.toMatchObject({ code: 'server' });
  });

  it('asks with GET alone, and with no header that needs leave', async () => {
    await take((await look()).plan);
    expect(server.asked.every((one) => one.method === 'GET')).toBe(true);
    const own = ['cookie', 'authorization', 'referer', 'origin', 'if-range'];
    for (const { headers } of server.asked) for (const name of own) expect(headers).not.toHaveProperty(name);
  });
});

describe('a download', () => {
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
