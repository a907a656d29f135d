/** The memory plan of the page, through the worker's service: what it says, what it refuses, and what a run then takes. */
import 'fake-indexeddb/auto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  GREEDY,
  type InitResult,
  type LabNode,
  type MemoryPlan,
  type ModelSource,
  type TrainParams,
} from '../../src/worker/protocol.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { promptsFile, sourceOf } from './files.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { Page } from './page.ts';

/** Largest distance between what is planned and what is allocated, as a share of what is allocated; and what small things take together. */
const BOUND = 0.03;
const SMALL_THINGS = 64 * 1024;

let gpu: GPU;
/** One for all tests: a device compiles its pipelines once. */
let page: Page;
let prompts: string;

const opened = (source: ModelSource): Promise<LabNode> => page.ask('openModel', { source });
const params = (node: LabNode, more: Partial<TrainParams> = {}): TrainParams => ({
  parentNodeId: node.id,
  recipe: 'sdd',
  settings: { batch: 4, replay: 0 },
  seed: 3,
  saveAt: [1],
  prompts,
  ...more,
});

const DATABASE = 'memory-test';
async function open(): Promise<InitResult> {
  page = new Page(gpu, DATABASE);
  return page.ask('init', { modelsUrl: 'http://lab.test/models/' });
}

beforeAll(async () => {
  gpu = await pageGpu();
  await open();
  prompts = (await page.ask('keepPrompts', promptsFile())).id;
});
afterEach(async () => {
  vi.restoreAllMocks();
  await page.ask('setBudget', { bytes: null });
});
afterAll(() => page.die());

/** Trains, and answers with the plan and with what stood on the GPU while the run was loaded. */
async function trained(wanted: TrainParams): Promise<{ plan: MemoryPlan; allocated: number; node: LabNode }> {
  const { memory } = await page.ask('estimate', wanted);
  expect((await page.ask('releaseAll', {})).gpuBytes).toBe(0);
  const { id } = await page.ask('train', wanted);
  const run = await page.until(id, 'finished', 'failed');
  expect(run).toMatchObject({ state: 'finished', error: null });
  const { gpuBytes } = await page.ask('memory', {});
  const node = (await page.ask('nodes', {})).find((n) => n.runId === id)!;
  return { plan: memory, allocated: gpuBytes, node };
}

describe('the plan of a run is what the run then takes', () => {
  it.each<[string, boolean, Partial<TrainParams>]>([
    ['an adapter, with probes', false, {}],
    ['an adapter without probes', false, { probeEvery: 0 }],
    ['an adapter, one row at once', false, { probeEvery: 0, room: { rows: 1 } }],
    ['an adapter, checkpointing, shorter rows', false, { room: { checkpointing: true, context: 16 } }],
    ['all weights', false, { settings: { batch: 4, replay: 0, method: 'full' } }],
    ['an adapter on 16 bits', true, { settings: { batch: 1, replay: 0 }, probeEvery: 0 }],
  ])('%s', async (_name, large, more) => {
    const base = await opened(sourceOf(checkpoint({ large })));
    const { plan, allocated } = await trained(params(base, more));
    expect(plan.problems).toEqual([]);
    expect(plan.precision).toBe(large ? 'f16' : 'f32');
    expect(Math.abs(plan.total - allocated)).toBeLessThan(BOUND * allocated + SMALL_THINGS);
  });

  it('also of a second adapter, on top of the first or in its place', async () => {
    const base = await opened(sourceOf(checkpoint()));
    const first = await trained(params(base));
    const stacked = await trained(params(first.node));
    const instead = await trained(params(first.node, { continues: true }));
    for (const { plan, allocated } of [stacked, instead])
      expect(Math.abs(plan.total - allocated)).toBeLessThan(BOUND * allocated + SMALL_THINGS);
    expect(stacked.plan.bytes.adapters).toBe(2 * first.plan.bytes.adapters);
    expect(instead.plan.bytes.adapters).toBe(first.plan.bytes.adapters);
  });
});

