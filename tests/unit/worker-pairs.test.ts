import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parsePrompts } from '../../src/data/prompts-file.ts';
import { Context } from '../../src/worker/context.ts';
import { DataSets } from '../../src/worker/data.ts';
import { cancelled } from '../../src/worker/error-info.ts';
import { Models } from '../../src/worker/models.ts';
import { PairBuilder } from '../../src/worker/pairs.ts';
import type { PairForm, PairProgress, PairRequest, Pair } from '../../src/worker/protocol.ts';
import { Tasks } from '../../src/worker/tasks.ts';
import { invented } from '../support/data-file.ts';

let ctx: Context;
let data: DataSets;
let pairs: PairBuilder;
let request: PairRequest;
let count = 0;
const quiet = (): void => {};
const never = new AbortController().signal;

beforeEach(async () => {
  ctx = new Context({ notify: quiet, databaseName: `worker-pairs-${++count}` });
  await ctx.openStore();
  const models = new Models(ctx);
  data = new DataSets(ctx, models.opened);
  pairs = new PairBuilder(ctx, models, new Tasks(ctx, models));
  const keep = async (layout: 'beavertails' | 'alpaca', rows: number): Promise<string> => {
    const file = { file: new Blob([invented(layout, rows)]), name: layout, choice: {}, nodeId: null };
    return (await data.import(file, quiet, never)).dataset.id;
  };
  request = {
    sources: { harmful: [await keep('beavertails', 300)], answers: [await keep('alpaca', 400)], attack: [] },
    settings: { sample: { per: 'total', n: 50 }, threshold: 0.5 },
    seed: 1,
    edits: {},
    nodeId: null,
  };
});
afterEach(() => ctx.closeStore());

