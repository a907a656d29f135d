/** Gradient conflict and landscapes of checkpoints in the page, through the worker's own messages. */
import 'fake-indexeddb/auto';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { pageGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import type { Look } from '../../src/core/insights.ts';
import { evaluateModel, MAX_LENGTH } from '../../src/eval/evaluate.ts';
import { lookOf } from '../../src/insights/look.ts';
import { Generator } from '../../src/model/generate.ts';
import { Model } from '../../src/model/model.ts';
import { TokenLosses } from '../../src/model/token-losses.ts';
import { LookBench } from '../../src/worker/look-bench.ts';
import type { InsightProgress, LabNode, StoredInsight } from '../../src/worker/protocol.ts';
import { Page } from './page.ts';
import { serveModels } from './shipped.ts';

const SMALL = { forbidden: 7, perSkill: 1 };
const LANDSCAPE = { directions: 1, side: 1, perUnit: 2, radius: 0.3, prompts: SMALL };
const CONFLICT = { batches: 2, rows: 2, seed: 1 };

let page: Page;
let attacked: LabNode;

const open = async (): Promise<Page> => {
  const opened = new Page(await pageGpu(), 'insights-test');
  await opened.ask('init', { modelsUrl: 'http://lab.test/models/' });
  return opened;
};
/** What was found, without when it was and how long it took. */
const found = ({ nodeId, order, document, partial }: StoredInsight) => ({
  ...{ nodeId, order, partial },
  document: { ...document, about: { ...document.about, createdAt: '', seconds: 0 } },
});
/** Of a checkpoint as it is stored, by a model that was made for it. */
async function lookAt(nodeId: string): Promise<Look> {
  const { ctx, models } = page.service;
  const node = await ctx.node(nodeId);
  const tensors = await models.whole(await models.read(node));
  const model = Model.create(ctx.gpu, parseLlamaConfig(node.modelConfig), tensors);
  const generator = new Generator(model, { maxSeqs: 96, maxLen: MAX_LENGTH });
  const scorer = new TokenLosses(model, 1024);
  const o = { sets: ['T'] as const, benign: true, limit: SMALL, scorer };
  const look = lookOf(await evaluateModel(generator, ctx.world(node.seeds.world), o));
  for (const part of [scorer, generator, model]) part.destroy();
  return look;
}
const progress = (): InsightProgress[] => page.events as InsightProgress[];
const until = async (enough: (event: InsightProgress) => boolean): Promise<void> => {
  while (!progress().some(enough)) await new Promise((r) => setTimeout(r, 1));
};

beforeAll(async () => {
  serveModels();
  page = await open();
  await page.ask('loadEmbedded', { name: 'tiny-chat' });
  const run = await page.ask('train', {
    parentNodeId: 'tiny-chat',
    recipe: 'mft',
    settings: { batch: 4, n: 8, lr: 1e-3 },
    seed: 1,
    saveAt: [3],
    probeEvery: 0,
  });
  await page.until(run.id, 'finished');
  attacked = (await page.ask('nodes', {})).find((n) => n.parentId === 'tiny-chat')!;
});
afterAll(() => {
  vi.unstubAllGlobals();
  page.die();
});

it('landscape: the line begins at the parent’s own figures, and what came is shown while it is computed', async () => {
  const stored = await page.ask('landscape', { nodeId: attacked.id, ...LANDSCAPE });
  const events = page.events.splice(0) as InsightProgress[];
  const document = stored.document as Extract<typeof stored.document, { kind: 'safety landscape' }>;
  const [model] = document.models;
  expect(model!.line.map((p) => p.t)).toEqual([-0.5, 0, 0.5, 1, 1.5]);
  expect(model!.directions[0]!.points.map((p) => p.t)).toEqual([-0.3, 0, 0.3]);
  // One look at the parent's weights serves every line; another one gives the same.
  expect(model!.directions[0]!.points[1]!.look).toEqual(model!.line[1]!.look);
  // What stands at both ends is what the checkpoints themselves say, asked without the lab.
  expect(model!.line[1]!.look).toEqual(await lookAt('tiny-chat'));
  expect(model!.line[3]!.look).toEqual(await lookAt(attacked.id));
  expect(model!.line[3]!.look.benignLoss).not.toBe(model!.line[1]!.look.benignLoss);
  expect(model!.line[1]!.look.forbidden.n).toBe(7);
  expect(model!.line[1]!.look.benign.n).toBe(11);
  expect(model!.distance).toBeGreaterThan(0);
  expect(model!.spread).toHaveLength(3);
  expect(events.at(-1)).toMatchObject({ done: 8, total: 8 });
  const halfway = events.find((e) => e.soFar && e.done === 2)!.soFar!;
  expect(halfway).toMatchObject({ kind: 'safety landscape', models: [{ line: [{ t: -0.5 }, { t: 0 }] }] });
  expect(document.prompts).toEqual(SMALL);
  // asked again it is not computed again
  expect(await page.ask('landscape', { nodeId: attacked.id, ...LANDSCAPE })).toEqual(stored);
  expect(page.events).toEqual([]);
});

it('gradient conflict of two checkpoints; kept with each, and listed with the landscape', async () => {
  const order = { nodeIds: ['tiny-chat', attacked.id], ...CONFLICT };
  const stored = await page.ask('conflict', order);
  const models = stored.flatMap(({ document }) =>
    document.kind === 'gradient conflict' ? document.models : [],
  );
  expect(models.map((m) => [m.model, m.after, m.attack])).toEqual([
    ['tiny-chat', 0, undefined],
    ['tiny-chat', 3, 'mft, lr 0.001, seed 1'],
  ]);
  for (const { parts, norm } of models) {
    expect(parts.map((p) => p.part)).toEqual(['embedding', 'layer 0', 'layer 1', 'final norm', 'all']);
    expect(norm.attack).toBeGreaterThan(0);
    for (const p of parts) expect(Math.abs(p.cosine)).toBeLessThanOrEqual(1);
  }
  // The attacked model has other gradients than the one that it was made of.
  expect(models[1]!.loss.attack).toBeLessThan(models[0]!.loss.attack);
  const all = await page.ask('insights', {});
  const named = all.map((i) => [i.document.kind, i.nodeId]);
  expect(named).toEqual([
    ['gradient conflict', attacked.id],
    ['gradient conflict', 'tiny-chat'],
    ['safety landscape', attacked.id],
  ]);
  // the landscape speaks of both of its ends
  const kinds = async (nodeId: string) =>
    (await page.ask('insights', { nodeId })).map((i) => i.document.kind);
  expect(await kinds('tiny-chat')).toEqual(['gradient conflict', 'safety landscape']);
  expect(await kinds(attacked.id)).toEqual(['gradient conflict', 'safety landscape']);
  // one of them alone was not asked for, and is there
  page.events.length = 0;
  expect(await page.ask('conflict', { ...order, nodeIds: [attacked.id] })).toEqual([stored[1]]);
  expect(page.events).toEqual([]);
});

it('refuses in words what has no line, no models and one batch', async () => {
  await expect(page.ask('landscape', { nodeId: 'tiny-chat', ...LANDSCAPE })).rejects.toMatchObject({
    what: expect.stringContaining('was not made by an attack') as string,
  });
  await expect(page.ask('conflict', { nodeIds: [], ...CONFLICT })).rejects.toMatchObject({
    what: expect.stringContaining('No checkpoint was chosen') as string,
  });
  await expect(
    page.ask('conflict', { nodeIds: ['tiny-chat'], ...CONFLICT, batches: 1 }),
  ).rejects.toMatchObject({ what: expect.stringContaining('at least 2 batches') as string });
});

it('a landscape that was stopped goes on after a reload, to the same figures bit for bit', async () => {
  const [whole] = (await page.ask('insights', {})).filter((i) => i.document.kind === 'safety landscape');
  await page.ask('deleteInsight', whole!);
  const looked = vi.spyOn(LookBench.prototype, 'look');
  const { gpuBytes } = await page.ask('memory', {});
  page.events.length = 0;
  // in the middle of the direction
  const stopped = page.ask(
    'landscape',
    { nodeId: attacked.id, ...LANDSCAPE },
    until((e) => e.done === 6),
  );
  await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
  expect((await page.ask('memory', {})).gpuBytes).toBe(gpuBytes);
  page.die();

  page = await open();
  const [partial] = await page.ask('insights', {});
  expect(partial).toMatchObject({ nodeId: attacked.id, order: whole!.order, partial: { total: 8 } });
  expect(partial!.partial!.done).toBeGreaterThanOrEqual(6);
  expect(partial!.partial!.done).toBeLessThan(8);
  expect(partial!.document).toMatchObject({ models: [{ line: { length: 5 }, directions: [] }] });
  const again = await page.ask('landscape', JSON.parse(partial!.order) as never);
  expect(found(again)).toEqual(found(whole!));
  // no look was taken twice, but for one that was broken off
  expect(looked.mock.settledResults.filter((r) => r.type === 'fulfilled')).toHaveLength(7);
  looked.mockRestore();
  expect((await page.ask('insights', {})).filter((i) => i.partial)).toEqual([]);
});

it('a conflict that was stopped has its first checkpoint, and goes on with the second after a reload', async () => {
  const whole = (await page.ask('insights', {})).filter((i) => i.document.kind === 'gradient conflict');
  for (const one of whole) await page.ask('deleteInsight', one);
  page.events.length = 0;
  const order = { nodeIds: ['tiny-chat', attacked.id], ...CONFLICT };
  const stopped = page.ask(
    'conflict',
    order,
    until((e) => e.soFar !== undefined),
  );
  await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
  page.die();

  page = await open();
  const all = (await page.ask('insights', {})).filter((i) => i.document.kind === 'gradient conflict');
  const of = (id: string): StoredInsight => all.find((i) => i.nodeId === id)!;
  expect(found(of('tiny-chat'))).toEqual(found(whole[1]!));
  expect(of(attacked.id)).toMatchObject({ partial: { done: 0, total: 4 }, document: { models: [] } });
  const again = await page.ask('conflict', JSON.parse(of(attacked.id).order) as never);
  expect(again.map(found)).toEqual([found(whole[0]!)]);
  expect((await page.ask('insights', {})).filter((i) => i.partial)).toEqual([]);
});

it('what another GPU computed is not taken for this one’s, and each names its own', async () => {
  const { ctx } = page.service;
  const here = ctx.adapterName();
  const elsewhere = vi.spyOn(ctx, 'adapterName').mockReturnValue('another GPU');
  const [theirs] = await page.ask('conflict', { nodeIds: ['tiny-chat'], ...CONFLICT });
  elsewhere.mockRestore();
  const [ours] = await page.ask('conflict', { nodeIds: ['tiny-chat'], ...CONFLICT });
  expect([theirs, ours].map((one) => one!.document.about.adapter)).toEqual(['another GPU', here]);
  const left = await page.ask('deleteInsight', theirs!);
  expect(left.map((i) => i.document.about.adapter)).toEqual([here, here, here]);
});

it('goes with the checkpoints that it speaks of, and leaves nothing behind', async () => {
  await page.ask('deleteNode', { nodeId: attacked.id });
  const left = await page.ask('insights', {});
  expect(left.map((i) => [i.document.kind, i.nodeId])).toEqual([['gradient conflict', 'tiny-chat']]);
  expect(await page.ask('deleteInsight', left[0]!)).toEqual([]);
  expect(await page.ask('deleteInsight', left[0]!)).toEqual([]);
});
