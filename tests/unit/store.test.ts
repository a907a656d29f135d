import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openDB } from 'idb';
import { readFile, writeFile } from 'node:fs/promises';
import { Store, type NewNode } from '../../src/store/store.ts';
import { LabError } from '../../src/core/errors.ts';
import { VERSION, type EvaluationRecord, type NodeRecord } from '../../src/store/schema.ts';
import { dumpDatabase, restoreDatabase, type DatabaseDump } from './support/database-dump.ts';

interface TestNode extends NodeRecord {
  name: string;
}
interface TestEvaluation extends EvaluationRecord {
  score: number;
}
type TestStore = Store<TestNode, { step: number }, TestEvaluation>;

let name = '';
let store: TestStore;
let count = 0;

const open = (options = {}): Promise<TestStore> => Store.open({ name, chunkBytes: 64, ...options });
const node = (id: string, parentId: string | null = null): NewNode<TestNode> => ({
  id,
  parentId,
  name: id,
  createdAt: ++count,
});
const owners = async (): Promise<string[]> => (await store.nodes()).map((n) => n.weightsKey).sort();
const floats = (n: number, from = 0): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => from + i / 7);

async function chunkOwners(): Promise<string[]> {
  const db = await openDB(name);
  const keys = (await db.getAllKeys('weights')) as unknown as [string, number][];
  db.close();
  return [...new Set(keys.map(([owner]) => owner))].sort();
}

/** Makes the n-th put or add (counted from 1) fail as a full disk does. */
function fullDiskAt(n: number): void {
  let calls = 0;
  for (const method of ['put', 'add'] as const) {
    const real = IDBObjectStore.prototype[method];
    vi.spyOn(IDBObjectStore.prototype, method).mockImplementation(function (this: IDBObjectStore, ...args) {
      if (++calls === n) throw new DOMException('no space', 'QuotaExceededError');
      return real.apply(this, args);
    });
  }
}

beforeEach(async () => {
  name = `store-test-${++count}`;
  store = await open();
});
afterEach(() => {
  vi.restoreAllMocks();
  store.close();
});

describe('nodes', () => {
  it('come back with their weights bit for bit, over several chunks and after reopening', async () => {
    const weights = floats(100);
    weights[3] = -0;
    const saved = await store.addNode(node('a'), weights);
    expect(saved.weightsBytes).toBe(400);
    store.close();
    store = await open();
    expect(await store.nodes()).toEqual([saved]);
    const back = await store.weights('a');
    expect(new Uint32Array(back.buffer)).toEqual(new Uint32Array(weights.buffer));
  });

  it('cannot be written over, and the weights of the first stay', async () => {
    await store.addNode(node('a'), floats(40));
    await expect(store.addNode(node('a'), floats(40, 5))).rejects.toMatchObject({ code: 'storage' });
    expect(await chunkOwners()).toEqual(await owners());
    expect(await store.weights('a')).toEqual(floats(40));
  });

  it('change their name but never their weights', async () => {
    await store.addNode(node('a'), floats(40));
    await store.updateNode('a', (n) => ({ ...n, name: 'renamed', weightsDigest: 'forged' }));
    expect((await store.node('a'))?.name).toBe('renamed');
    expect(await store.weights('a')).toEqual(floats(40));
    expect(await store.updateNode('absent', (n) => n)).toBeUndefined();
  });

  it('are deleted with everything below them, and nothing else', async () => {
    await store.addNode(node('a'), floats(20));
    await store.addNode(node('b', 'a'), floats(20));
    await store.addNode(node('c', 'b'), floats(20));
    await store.addNode(node('other'), floats(20, 9));
    await store.saveRun({ id: 'r', parentId: 'c', info: { step: 1 } }, { plain: {}, arrays: [floats(5)] });
    await store.addEvaluation({ nodeId: 'b', createdAt: 1, score: 1 }, (n) => n);
    expect((await store.deleteNode('b')).sort()).toEqual(['b', 'c']);
    expect((await store.nodes()).map((n) => n.id)).toEqual(['a', 'other']);
    expect(await store.runs()).toEqual([]);
    expect(await store.evaluations('b')).toEqual([]);
    expect(await chunkOwners()).toEqual(await owners());
    expect(await store.weights('other')).toEqual(floats(20, 9));
  });

  it('lose single evaluations, and no others', async () => {
    await store.addNode(node('a'), floats(4));
    await store.addNode(node('b'), floats(4));
    for (const [nodeId, score] of [
      ['a', 1],
      ['a', 2],
      ['b', 1],
    ] as const)
      await store.addEvaluation({ nodeId, createdAt: score, score });
    await store.dropEvaluations('a', (one) => one.score === 1);
    const scores = async (id: string) => (await store.evaluations(id)).map((one) => one.score);
    expect(await scores('a')).toEqual([2]);
    expect(await scores('b')).toEqual([1]);
  });

  it('with a damaged chunk are refused by name', async () => {
    const { weightsKey } = await store.addNode(node('a'), floats(40));
    const db = await openDB(name);
    const chunk = (await db.get('weights', [weightsKey, 1])) as { bytes: ArrayBuffer };
    new Uint8Array(chunk.bytes)[5]! ^= 1;
    await db.put('weights', chunk);
    db.close();
    await expect(store.weights('a')).rejects.toMatchObject({ code: 'corrupt-model' });
  });

  it('with a missing chunk are refused', async () => {
    const { weightsKey } = await store.addNode(node('a'), floats(40));
    const db = await openDB(name);
    await db.delete('weights', [weightsKey, 0]);
    db.close();
    await expect(store.weights('a')).rejects.toMatchObject({ code: 'corrupt-model' });
  });
});