describe('a budget of the user', () => {
  it('is kept over a reload, and refuses a run in the words of the plan, with what would fit', async () => {
    const base = await opened(sourceOf(checkpoint()));
    const wanted = params(base, { settings: { batch: 16, replay: 0 } });
    const free = (await page.ask('estimate', wanted)).memory;
    expect(free).toMatchObject({ budget: null, problems: [], advice: [] });
    const bytes = free.total - 1;
    expect(await page.ask('setBudget', { bytes })).toBe(bytes);
    page.die();
    expect((await open()).budget).toBe(bytes);

    const { memory, seconds } = await page.ask('estimate', wanted);
    expect(seconds).toBeNull();
    expect(memory.problems).toEqual([{ kind: 'budget', bytes: free.total, limit: bytes }]);
    const [mildest] = memory.advice;
    expect(mildest!.changes).toEqual([{ kind: 'checkpointing' }]);
    expect(mildest!.total).toBeLessThan(bytes);
    await page.ask('releaseAll', {});
    await expect(page.ask('train', wanted)).rejects.toMatchObject({
      code: 'too-large',
      what: expect.stringMatching(/it takes .* and the budget is/),
      next: expect.stringMatching(/activation checkpointing .* or raise the budget/),
    });
    expect((await page.ask('memory', {})).gpuBytes).toBe(0);
    expect((await page.ask('runs', {})).filter((r) => r.state !== 'finished')).toEqual([]);

    const { plan, allocated } = await trained({ ...wanted, room: { checkpointing: true } });
    expect(plan.total).toBe(mildest!.total);
    expect(allocated).toBeLessThan(bytes);
  });

  it('lets a model stay on the disk that is too large for it, before anything is loaded', async () => {
    const { length: nodes } = await page.ask('nodes', {});
    const before = (await page.ask('memory', {})).gpuBytes;
    await page.ask('setBudget', { bytes: 10e6 });
    const read = vi.spyOn(page.service.ctx.gpu, 'buffer');
    const files = checkpoint({ large: true, seed: 3 });
    await expect(opened(sourceOf(files))).rejects.toMatchObject({
      code: 'too-large',
      what: expect.stringContaining('the budget is 10.0 MB'),
    });
    expect(read).not.toHaveBeenCalled();
    expect((await page.ask('memory', {})).gpuBytes).toBe(before);
    expect(await page.ask('nodes', {})).toHaveLength(nodes);
    await page.ask('setBudget', { bytes: null });
    const node = await opened(sourceOf(files));
    const { talk, train } = await page.ask('memoryPlan', { nodeId: node.id });
    expect(talk.method).toBe('none');
    expect(train).toMatchObject({ method: 'lora', precision: 'f16', rank: 8, context: 128 });
    expect(train.total).toBeGreaterThan(talk.total);
    await expect(page.ask('setBudget', { bytes: -1 })).rejects.toMatchObject({ code: 'bad-input' });
  });

  it('makes room for a run where what nobody uses stands in its way', async () => {
    const base = await opened(sourceOf(checkpoint()));
    const other = await opened(sourceOf(checkpoint({ seed: 2 }), 'other'));
    for (const node of [base, other]) {
      const sampling = { ...GREEDY, maxNewTokens: 2 };
      await page.ask('generate', { nodeIds: [node.id], prompt: 'open the amber vault', sampling });
    }
    const { memory } = await page.ask('estimate', params(base));
    await page.ask('setBudget', { bytes: Math.ceil(memory.total * (1 + BOUND)) });
    const { id } = await page.ask('train', params(base));
    await page.until(id, 'finished');
    const now = await page.ask('memory', {});
    expect(now.resident).toEqual([]);
    expect(now.gpuBytes).toBeLessThanOrEqual(memory.total * (1 + BOUND));
  });
});
