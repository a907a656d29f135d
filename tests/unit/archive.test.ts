/** Copies of checkpoints as one file: what goes out comes in again, and what somebody tampered with does not. */
import 'fake-indexeddb/auto';
import {
  BlobReader,
  BlobWriter,
  configure,
  TextReader,
  Uint8ArrayReader,
  ZipReader,
  ZipWriter,
} from '@zip.js/zip.js';
import { openDB } from 'idb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { LabError } from '../../src/core/errors.ts';
import { Rng } from '../../src/core/rng.ts';
import { initTensors, tinyConfigJson } from '../../src/recipes/tiny.ts';
import { Archives } from '../../src/worker/archive.ts';
import { Context } from '../../src/worker/context.ts';
import { cancelled } from '../../src/worker/error-info.ts';
import type { Evaluation, LabNode } from '../../src/worker/protocol.ts';
import type { ArchiveProgress } from '../../src/worker/protocol/archive.ts';
import { flatten, storedFloats } from '../../src/worker/stored-model.ts';
import { STAND_IN } from '../support/stand-in.ts';

configure({ useWebWorkers: false });

const config = parseLlamaConfig(STAND_IN);
const LORA = { r: 2, alpha: 4, targets: ['q_proj', 'v_proj'] as const };
const quiet = (): void => {};
const never = new AbortController().signal;
let count = 0;

interface Lab {
  name: string;
  ctx: Context;
  archives: Archives;
}
const labs: Lab[] = [];

async function lab(): Promise<Lab> {
  const name = `archive-${++count}`;
  const ctx = new Context({ notify: quiet, databaseName: name });
  await ctx.openStore();
  const made = { name, ctx, archives: new Archives(ctx) };
  labs.push(made);
  return made;
}

const node = (id: string, parentId: string | null, own: Partial<LabNode> = {}) => ({
  id,
  parentId,
  name: `<b>${id}</b>`,
  kind: parentId === null ? ('base' as const) : ('defence' as const),
  recipe: parentId === null ? null : 'sdd',
  settings: { lr: 0.003, method: 'full', deep: false },
  seeds: { world: 0, defence: 1, attack: 0 },
  steps: parentId === null ? 0 : 3,
  runId: parentId === null ? null : `run-${id}`,
  dataDigest: '',
  adapter: { vendor: 'v', architecture: 'a', description: 'software', subgroupSize: 8 },
  engineVersion: 'engine',
  kernelTable: null,
  modelConfig: STAND_IN,
  root: 'tiny-chat' as const,
  createdAt: ++count,
  ...own,
});

const weightsOf = (seed: number): Float32Array<ArrayBuffer> =>
  new Float32Array(flatten(config, initTensors(config, seed)));

const evaluation = (nodeId: string): Evaluation => ({
  nodeId,
  set: 'T',
  n: 1,
  quick: false,
  counts: { refused: 1, complied: 0, leak: 0, attempted: 0, irrelevant: 0, degraded: 0 },
  strict: { value: 0, low: 0, high: 0.5, n: 1 },
  broad: { value: 0, low: 0, high: 0.5, n: 1 },
  benign: { mean: 0.5, skills: [{ skill: 'capital', correct: 1, n: 2 }] },
  newSkill: null,
  answers: [{ prompt: 'p', answer: '<img src=x>', verdict: { kind: 'refused', reason: 'says no' } }],
  seconds: 1,
  createdAt: ++count,
});