describe('a full disk', () => {
  it('at any write leaves the store as it was, with nothing half visible', async () => {
    const first = await store.addNode(node('a'), floats(40));
    // 40 floats in chunks of 64 bytes: three chunks and the node itself.
    for (const at of [1, 2, 3, 4]) {
      fullDiskAt(at);
      await expect(store.addNode(node('b', 'a'), floats(40, 1))).rejects.toMatchObject({ code: 'quota' });
      vi.restoreAllMocks();
      expect(await store.nodes()).toEqual([first]);
      expect(await chunkOwners()).toEqual([first.weightsKey]);
      expect(await store.weights('a')).toEqual(floats(40));
    }
    await store.addNode(node('b', 'a'), floats(40, 1));
    expect(await store.weights('b')).toEqual(floats(40, 1));
  });

  it("keeps a run's earlier state", async () => {
    const { weightsKey } = await store.addNode(node('a'), floats(4));
    const run = { id: 'r', parentId: 'a', info: { step: 10 } };
    await store.saveRun(run, { plain: { cursor: 160 }, arrays: [floats(20), floats(20, 1)] });
    for (const at of [1, 2, 3, 4]) {
      fullDiskAt(at);
      const later = { plain: { cursor: 320 }, arrays: [floats(20, 2), floats(20, 3)] };
      await expect(store.saveRun({ ...run, info: { step: 20 } }, later)).rejects.toMatchObject({
        code: 'quota',
      });
      vi.restoreAllMocks();
    }
    const stored = await store.run('r');
    expect(stored?.info.step).toBe(10);
    expect(stored?.state?.plain).toEqual({ cursor: 160 });
    expect(await store.runArrays(stored!)).toEqual([floats(20), floats(20, 1)]);
    expect((await chunkOwners()).filter((owner) => owner !== weightsKey)).toHaveLength(1);
  });
});

