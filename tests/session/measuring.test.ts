/** What the page measures on the user's GPU, through the worker's service: within the memory plan, in turns, and only while it is wanted. */
import 'fake-indexeddb/auto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Trainer } from '../../src/train/trainer.ts';
import { Gate, PRIORITY } from '../../src/worker/gate.ts';
import { GREEDY, type LabNode, type TrainParams } from '../../src/worker/protocol.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { promptsFile, sourceOf } from './files.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { Page } from './page.ts';

let page: Page;
let node: LabNode;
let wanted: TrainParams;

beforeAll(async () => {
  page = new Page(await pageGpu(), 'measuring-test');
  await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
  const prompts = (await page.ask('keepPrompts', promptsFile())).id;
  node = await page.ask('openModel', { source: sourceOf(checkpoint()) });
  const settings = { batch: 8, replay: 0 };
  wanted = { parentNodeId: node.id, recipe: 'sdd', settings, seed: 3, saveAt: [1], prompts };
});
beforeEach(() => page.ask('releaseAll', {}));
afterEach(async () => {
  vi.restoreAllMocks();
  await page.ask('setBudget', { bytes: null });
});
afterAll(() => page.die());

const bytes = async (): Promise<number> => (await page.ask('memory', {})).gpuBytes;

/** Resolves when the GPU's queue has been entered so often. */
function entered(times: number): Promise<void> {
  const { gate } = page.service.ctx;
  return new Promise((resolve) => {
    let n = 0;
    vi.spyOn(gate, 'run').mockImplementation((...turn) => {
      if (++n === times) resolve();
      return Gate.prototype.run.apply(gate, turn) as never;
    });
  });
}

it('tells the page how far the kernels are compiled that a model needs', async () => {
  page.notices.length = 0;
  const sampling = { ...GREEDY, maxNewTokens: 2 };
  await page.ask('generate', { nodeIds: [node.id], prompt: 'open the amber vault', sampling });
  const told = page.notices.filter((n) => n.type === 'compiling');
  expect(told.length).toBeGreaterThan(10);
  for (const [i, { done, total }] of told.entries()) {
    expect(done).toBeLessThanOrEqual(total);
    if (i > 0 && told[i - 1]!.done < told[i - 1]!.total) expect(done).toBe(told[i - 1]!.done + 1);
  }
  expect(told.at(-1)!.done).toBe(told.at(-1)!.total);
});

describe('the profile of a step', () => {
  it('belongs to the model that it was made of, and leaves nothing behind', async () => {
    const before = await bytes();
    const profile = await page.ask('profile', { nodeId: node.id });
    expect(profile).toMatchObject({ nodeId: node.id, name: node.name });
    expect(profile.kernels.length).toBeGreaterThan(10);
    for (const k of profile.kernels) expect(k.ms, k.kernel).toBeGreaterThan(0);
    expect(await bytes()).toBe(before);
  });

  it('is refused where the step is not within the budget, before anything is made', async () => {
    const made = vi.spyOn(page.service.ctx.gpu, 'buffer');
    for (const budget of [1000, 1e6]) {
      await page.ask('setBudget', { bytes: budget });
      await expect(page.ask('profile', { nodeId: node.id })).rejects.toMatchObject({
        code: 'too-large',
        what: expect.stringMatching(/^This step does not fit: it takes .* and the budget is/),
        next: 'Raise the budget for GPU memory.',
      });
    }
    expect(made).not.toHaveBeenCalled();
  });

  it('stays within the budget where it is just enough', async () => {
    const { stats } = page.service.ctx.gpu;
    stats.peakBytes = stats.bytes;
    await page.ask('setBudget', { bytes: 24e6 });
    await page.ask('profile', { nodeId: node.id });
    expect(stats.peakBytes).toBeLessThan(24e6);
  });

  it('lets a question in between two dispatches', async () => {
    let profiled = false;
    const profile = page.ask('profile', { nodeId: node.id }).then(() => (profiled = true));
    await entered(12);
    const sampling = { ...GREEDY, maxNewTokens: 2 };
    await page.ask('generate', { nodeIds: [node.id], prompt: 'open the amber vault', sampling });
    expect(profiled).toBe(false);
    await profile;
  });

  it('ends when it is cancelled, and gives everything back', async () => {
    const before = await bytes();
    await expect(page.ask('profile', { nodeId: node.id }, entered(30))).rejects.toMatchObject({
      code: 'cancelled',
    });
    expect(await bytes()).toBe(before);
  });
});

describe('the estimate of a run', () => {
  it('times one pass of the rows that a run makes at once, after a single row that compiles', async () => {
    const gradient = vi.spyOn(Trainer.prototype, 'gradient');
    const { seconds } = await page.ask('estimate', { ...wanted, room: { rows: 2 } });
    expect(seconds).toBeGreaterThan(0);
    expect(gradient.mock.calls.map(([micro]) => micro.map((rows) => rows.length))).toEqual([[1], [2]]);
    // the same settings are not measured again
    await page.ask('estimate', { ...wanted, room: { rows: 2 } });
    expect(gradient).toHaveBeenCalledTimes(2);
  });

  it('waits for everything else, and ends unmeasured when it is cancelled', async () => {
    const { gate } = page.service.ctx;
    const order: string[] = [];
    const gradient = vi.spyOn(Trainer.prototype, 'gradient');
    gradient.mockImplementationOnce(async () => {
      order.push('estimate');
      return { loss: 0, gradNorm: 0 };
    });
    let open = (): void => {};
    const busy = gate.run(PRIORITY.chat, () => new Promise<void>((done) => (open = done)));
    const first = page.ask('estimate', { ...wanted, room: { rows: 3 } });
    await entered(1);
    const others = [PRIORITY.evaluation, PRIORITY.step, PRIORITY.probe, PRIORITY.chat].map((priority) =>
      gate.run(priority, async () => void order.push('other')),
    );
    open();
    await Promise.all([busy, first, ...others]);
    expect(order).toEqual(['other', 'other', 'other', 'other', 'estimate']);

    gradient.mockClear();
    await expect(page.ask('estimate', { ...wanted, room: { rows: 4 } }, entered(2))).rejects.toMatchObject({
      code: 'cancelled',
    });
    expect(gradient.mock.calls.length).toBeLessThan(2);
    expect((await page.ask('releaseAll', {})).gpuBytes).toBe(0);
  });
});