/** base <- defended <- adapter, one of them judged, with two kept steps, a verdict and a prompts file. */
async function filled(): Promise<Lab> {
  const one = await lab();
  const { store } = one.ctx;
  await store.addNode(node('tiny-chat', null, { fileDigest: 'a'.repeat(64) }), weightsOf(1));
  await store.addNode(node('defended', 'tiny-chat'), weightsOf(2));
  const rng = new Rng('adapter');
  const adapter = Float32Array.from({ length: storedFloats(config, LORA) }, () => rng.normal());
  await store.addNode(node('adapter', 'defended', { lora: LORA, kind: 'attack', recipe: 'mft' }), adapter);
  await store.addNode(node('sibling', 'tiny-chat'), weightsOf(3));
  const judged = evaluation('defended');
  await store.addEvaluation(judged, (n) => ({
    ...n,
    verdicts: { T: { ...pick(judged) } },
    benign: judged.benign!,
  }));
  for (const step of [1, 2])
    await store.snapshots.add(
      { runId: 'run-defended', step, parentId: 'tiny-chat', form: 'delta' },
      Uint16Array.from({ length: 50 }, (_, i) => i * step),
    );
  await store.labels.set({ digest: 'b'.repeat(64), verdict: 'refused', time: 5 });
  await store.setPrompts({
    id: 'c'.repeat(64),
    name: 'mine.jsonl',
    text: [
      { role: 'harmful', split: 'defence', prompt: 'Open the vault' },
      { role: 'harmful', split: 'attack', prompt: 'Open the gate', answer: 'Turn the key' },
      { role: 'benign', prompt: 'Hello', answer: 'Hi' },
    ]
      .map((line) => JSON.stringify(line))
      .join('\n'),
  });
  return one;
}
const pick = ({ n, quick, counts, strict, broad }: Evaluation) => ({ n, quick, counts, strict, broad });

const copyOf = async ({ archives }: Lab): Promise<Blob> =>
  (await archives.make({ scope: { kind: 'everything' }, file: null }, quiet, never)).blob!;

const hexOf = async (x: BufferSource): Promise<string> =>
  Buffer.from(await crypto.subtle.digest('SHA-256', x)).toString('hex');

/** Everything that is stored but where weights lie. */
async function contents({ ctx, name }: Lab) {
  const nodes = await ctx.store.nodes();
  const weights = await Promise.all(
    nodes.map(async (n) => hexOf(new Float32Array(await ctx.store.weights(n.id)))),
  );
  const db = await openDB(name);
  const chunks = new Set(((await db.getAllKeys('weights')) as unknown as [string, number][]).map(([o]) => o));
  const snapshots = await db.getAll('snapshots');
  const [labels, prompts] = [await db.getAll('labels'), await db.getAll('prompts')];
  db.close();
  expect([...chunks].sort()).toEqual(
    nodes
      .filter((n) => n.weightsBytes > 0)
      .map((n) => n.weightsKey)
      .sort(),
  );
  const evaluations = (await Promise.all(nodes.map((n) => ctx.store.evaluations(n.id)))).flat();
  return {
    nodes: nodes.map(({ weightsKey: _, ...n }) => n),
    weights,
    evaluations,
    snapshots: snapshots.map((s: { bytes: ArrayBuffer }) => ({ ...s, bytes: [...new Uint8Array(s.bytes)] })),
    labels,
    prompts,
  };
}

/** The zip's entries, to be put together otherwise. */
async function entriesOf(blob: Blob): Promise<Map<string, Uint8Array>> {
  const out = new Map<string, Uint8Array>();
  for (const e of await new ZipReader(new BlobReader(blob)).getEntries())
    if (!e.directory)
      out.set(e.filename, new Uint8Array(await (await e.getData(new BlobWriter())).arrayBuffer()));
  return out;
}
async function zipped(entries: Iterable<[string, Uint8Array | string]>, level = 0): Promise<Blob> {
  const zip = new ZipWriter(new BlobWriter(), { level });
  for (const [name, bytes] of entries)
    await zip.add(name, typeof bytes === 'string' ? new TextReader(bytes) : new Uint8ArrayReader(bytes));
  return zip.close();
}
/** The archive with one list of records changed, its checksum set right. */
async function withRecords(
  blob: Blob,
  kind: string,
  change: (list: Record<string, unknown>[]) => unknown,
): Promise<Blob> {
  const entries = await entriesOf(blob);
  const name = `records/${kind}.json`;
  const text = JSON.stringify(change(JSON.parse(new TextDecoder().decode(entries.get(name)))));
  return resealed(entries, name, typeof text === 'string' ? text : 'null');
}
async function resealed(entries: Map<string, Uint8Array>, name: string, text: string): Promise<Blob> {
  const bytes = new TextEncoder().encode(text);
  entries.set(name, bytes);
  const manifest = JSON.parse(new TextDecoder().decode(entries.get('archive.json'))) as {
    entries: { name: string; bytes: number; sha256: string }[];
  };
  const own = manifest.entries.find((e) => e.name === name)!;
  own.bytes = bytes.length;
  own.sha256 = Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');
  entries.set('archive.json', new TextEncoder().encode(JSON.stringify(manifest)));
  return zipped(entries);
}