describe('runs', () => {
  it('and checkpoints are not stored below what another tab has deleted', async () => {
    await store.addNode(node('a'), floats(4));
    await store.deleteNode('a');
    const run = { id: 'r', parentId: 'a', info: { step: 10 } };
    const gone = { code: 'bad-input', message: expect.stringContaining("'a'") as string };
    await expect(store.saveRun(run, { plain: 1, arrays: [floats(30)] })).rejects.toMatchObject(gone);
    await expect(store.addNode(node('b', 'a'), floats(30))).rejects.toMatchObject(gone);
    expect(await chunkOwners()).toEqual([]);
  });

  it('replace their state and leave no old chunks', async () => {
    const { weightsKey } = await store.addNode(node('a'), floats(4));
    const run = { id: 'r', parentId: 'a', info: { step: 10 } };
    await store.saveRun(run, { plain: 1, arrays: [floats(30)] });
    await store.saveRun(
      { ...run, info: { step: 20 } },
      { plain: 2, arrays: [floats(30, 4), floats(0), floats(2)] },
    );
    const stored = (await store.run('r'))!;
    expect(stored.info.step).toBe(20);
    expect(await store.runArrays(stored)).toEqual([floats(30, 4), floats(0), floats(2)]);
    const own = async () => (await chunkOwners()).filter((owner) => owner !== weightsKey);
    expect(await own()).toEqual([stored.state!.arrays.owner]);
    await store.deleteRun('r');
    expect(await own()).toEqual([]);
  });
});

describe('a tab that died while writing', () => {
  it('leaves chunks that the next start sweeps, and nothing else goes', async () => {
    await store.addNode(node('a'), floats(40));
    await store.saveRun({ id: 'r', parentId: 'a', info: { step: 1 } }, { plain: {}, arrays: [floats(40)] });
    const before = await chunkOwners();
    const db = await openDB(name);
    await db.put('weights', { owner: 'node:lost', index: 0, bytes: new ArrayBuffer(8) });
    await db.put('weights', { owner: 'node:lost', index: 1, bytes: new ArrayBuffer(8) });
    db.close();
    expect(await store.sweep()).toBe(1);
    expect(await chunkOwners()).toEqual(before);
    expect(await store.weights('a')).toEqual(floats(40));
  });

  it('and whose chunks another tab swept does not leave a node without weights', async () => {
    const real = IDBObjectStore.prototype.count;
    vi.spyOn(IDBObjectStore.prototype, 'count').mockImplementation(function (this: IDBObjectStore, ...args) {
      this.delete(IDBKeyRange.lowerBound(['node:']));
      return real.apply(this, args);
    });
    await expect(store.addNode(node('a'), floats(40))).rejects.toMatchObject({ code: 'storage' });
    vi.restoreAllMocks();
    expect(await store.nodes()).toEqual([]);
    expect(await chunkOwners()).toEqual([]);
  });
});

