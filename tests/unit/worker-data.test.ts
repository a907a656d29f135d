import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Context } from '../../src/worker/context.ts';
import { DataSets } from '../../src/worker/data.ts';
import { cancelled } from '../../src/worker/error-info.ts';
import { Models } from '../../src/worker/models.ts';
import type { DataFile, DataProgress, Notice } from '../../src/worker/protocol.ts';
import { invented } from '../support/data-file.ts';

let ctx: Context;
let data: DataSets;
let notices: Notice[];
let count = 0;

beforeEach(async () => {
  notices = [];
  ctx = new Context({ notify: (n) => notices.push(n), databaseName: `worker-data-${++count}` });
  await ctx.openStore();
  data = new DataSets(ctx, new Models(ctx).opened);
});
afterEach(() => ctx.closeStore());

const file = (text: string, choice: DataFile['choice'] = {}): DataFile => ({
  file: new Blob([text]),
  name: 'bells.jsonl',
  choice,
  nodeId: null,
});
const quiet = (): void => {};
const never = new AbortController().signal;

describe('data files in the worker', () => {
  it('are inspected with the fields that can be mapped, and counted where they are small', async () => {
    const found = await data.inspect(file(invented('alpaca', 30)), quiet, never);
    expect(found).toMatchObject({
      layout: 'alpaca',
      fields: [
        { name: 'instruction', required: true },
        { name: 'input', required: false },
        { name: 'output', required: true },
      ],
      report: { rows: 30, rejected: { rows: 0 } },
    });
    expect(found.layouts).toContain('pairs');
    const unknown = await data.inspect(file('a,b,c\n1,2,3\n'), quiet, never);
    expect(unknown).toMatchObject({ layout: null, fields: [], report: null, columns: ['a', 'b', 'c'] });
    const half = await data.inspect(file('a,b,c\n1,2,3\n', { layout: 'pairs' }), quiet, never);
    expect(half).toMatchObject({ layout: 'pairs', report: null, preview: [] });
  });

  it('are imported whole, with progress, and the same import once', async () => {
    const told: DataProgress[] = [];
    const text = invented('chat', 5000);
    const { dataset, known } = await data.import(file(text), (p) => told.push(p), never);
    expect(known).toBe(false);
    expect(dataset).toMatchObject({ name: 'bells.jsonl', layout: 'chat', report: { rows: 5000 } });
    expect(told.at(-1)).toMatchObject({ readBytes: new Blob([text]).size, rows: 5000, rejected: 0 });
    expect(notices).toEqual([{ type: 'datasets' }]);
    const [stored] = await ctx.store.datasets.list();
    expect(stored!.blocks.length).toBeGreaterThan(2);
    const rows = await data.rows(dataset.id, 4990, 100);
    expect(rows.map(({ line }) => line)).toEqual(Array.from({ length: 10 }, (_, i) => 4991 + i));
    const again = await data.import(file(text), quiet, never);
    expect(again).toEqual({ dataset, known: true });
    expect(await data.list()).toEqual([dataset]);
    expect(await data.remove(dataset.id)).toEqual([]);
    await expect(data.rows(dataset.id, 0, 1)).rejects.toMatchObject({ code: 'not-found' });
  });

  it('leave nothing when the import is stopped, or no row can be used', async () => {
    const stop = new AbortController();
    const text = invented('chat', 5000);
    const stopped = data.import(file(text), () => stop.abort(cancelled()), stop.signal);
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
    await expect(data.import(file('{"prompt": 3}\n'), quiet, never)).rejects.toMatchObject({
      code: 'bad-input',
    });
    expect(await data.list()).toEqual([]);
    expect(await ctx.store.sweep()).toBe(0);
    expect(notices).toEqual([]);
  });

  it('keep the good rows of a broken file and say what was left out', async () => {
    const text = '{"prompt":"a","answer":"b"}\nbroken\n{"prompt":"c","answer":"d"}\n';
    const { dataset } = await data.import(file(text), quiet, never);
    expect(dataset.report).toMatchObject({
      rows: 2,
      rejected: { rows: 1, first: [{ line: 2, reason: 'not-json' }] },
    });
    expect((await data.rows(dataset.id, 0, 9)).map(({ line }) => line)).toEqual([1, 3]);
  });
});