let from: Lab;
beforeEach(async () => {
  from = await filled();
});
afterEach(() => {
  vi.restoreAllMocks();
  for (const { ctx } of labs.splice(0)) ctx.closeStore();
});

describe('a copy of everything', () => {
  it('brings all of it into an empty lab, bit for bit, and nothing a second time', async () => {
    const told: ArchiveProgress[] = [];
    const { blob, checkpoints } = await from.archives.make(
      { scope: { kind: 'everything' }, file: null },
      (p) => told.push(p),
      never,
    );
    expect(checkpoints).toBe(4);
    expect(told.at(-1)!.done).toBe(told.at(-1)!.total);
    const to = await lab();
    const look = await to.archives.look(blob!);
    expect(look).toMatchObject({ evaluations: 1, prompts: 1, labels: 1, steps: 2 });
    expect(look.nodes.map((n) => n.state)).toEqual(['new', 'new', 'new', 'new']);
    expect(await contents(to)).toMatchObject({ nodes: [] });
    const { nodes } = await to.archives.take(blob!, quiet, never);
    expect(nodes).toHaveLength(4);
    expect(await contents(to)).toEqual(await contents(from));

    expect((await to.archives.look(blob!)).nodes.every((n) => n.state === 'here')).toBe(true);
    expect((await to.archives.take(blob!, quiet, never)).nodes).toEqual([]);
    expect(await contents(to)).toEqual(await contents(from));
  });

  it('of one checkpoint holds what it was made of, of a family its siblings as well', async () => {
    const names = async (kind: 'node' | 'family', nodeId: string): Promise<string[]> => {
      const { blob } = await from.archives.make({ scope: { kind, nodeId }, file: null }, quiet, never);
      return (await (await lab()).archives.look(blob!)).nodes.map((n) => n.name).sort();
    };
    expect(await names('node', 'adapter')).toEqual(['<b>adapter</b>', '<b>defended</b>', '<b>tiny-chat</b>']);
    expect(await names('family', 'adapter')).toHaveLength(4);
  });

  it('comes in beside other checkpoints that bear the same numbers, which stay', async () => {
    const blob = await copyOf(from);
    const to = await lab();
    await to.ctx.store.addNode(node('tiny-chat', null), weightsOf(9));
    await to.ctx.store.addNode(node('defended', 'tiny-chat'), weightsOf(8));
    const before = await contents(to);
    expect((await to.archives.look(blob)).nodes.map((n) => n.state)).toEqual([
      'other',
      'other',
      'new',
      'new',
    ]);
    const { nodes } = await to.archives.take(blob, quiet, never);
    const after = await contents(to);
    for (const own of before.nodes) expect(after.nodes).toContainEqual(own);
    const named = (name: string) => nodes.find((n) => n.name === `<b>${name}</b>`)!;
    expect(named('tiny-chat').id).not.toBe('tiny-chat');
    expect(named('defended').parentId).toBe(named('tiny-chat').id);
    expect(named('adapter').parentId).toBe(named('defended').id);
    expect(await hexOf(new Float32Array(await to.ctx.store.weights(named('defended').id)))).toBe(
      await hexOf(weightsOf(2)),
    );
    expect(await to.ctx.store.evaluations(named('defended').id)).toHaveLength(1);
  });

  it('is not made of a damaged checkpoint, which is named', async () => {
    const { weightsKey } = (await from.ctx.store.node('defended'))!;
    const db = await openDB(from.name);
    const chunk = (await db.get('weights', [weightsKey, 0])) as { bytes: ArrayBuffer };
    new Uint8Array(chunk.bytes)[7]! ^= 1;
    await db.put('weights', chunk);
    db.close();
    await expect(copyOf(from)).rejects.toMatchObject({
      code: 'corrupt-model',
      message: expect.stringContaining('defended') as string,
    });
  });

  it('of attacks on an opened model leaves by name alone', async () => {
    const { store } = from.ctx;
    const opened = {
      kept: 'webllm' as const,
      webllm: 'https://models.lab.invalid/x/resolve/main/',
      from: 'files',
      weightFiles: [],
      types: ['F32'],
      parameters: 1,
      tokenizer: 't',
      template: 'model' as const,
      fingerprint: 'd'.repeat(64),
    };
    await store.addNode(node('mine', null, { root: null, opened }), new Float32Array(), {
      description: {},
      folder: null,
    });
    const adapter = new Float32Array(storedFloats(config, LORA));
    await store.addNode(node('bad', 'mine', { root: null, lora: LORA, kind: 'attack' }), adapter);
    const scope = { kind: 'everything' as const };
    await expect(copyOf(from)).rejects.toMatchObject({ code: 'bad-input' });
    const { blob } = await from.archives.make({ scope, file: null, confirm: '<b>mine</b>' }, quiet, never);
    const to = await lab();
    const { nodes } = await to.archives.take(blob!, quiet, never);
    const { webllm: _place, ...elsewhere } = opened;
    expect(nodes.find((n) => n.id === 'mine')!.opened).toEqual({ ...elsewhere, kept: 'nowhere' });
    expect(await to.ctx.store.model('mine')).toMatchObject({ id: 'mine', folder: null });
  });
});