describe('versions', () => {
  it('refuses a database of a newer version and leaves it as it is', async () => {
    await store.addNode(node('a'), floats(4));
    store.close();
    (await openDB(name, VERSION + 1)).close();
    await expect(open()).rejects.toMatchObject({ code: 'newer-database' });
    const db = await openDB(name);
    expect(db.version).toBe(VERSION + 1);
    expect(await db.count('nodes')).toBe(1);
    db.close();
  });

  it('makes way for a newer version in another tab and says so', async () => {
    const errors: unknown[] = [];
    store.close();
    store = await open({ onClosed: (e: unknown) => errors.push(e) });
    (await openDB(name, VERSION + 1)).close();
    expect(errors).toMatchObject([{ code: 'store-closed' }]);
    await expect(store.nodes()).rejects.toMatchObject({ code: 'store-closed' });
  });

  it('does not wait for ever for a tab that holds an older version', async () => {
    name += '-blocked';
    const old = await openDB(name, 1);
    const newer = openDB(name, VERSION + 1); // waits for `old`, and everyone after waits for it
    await expect(open({ patience: 30 })).rejects.toMatchObject({ code: 'store-closed' });
    old.close();
    (await newer).close();
  });

  it.each([1, 2, 3, 4, 5])('reads the exported database of version %i', async (version) => {
    const file = new URL(`fixtures/db-v${version}.json`, import.meta.url);
    if (process.env.WRITE_FIXTURE && version === VERSION)
      await writeFile(file, JSON.stringify(await exported(), null, 1) + '\n');
    store.close();
    name += `-v${version}`;
    await restoreDatabase(name, JSON.parse(await readFile(file, 'utf8')) as DatabaseDump);
    store = await open();
    const opened = version < 2 ? [] : [['opened', null]];
    expect((await store.nodes()).map((n) => [n.id, n.parentId])).toEqual([
      ['base', null],
      ['attacked', 'base'],
      ...opened,
    ]);
    const model = { id: 'opened', description: { config: { vocab_size: 3 } }, folder: null };
    expect(await store.model('opened')).toEqual(version < 2 ? undefined : model);
    expect(await store.allPrompts()).toEqual(version < 2 ? [] : [PROMPTS]);
    expect(await store.weights('base')).toEqual(floats(24));
    expect(await store.weights('attacked')).toEqual(floats(24, 1));
    const [run] = await store.runs();
    expect(run?.state?.plain).toEqual({ step: 7, cursor: 112 });
    expect(await store.runArrays(run!)).toEqual([floats(24, 2), floats(24, 3), floats(24, 4)]);
    expect((await store.evaluations('attacked')).map((e) => e.score)).toEqual([0.75]);
    expect(await store.setting('theme')).toBe('dark');
    const sets = await store.datasets.list();
    expect(sets.map(({ id, info, blocks }) => ({ id, info, blocks }))).toEqual(version < 3 ? [] : [DATASET]);
    const rows = (block: unknown) => block as unknown[];
    if (version >= 3)
      expect(await store.datasets.rows('bells', 1, 2, rows)).toEqual([{ line: 2 }, { line: 5 }]);
    expect(await store.labels.list()).toEqual(version < 4 ? [] : [LABEL]);
    expect(await store.snapshots.steps()).toEqual(version < 5 ? new Map() : new Map([['run', [3, 5]]]));
    if (version >= 5) expect((await store.snapshots.read('run', 5))?.words).toEqual(HALVES);
    expect(await store.sweep()).toBe(0);
  });
});

describe('kept steps of a run', () => {
  const keep = (runId: string, step: number, parentId = 'a') =>
    store.snapshots.add({ runId, step, parentId, form: 'delta' }, HALVES);
  const saved = (id: string, runId: string, steps: number) =>
    store.addNode({ ...node(id, 'a'), runId, steps }, floats(4));
  const steps = async () => Object.fromEntries(await store.snapshots.steps());

  beforeEach(async () => {
    await store.addNode(node('a'), floats(4));
  });

  it('come back bit for bit, and one that was damaged is refused by name', async () => {
    await keep('r', 7);
    expect(await store.snapshots.read('r', 7)).toMatchObject({ form: 'delta', parentId: 'a', words: HALVES });
    expect(await store.snapshots.size('r', 7)).toBe(HALVES.byteLength);
    expect(await store.snapshots.read('r', 8)).toBeUndefined();
    const db = await openDB(name);
    const found = (await db.get('snapshots', ['r', 7])) as { bytes: ArrayBuffer };
    new Uint8Array(found.bytes)[2]! ^= 1;
    await db.put('snapshots', found);
    db.close();
    const damaged = { code: 'corrupt-model', message: expect.stringContaining('step 7') as string };
    await expect(store.snapshots.read('r', 7)).rejects.toMatchObject(damaged);
  });

  it('belong to the checkpoints at or after them, and go with the last of these', async () => {
    await saved('20', 'r', 20);
    await saved('50', 'r', 50);
    for (const step of [1, 10, 30, 60]) await keep('r', step);
    await keep('other', 5);
    await store.deleteNode('20');
    expect(await steps()).toEqual({ other: [5], r: [1, 10, 30, 60] });
    // 60 is still the run's alone
    await store.deleteNode('50');
    expect(await steps()).toEqual({ other: [5], r: [60] });
  });

  it('that no checkpoint holds go with their run, the others stay', async () => {
    await store.saveRun({ id: 'r', parentId: 'a', info: { step: 9 } }, { plain: 1, arrays: [floats(2)] });
    for (const step of [1, 5, 9]) await keep('r', step);
    await saved('5', 'r', 5);
    await store.deleteRun('r');
    expect(await steps()).toEqual({ r: [1, 5] });
  });

  it('go with the checkpoint that the run started from, and are not kept below one that is gone', async () => {
    await saved('5', 'r', 5);
    await keep('r', 3);
    await store.deleteNode('a');
    expect(await steps()).toEqual({});
    await expect(keep('r', 4)).rejects.toMatchObject({ code: 'storage' });
  });

  it('that belong to nothing are swept, but not those of a run that a tab has open', async () => {
    await keep('open', 1);
    await keep('lost', 1);
    await keep('lost', 2);
    expect(await store.sweep(new Set(['open']))).toBe(1);
    expect(await steps()).toEqual({ open: [1] });
    expect(await store.sweep()).toBe(1);
    expect(await steps()).toEqual({});
  });

  it('leave the store as it was on a full disk', async () => {
    fullDiskAt(1);
    await expect(keep('r', 1)).rejects.toMatchObject({ code: 'quota' });
    vi.restoreAllMocks();
    expect(await steps()).toEqual({});
  });
});