describe('pairs in the worker', () => {
  it('are built of imported sets, looked at by pages, kept as a prompts file, and exported', async () => {
    const view = await pairs.build(request, quiet, never);
    expect(view).toMatchObject({
      pairs: 50,
      excluded: 0,
      seed: 1,
      sources: [{ name: 'beavertails' }, { name: 'alpaca' }],
    });
    expect(view.first).toHaveLength(50);
    const all: Pair[] = [0, 20, 40].flatMap((from) => pairs.page(from, 20, 'drawn').pairs);
    expect(new Set(all.map((p) => p.id)).size).toBe(50);
    const similar = pairs.page(0, 50, 'similar').pairs.map((p) => p.similarity);
    expect(similar).toEqual([...similar].sort((a, b) => b - a));
    const { files } = pairs.files();
    expect(files.map((f) => f.name)).toEqual(['prompts.jsonl', 'pairs.jsonl', 'manifest.json']);
    const info = await pairs.use('mine.jsonl');
    expect(info).toMatchObject({ name: 'mine.jsonl', harmful: { defence: 50 } });
    const kept = (await ctx.store.prompts(info.id))!;
    const { harmful } = parsePrompts(kept.text, info.id);
    expect(harmful.defence.map((r) => r.irrelevant)).toEqual(all.map((p) => p.irrelevant));
    const manifest = JSON.parse(kept.manifest!) as { sources: { sha256: string }[] };
    expect(manifest.sources.map((s) => s.sha256)).toEqual((await data.list()).map((d) => d.sha256).reverse());
  });

  it('are changed by hand without being drawn again', async () => {
    await pairs.build(request, quiet, never);
    const { pairs: before } = pairs.page(0, 50, 'drawn');
    const [first, second] = before;
    const edits = {
      [first!.id]: { exclude: true },
      [second!.id]: { irrelevant: 'Something of my own.' },
    } as const;
    const told: PairProgress[] = [];
    const view = await pairs.build({ ...request, edits }, (p) => told.push(p), never);
    expect(told).toEqual([]);
    expect(view).toMatchObject({ pairs: 49, excluded: 1, edited: 1 });
    expect(pairs.page(0, 9, 'changed')).toMatchObject({
      total: 2,
      pairs: [{ excluded: true }, { edited: true, irrelevant: 'Something of my own.' }],
    });
    expect(pairs.page(2, 48, 'drawn').pairs).toEqual(before.slice(2));
    await expect(pairs.build({ ...request, edits: { x: { prompt: ' ' } } }, quiet, never)).rejects.toThrow(
      /These edits cannot be used: "x.prompt"/,
    );
  });

  it('come back after a reload: the form is kept, and a manifest fills it again', async () => {
    expect(await pairs.kept()).toBeNull();
    await pairs.build(request, quiet, never);
    const [{ id }] = pairs.page(0, 1, 'drawn').pairs as [Pair];
    const edits = { [id]: { irrelevant: 'Mine.' } };
    const view = await pairs.build({ ...request, edits }, quiet, never);
    const form: PairForm = {
      sources: { harmful: [], answers: [], eval: [], attack: [], benign: [], ...request.sources },
      ...{ settings: view.settings, seed: 1, edits, nodeId: null, built: true },
    };
    await pairs.keep(form);
    const manifest = pairs.files().files.find((f) => f.name === 'manifest.json')!.text;
    expect(await pairs.again(new Blob([manifest]))).toEqual({
      form: { ...form, built: false },
      missing: [],
    });
    const later = new Context({ notify: quiet, databaseName: `worker-pairs-${count}` });
    await later.openStore();
    const models = new Models(later);
    const reloaded = new PairBuilder(later, models, new Tasks(later, models));
    expect(await reloaded.kept()).toEqual(form);
    // a set that went leaves its use, and what was built cannot be built again
    await new DataSets(later, models.opened).remove(form.sources.answers[0]!);
    expect(await reloaded.kept()).toEqual({
      ...form,
      sources: { ...form.sources, answers: [] },
      built: false,
    });
    expect(await reloaded.again(new Blob([manifest]))).toMatchObject({
      form: { sources: { answers: [], harmful: form.sources.harmful } },
      missing: ['alpaca'],
    });
    await reloaded.keep({ ...form, settings: { ...view.settings, threshold: 7 } });
    expect(await reloaded.kept()).toMatchObject({ settings: null, edits });
    for (const text of ['no json', '{}', '{"format":"other"}'])
      await expect(reloaded.again(new Blob([text]))).rejects.toThrow(/This is no manifest of pairs/);
    later.closeStore();
  });

  it('tell training what they were built for', async () => {
    await pairs.build(
      { ...request, settings: { ...request.settings, reject: true, attack: { harmfulShare: 0.25 } } },
      quiet,
      never,
    );
    const { built } = await pairs.use('mine.jsonl');
    expect(built).toEqual({ attack: 0, benignShare: 0.75, benignTuning: 500, reject: true });
  });

  it('tell the categories of a set, and defaults', async () => {
    const categories = await pairs.categories(request.sources.harmful!, never);
    expect(categories).toHaveLength(5);
    expect(await pairs.defaults(null)).toMatchObject({ total: 8000, settings: { threshold: 0.1 } });
  });

  it('are not there before they are built, and not when the work is stopped', async () => {
    expect(() => pairs.page(0, 9, 'drawn')).toThrow(/No pairs are built/);
    const stop = new AbortController();
    stop.abort(cancelled());
    await expect(pairs.build(request, quiet, stop.signal)).rejects.toMatchObject({ code: 'cancelled' });
    expect(() => pairs.files()).toThrow(/No pairs are built/);
    await expect(
      pairs.build({ ...request, sources: { ...request.sources, answers: [] } }, quiet, never),
    ).rejects.toThrow(/No set is given for "answers"/);
    await expect(
      pairs.build({ ...request, sources: { ...request.sources, answers: ['gone'] } }, quiet, never),
    ).rejects.toMatchObject({ code: 'not-found' });
  });
});
