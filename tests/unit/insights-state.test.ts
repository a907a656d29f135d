/** Insights as the page holds them: what is stored, what goes on, what is deleted. */
import { expect, it } from 'vitest';
import type { EngineClient } from '../../src/app/client.ts';
import { EngineError } from '../../src/app/client.ts';
import { Insights } from '../../src/app/insights.svelte.ts';
import type { Lab } from '../../src/app/lab.svelte.ts';
import type { InsightDocument, InsightProgress, StoredInsight } from '../../src/worker/protocol.ts';

const KINDS = { conflict: 'gradient conflict', landscape: 'safety landscape' } as const;

const insight = (
  what: keyof typeof KINDS,
  nodeId: string,
  o: { partial?: StoredInsight['partial']; adapter?: string; code?: string; order?: object } = {},
): StoredInsight => ({
  kind: 'insight',
  nodeId,
  order: JSON.stringify(o.order ?? { nodeId }),
  document: {
    kind: KINDS[what],
    about: { adapter: o.adapter ?? 'v a', code: o.code ?? 'engine' },
  } as InsightDocument,
  ...(o.partial && { partial: o.partial }),
  createdAt: 1,
});
const begun = { done: 2, total: 9, looks: {} };

type Answer = (params: never, o: { onEvent?: (e: InsightProgress) => void }) => Promise<unknown>;
function open(answers: Record<string, Answer>) {
  const asked: [string, unknown][] = [];
  const client = {
    request: (method: string, params: never, o = {}) => {
      asked.push([method, params]);
      return answers[method]!(params, o);
    },
  } as unknown as EngineClient;
  const capabilities = { engineVersion: 'engine' };
  return { asked, insights: new Insights({ client, capabilities, gpuName: 'v a' } as Lab) };
}
const stop = (): Promise<never> =>
  Promise.reject(new EngineError({ code: 'cancelled', what: '', safe: '', next: '' }));

it('shows what was stopped as it is stored, and nothing twice', async () => {
  const stored = insight('landscape', 'x', { partial: begun });
  let seen: number | null = null;
  const { insights } = open({
    insights: () => Promise.resolve([stored]),
    landscape: async (_, { onEvent }) => {
      onEvent!({ done: 2, total: 9, soFar: stored.document });
      seen = insights.own('landscape').length;
      return stop();
    },
  });
  insights.stored = [stored];
  await insights.landscape({ nodeId: 'x', directions: 1, side: 1, perUnit: 1, radius: 0.5 });
  expect(seen).toBe(0);
  expect(insights.own('landscape')).toEqual([stored]);
  expect(insights.partial.landscape).toBe(null);
  expect(insights.error).toBe(null);
});

it('what could not be stored stays on show', async () => {
  const { insights } = open({
    insights: () => Promise.resolve([]),
    landscape: (_, { onEvent }) => {
      onEvent!({ done: 1, total: 9, soFar: insight('landscape', 'x').document });
      return stop();
    },
  });
  await insights.landscape({ nodeId: 'x', directions: 1, side: 1, perUnit: 1, radius: 0.5 });
  expect(insights.partial.landscape).toMatchObject({ done: 1, total: 9 });
});

it('goes on with all conflicts that wait at once, and with a landscape as it was asked for', async () => {
  const { insights, asked } = open({
    insights: () => Promise.resolve([]),
    conflict: () => Promise.resolve([]),
    landscape: () => Promise.resolve(null),
  });
  const order = (id: string) => ({ nodeIds: [id], batches: 8, rows: 16, seed: 1 });
  const waiting = ['x', 'y'].map((id) => insight('conflict', id, { partial: begun, order: order(id) }));
  await insights.goOn(waiting);
  const one = { nodeId: 'x', directions: 5 };
  await insights.goOn([insight('landscape', 'x', { partial: begun, order: one })]);
  await insights.goOn([]);
  expect(asked.filter(([method]) => method !== 'insights')).toEqual([
    ['conflict', { ...order('x'), nodeIds: ['x', 'y'] }],
    ['landscape', one],
  ]);
});

it('goes on only with what this engine on this GPU began', () => {
  const { insights } = open({});
  const can = (o: Parameters<typeof insight>[2]): boolean => insights.canGoOn(insight('landscape', 'x', o));
  expect(can({ partial: begun })).toBe(true);
  expect(can({ partial: begun, adapter: 'another' })).toBe(false);
  expect(can({ partial: begun, code: 'older' })).toBe(false);
  expect(can({})).toBe(false);
});

it('what is deleted is gone, one by one and with its checkpoint; a failure says why', async () => {
  const all = ['x', 'y'].map((id) => insight('conflict', id));
  const { insights } = open({ deleteInsight: () => Promise.resolve([all[1]]) });
  insights.stored = all;
  await insights.remove(all[0]!);
  expect(insights.stored).toEqual([all[1]]);
  insights.forget(['y']);
  expect(insights.stored).toEqual([]);
  const failing = open({ deleteInsight: () => Promise.reject(new Error('the disk is gone')) });
  failing.insights.stored = all;
  await failing.insights.remove(all[0]!);
  expect(failing.insights.stored).toEqual(all);
  expect(failing.insights.error).toMatchObject({ what: 'the disk is gone' });
});