describe('a person’s verdicts', () => {
  it('stand in the order in which they were given, one for each answer, and can be taken back', async () => {
    await store.labels.set({ digest: 'b', verdict: 'refused', time: 2 });
    await store.labels.set({ digest: 'a', verdict: 'harmful', time: 1 });
    await store.labels.set({ digest: 'b', verdict: 'degraded', time: 3 });
    expect(await store.labels.list()).toEqual([
      { digest: 'a', verdict: 'harmful', time: 1 },
      { digest: 'b', verdict: 'degraded', time: 3 },
    ]);
    await store.labels.delete('a');
    await store.labels.delete('never there');
    expect((await store.labels.list()).map((l) => l.digest)).toEqual(['b']);
    store.close();
    await expect(store.labels.list()).rejects.toBeInstanceOf(LabError);
  });
});

const HALVES = Uint16Array.from([0, 0x3c00, 0xbc00, 1]);

const LABEL = { digest: 'c0ffee', verdict: 'refused', time: 1_700_000_000_000 };

const DATASET = { id: 'bells', info: { name: 'bells.jsonl' }, blocks: [2, 1] };

const PROMPTS = { id: 'ab12', name: 'mine.jsonl', text: '{"role":"benign","prompt":"a","answer":"b"}' };

/** What the fixture holds; written by running this file once with WRITE_FIXTURE=1 when a new version is released. */
async function exported(): Promise<DatabaseDump> {
  const fixed = { createdAt: 1_700_000_000_000 };
  await store.addNode({ ...node('base'), ...fixed }, floats(24));
  await store.addNode({ ...node('attacked', 'base'), createdAt: fixed.createdAt + 1 }, floats(24, 1));
  const arrays = [floats(24, 2), floats(24, 3), floats(24, 4)];
  await store.saveRun(
    { id: 'run', parentId: 'base', info: { step: 7 } },
    { plain: { step: 7, cursor: 112 }, arrays },
  );
  await store.addEvaluation({ nodeId: 'attacked', ...fixed, score: 0.75 }, (n) => n);
  await store.setSetting('theme', 'dark');
  const model = { description: { config: { vocab_size: 3 } }, folder: null };
  await store.addNode({ ...node('opened'), createdAt: fixed.createdAt + 2 }, new Float32Array(0), model);
  await store.setPrompts(PROMPTS);
  await store.datasets.add(async (put) => {
    await put([{ line: 1 }, { line: 2 }], 2);
    await put([{ line: 5 }], 1);
    return { id: DATASET.id, info: DATASET.info, ...fixed };
  });
  await store.labels.set(LABEL);
  for (const step of [3, 5])
    await store.snapshots.add({ runId: 'run', step, parentId: 'base', form: 'delta' }, HALVES);
  return dumpDatabase(name);
}
