/** Names at Hugging Face, the hosts that may be asked, and looking a model up on a server of this machine. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HUB_HOSTS, isAllowed, parseHubName } from '../../src/core/hub.ts';
import { planShards } from '../../src/files/shards.ts';
import { find } from '../../src/hub/find.ts';
import { HubHttp } from '../../src/hub/http.ts';
import { tinyConfigJson } from '../../src/recipes/tiny.ts';
import type { Files } from '../support/checkpoint.ts';
import { COMMIT, gitOid, HubServer, sha256, type Repo } from '../support/hub-server.ts';
import { STAND_IN } from '../support/stand-in.ts';
import { FILES, REPO, TWO_PIECES, WEIGHTS, weights } from './support/hub-files.ts';

let server: HubServer;

async function start(repo: Repo = { files: FILES }, pageLength?: number): Promise<void> {
  server = await HubServer.start({
    repos: { [REPO]: repo },
    ...(pageLength !== undefined && { pageLength }),
  });
}
const look = (name = REPO) => {
  const http = new HubHttp({ url: server.url, hosts: server.hosts, firstWait: 1 });
  return find(http, parseHubName(name), new AbortController().signal);
};

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

describe('a look-up', () => {
  beforeEach(() => start());
  afterEach(() => server.close());

  it('pins the commit and lists what is needed, small files first', async () => {
    const { plan, config } = await look(`${REPO}@main`);
    expect(plan).toMatchObject({ repo: REPO, commit: COMMIT, revision: 'main' });
    expect(plan.files.map((f) => f.name)).toEqual([
      'config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'README.md',
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
    expect(config.hidden_size).toBe(STAND_IN.hidden_size);
    expect(server.askedFor(WEIGHTS)).toEqual([]);
  });

  it('reads a list of several pages', async () => {
    await server.close();
    await start(undefined, 2);
    expect((await look()).plan.files).toHaveLength(5);
    expect(server.asked.filter((one) => one.path.includes('/tree/')).length).toBeGreaterThan(2);
  });

  it('follows the index of shards', async () => {
    const { index } = planShards(
      new Map([
        ['a', [4]],
        ['b', [4]],
      ]),
      () => 'F32',
      16,
    );
    const shards = { 'model-00001-of-00002.safetensors': 'one', 'model-00002-of-00002.safetensors': 'two' };
    const { [WEIGHTS]: _, ...small } = FILES;
    const sharded = { ...small, 'model.safetensors.index.json': JSON.stringify(index) };
    await server.close();
    await start({ files: { ...sharded, ...shards } });
    expect((await look()).plan.files.slice(-3).map((f) => f.name)).toEqual([
      'model.safetensors.index.json',
      ...Object.keys(shards),
    ]);
    await server.close();
    await start({ files: { ...sharded, 'model-00001-of-00002.safetensors': 'one' } });
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
    await start({ files: content });
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
    await start({ files: FILES, gated: true });
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
});