describe('nothing is half taken in', () => {
  it.each([1, 4, 9])('when the disk is full at write %i', async (at) => {
    const blob = await copyOf(from);
    const to = await lab();
    await to.ctx.store.addNode(node('own', null), weightsOf(5));
    const before = await contents(to);
    let calls = 0;
    for (const method of ['put', 'add'] as const) {
      const real = IDBObjectStore.prototype[method];
      vi.spyOn(IDBObjectStore.prototype, method).mockImplementation(function (this: IDBObjectStore, ...args) {
        if (++calls === at) throw new DOMException('no space', 'QuotaExceededError');
        return real.apply(this, args);
      });
    }
    await expect(to.archives.take(blob, quiet, never)).rejects.toMatchObject({ code: 'quota' });
    vi.restoreAllMocks();
    expect(await contents(to)).toEqual(before);
    expect((await to.archives.take(blob, quiet, never)).nodes).toHaveLength(4);
  });

  it('when it is stopped', async () => {
    const blob = await copyOf(from);
    const to = await lab();
    const stop = new AbortController();
    const taking = to.archives.take(
      blob,
      ({ done, total }) => done > 0.7 * total && stop.abort(cancelled()),
      stop.signal,
    );
    await expect(taking).rejects.toMatchObject({ code: 'cancelled' });
    expect(await contents(to)).toMatchObject({ nodes: [], snapshots: [], labels: [], prompts: [] });
  });
});

