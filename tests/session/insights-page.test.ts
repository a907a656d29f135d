/** Gradient conflict and landscapes of checkpoints in the page, through the worker's own messages. */
import 'fake-indexeddb/auto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { pageGpu } from '../support/page-gpu.ts';
import type { InsightProgress, LabNode } from '../../src/worker/protocol.ts';
import { Page } from './page.ts';

const SMALL = { forbidden: 7, perSkill: 1 };
const LANDSCAPE = { directions: 1, side: 1, perUnit: 2, radius: 0.3, prompts: SMALL };
const CONFLICT = { batches: 2, rows: 2, seed: 1 };

let page: Page;
let attacked: LabNode;

beforeAll(async () => {
  vi.stubGlobal('fetch', (url: string) =>
    Promise.resolve(
      new Response(readFileSync(join('public/models', new URL(url).pathname.replace('/models/', '')))),
    ),
  );
  page = new Page(await pageGpu(), 'insights-test');
  await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
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
  // The parent refuses: as its own evaluation says.
  const parent = await page.ask('evaluate', { nodeId: 'tiny-chat', set: 'T', benign: false, quick: true });
  expect(parent.counts.refused).toBe(parent.n);
  expect(model!.line[1]!.look.forbidden.counts.refused).toBe(7);
  page.events.length = 0;
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

it('gradient conflict of two checkpoints; kept, and listed with the landscape', async () => {
  const order = { nodeIds: ['tiny-chat', attacked.id], ...CONFLICT };
  const stored = await page.ask('conflict', order);
  const document = stored.document as Extract<typeof stored.document, { kind: 'gradient conflict' }>;
  expect(document.models.map((m) => [m.model, m.after, m.attack])).toEqual([
    ['tiny-chat', 0, undefined],
    ['tiny-chat', 3, 'mft, lr 0.001, seed 1'],
  ]);
  for (const { parts, norm } of document.models) {
    expect(parts.map((p) => p.part)).toEqual([
      'embedding',
      'layer 0',
      'layer 1',
      'layer 2',
      'layer 3',
      'final norm',
      'all',
    ]);
    expect(norm.attack).toBeGreaterThan(0);
    for (const p of parts) expect(Math.abs(p.cosine)).toBeLessThanOrEqual(1);
  }
  // The attacked model has other gradients than the one that it was made of.
  expect(document.models[1]!.loss.attack).toBeLessThan(document.models[0]!.loss.attack);
  const kinds = (await page.ask('insights', {})).map((i) => i.document.kind);
  expect(kinds).toEqual(['gradient conflict', 'safety landscape']);
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

it('stopped, it leaves nothing behind', async () => {
  const before = await page.ask('memory', {});
  page.events.length = 0;
  const begun = (async () => {
    while (page.events.length === 0) await new Promise((r) => setTimeout(r, 5));
  })();
  const stopping = page.ask('landscape', { nodeId: attacked.id, ...LANDSCAPE, perUnit: 4 }, begun);
  await expect(stopping).rejects.toMatchObject({ code: 'cancelled' });
  expect((await page.ask('insights', {})).length).toBe(2);
  expect((await page.ask('memory', {})).gpuBytes).toBe(before.gpuBytes);
});