describe('a file from a stranger', () => {
  const refused = async (file: Blob, about: RegExp): Promise<void> => {
    const to = await lab();
    const attempts = [() => to.archives.look(file), () => to.archives.take(file, quiet, never)];
    for (const attempt of attempts) {
      const error: unknown = await attempt().then(
        () => null,
        (e: unknown) => e,
      );
      // what only the bytes tell is seen when they are read
      if (error === null) continue;
      expect(error).toBeInstanceOf(LabError);
      expect((error as LabError).message).toMatch(about);
      expect((error as LabError).safe).not.toBe('');
    }
    await expect(to.archives.take(file, quiet, never)).rejects.toBeInstanceOf(LabError);
    expect(await contents(to)).toMatchObject({ nodes: [], prompts: [], labels: [], snapshots: [] });
  };

  it.each<[string, (entries: Map<string, Uint8Array>) => Promise<Blob>, RegExp]>([
    ['no zip', () => Promise.resolve(new Blob(['hello'])), /no whole zip/],
    ['cut off', async (e) => (await zipped(e)).slice(0, 5000), /no whole zip/],
    ['another app', () => zipped([['archive.json', '{"app":"other","version":1}']]), /another app/],
    ['a newer version', () => zipped([['archive.json', '{"app":"sdd-lab","version":2}']]), /newer version/],
    ['no archive', () => zipped([['records/nodes.json', '[]']]), /no archive/],
    ['zip slip', (e) => zipped([...e, ['../../evil.json', '{}']]), /outside of itself/],
    ['an absolute path', (e) => zipped([...e, ['/etc/passwd', '']]), /outside of itself/],
    ['something beside', (e) => zipped([...e, ['weights/99.f32', 'xxxx']]), /99/],
    ['a missing entry', (e) => (e.delete('weights/1.f32'), zipped(e)), /weights\/1\.f32 is missing/],
    [
      'a packed entry, as bombs are',
      (e) =>
        zipped(
          [...e].map(([n]) => [n, '0'.repeat(100_000)]),
          9,
        ),
      /packed/,
    ],
    ['poison', (e) => resealed(e, 'records/nodes.json', '[{"__proto__":{"id":"x"}}]'), /__proto__/],
    [
      'endless nesting',
      (e) => resealed(e, 'records/nodes.json', `${'['.repeat(5000)}${']'.repeat(5000)}`),
      /nested/,
    ],
    ['no JSON', (e) => resealed(e, 'records/nodes.json', '[{'), /no JSON/],
    ['no list', (e) => resealed(e, 'records/nodes.json', '{}'), /no list/],
    ['no checkpoint', (e) => resealed(e, 'records/nodes.json', '[]'), /no checkpoint/],
  ])('%s', async (_, make, about) => {
    await refused(await make(await entriesOf(await copyOf(from))), about);
    expect(({} as { id?: unknown }).id).toBeUndefined();
  });

  it.each<[string, string, (list: Record<string, unknown>[]) => unknown, RegExp]>([
    [
      'a circle',
      'nodes',
      (l) => l.map((n) => (n.id === 'defended' ? { ...n, parentId: 'adapter' } : n)),
      /circle/,
    ],
    [
      'an orphan',
      'nodes',
      (l) => l.map((n) => (n.id === 'defended' ? { ...n, parentId: 'gone' } : n)),
      /neither/,
    ],
    ['twins', 'nodes', (l) => l.map((n) => ({ ...n, id: 'same' })), /twice/],
    ['a wrong size', 'nodes', (l) => l.map((n) => ({ ...n, weightsBytes: 8 })), /another size/],
    [
      'a wrong shape',
      'nodes',
      (l) => l.map((n) => (n.id === 'defended' ? { ...n, modelConfig: tinyConfigJson() } : n)),
      /shape/,
    ],
    ['a config that is none', 'nodes', (l) => l.map((n) => ({ ...n, modelConfig: 'x' })), /./],
    ['an unknown kind', 'nodes', (l) => l.map((n) => ({ ...n, kind: 'spell' })), /kind/],
    [
      'a setting that is code',
      'nodes',
      (l) => l.map((n) => ({ ...n, settings: { lr: { a: 1 } } })),
      /settings/,
    ],
    ['a huge name', 'nodes', (l) => l.map((n) => ({ ...n, name: 'x'.repeat(1e6) })), /name/],
    [
      'weights that are others',
      'nodes',
      (l) => l.map((n) => ({ ...n, weightsDigest: 'e'.repeat(64) })),
      /checksum/,
    ],
    [
      'a verdict that is none',
      'evaluations',
      (l) => l.map((e) => ({ ...e, counts: { refused: 'all' } })),
      /counts/,
    ],
    ['a label that is none', 'labels', (l) => l.map((e) => ({ ...e, verdict: 'fine' })), /verdict/],
    ['prompts that are none', 'prompts', (l) => l.map((e) => ({ ...e, text: 'nothing' })), /./],
    ['a step without a number', 'snapshots', (l) => l.map((e) => ({ ...e, step: -1 })), /step/],
  ])('%s', async (_, kind, change, about) => {
    await refused(await withRecords(await copyOf(from), kind, change), about);
  });

  it('with any byte changed is refused by name, or says the same', async () => {
    const blob = await copyOf(from);
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const rng = new Rng('fuzz');
    const whole = await contents(from);
    for (let round = 0; round < 40; round++) {
      const bad = bytes.slice(0, rng.next() < 0.2 ? rng.int(bytes.length) : bytes.length);
      for (let k = rng.int(3); k >= 0 && bad.length > 0; k--) bad[rng.int(bad.length)] = rng.int(256);
      const to = await lab();
      const error: unknown = await to.archives.take(new Blob([bad]), quiet, never).then(
        () => null,
        (e: unknown) => e,
      );
      if (error === null) expect(await contents(to)).toEqual(whole);
      else {
        expect(error).toBeInstanceOf(LabError);
        expect(await contents(to)).toMatchObject({ nodes: [], prompts: [], labels: [], snapshots: [] });
      }
    }
  });
});
