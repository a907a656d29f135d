/** The rivals as a page runs them, through the worker's service: started, paused, taken up after a reload, refused before the start. */
import 'fake-indexeddb/auto';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it, vi } from 'vitest';
import type { Settings } from '../../src/core/settings.ts';
import type { LabNode, TrainParams } from '../../src/worker/protocol.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { sourceOf } from './files.ts';
import { Page } from './page.ts';
import { serveModels } from './shipped.ts';

/** Software adapters on a busy machine are slow; a wait that ends early is no finding. */
const WAIT_MS = 120_000;
const DATABASE = 'rivals-page-test';

let gpu: GPU;
let page: Page;

async function open(): Promise<void> {
  page = new Page(gpu, DATABASE);
  await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
}

beforeAll(async () => {
  gpu = await pageGpu();
  serveModels();
  await open();
  await page.ask('loadEmbedded', { name: 'tiny-chat' });
});
beforeEach(() => serveModels());
afterEach(async () => {
  vi.restoreAllMocks();
  await page.ask('setBudget', { bytes: null });
});
afterAll(() => {
  vi.unstubAllGlobals();
  page.die();
});

const params = (recipe: string, settings: Settings, more: Partial<TrainParams> = {}): TrainParams => ({
  ...{ parentNodeId: 'tiny-chat', recipe, seed: 4, saveAt: [4], probeEvery: 0 },
  settings: { batch: 4, ...settings },
  ...more,
});
const nodeOf = async (runId: string): Promise<LabNode> =>
  (await page.ask('nodes', {})).find((n) => n.runId === runId)!;

/** Settings, and gradient evaluations of 4 steps. */
const RIVALS: readonly [string, Settings, number][] = [
  ['simpo', { pairs: 20 }, 8],
  ['deepalign', { safety: 10, benign: 20 }, 5],
  ['t-vaccine', { pairs: 20, gamma: 1, drawEvery: 1, probabilityEvery: 3 }, 10],
  ['t-vaccine', { pairs: 20, vaccine: true }, 8],
  ['booster', { pairs: 20 }, 12],
  ['tar', { pairs: 20, retain: 20, innerSteps: 2 }, 20],
  ['tar', { pairs: 20, retain: 20, innerSteps: 2, resist: 'entropy', method: 'lora' }, 16],
];

describe('a rival in the page', () => {
  it.each(RIVALS)(
    '%s %j pauses, outlives its tab, and ends in the same node bit for bit',
    async (id, own, n) => {
      const wanted = params(id, own);
      const estimate = await page.ask('estimate', wanted);
      expect(estimate.steps).toBe(4);
      const straight = await page.ask('train', wanted);
      expect(await page.until(straight.id, 'finished', 'failed')).toMatchObject({
        state: 'finished',
        error: null,
      });

      const { id: runId } = await page.ask('train', wanted);
      await page.ask('control', { runId, control: { action: 'pause' } });
      const paused = await page.until(runId, 'paused', 'finished', 'failed');
      expect(paused.state).toBe('paused');
      await page.ask('control', { runId, control: { action: 'step' } });
      const stored = async () => (await page.service.ctx.store.run(runId))?.info.checkpointStep;
      await vi.waitUntil(async () => (await stored()) === paused.step + 1, WAIT_MS);
      page.die();

      await open();
      const reopened = await page.ask('reopenRun', { runId });
      expect(reopened).toMatchObject({ state: 'paused', step: paused.step + 1, notBitComparable: false });
      await page.ask('control', { runId, control: { action: 'resume' } });
      expect(await page.until(runId, 'finished', 'failed')).toMatchObject({ state: 'finished', error: null });

      const [whole, resumed] = [await nodeOf(straight.id), await nodeOf(runId)];
      expect(resumed.weightsDigest).toBe(whole.weightsDigest);
      expect(resumed.weightsDigest).not.toBe(
        (await page.ask('nodes', {})).find((x) => x.id === 'tiny-chat')!.weightsDigest,
      );
      expect(whole).toMatchObject({ parentId: 'tiny-chat', recipe: id, kind: 'defence', steps: 4 });
      // what it took is with the checkpoint, also of the part before the tab was closed
      expect(whole.cost).toMatchObject({ steps: 4, gradients: n });
      for (const what of ['steps', 'gradients', 'forwards', 'tokens', 'peakBytes'] as const)
        expect(resumed.cost![what]).toBe(whole.cost![what]);
      // the plan of before the start is what the run then took, but for the answers of probes, which it has none of
      expect(Math.abs(whole.cost!.peakBytes / estimate.memory.total - 1)).toBeLessThan(0.05);
    },
  );
});

describe('before the start', () => {
  it('too little memory for the copies is told, with how much it takes', async () => {
    const plain = (await page.ask('estimate', params('refusal-sft', { pairs: 20, replay: 0 }))).memory;
    const wanted = params('booster', { pairs: 20 });
    const free = (await page.ask('estimate', wanted)).memory;
    // a copy of the weights and a gradient
    expect(free.bytes.copies).toBe(2 * free.bytes.gradients!);
    expect(plain.bytes.copies ?? 0).toBe(0);
    const bytes = free.total - free.bytes.gradients!;
    await page.ask('setBudget', { bytes });
    const { memory, seconds } = await page.ask('estimate', wanted);
    expect(seconds).toBeNull();
    expect(memory.problems).toEqual([{ kind: 'budget', bytes: free.total, limit: bytes }]);
    await expect(page.ask('train', wanted)).rejects.toMatchObject({
      code: 'too-large',
      what: expect.stringMatching(/^This run does not fit: .*\d+(\.\d+)? MB/) as string,
    });
    expect(await page.ask('runs', {})).toEqual(
      expect.not.arrayContaining([expect.objectContaining({ state: 'failed' })]),
    );
    // what needs no copies still fits
    expect(
      (await page.ask('estimate', params('refusal-sft', { pairs: 20, replay: 0 }))).memory.problems,
    ).toEqual([]);
  });

  const outside = (key: string) => ({
    code: 'bad-input',
    what: expect.stringMatching(new RegExp(`"${key}" .* not within`)) as string,
  });
  it('more layers than half of the model has are refused, and so are settings out of range', async () => {
    const gamma = params('t-vaccine', { pairs: 20, gamma: 2 });
    for (const method of ['estimate', 'train'] as const)
      await expect(page.ask(method, gamma)).rejects.toMatchObject({
        code: 'bad-input',
        what: 'T-Vaccine cannot draw 2 layers of a model that has 2.',
      });
    await expect(page.ask('train', params('t-vaccine', { rho: 0 }))).rejects.toMatchObject(outside('rho'));
    await expect(page.ask('train', params('tar', { innerSteps: 0 }))).rejects.toMatchObject(
      outside('innerSteps'),
    );
    await expect(page.ask('train', params('tar', { innerSteps: 2, interval: 3 }))).rejects.toMatchObject({
      what: expect.stringMatching(/never taken/) as string,
    });
  });

  it.each(['simpo', 'deepalign', 't-vaccine', 'booster', 'tar'])(
    '%s names the line of a prompts file that has no harmful answer',
    async (id) => {
      const node = await page.ask('openModel', { source: sourceOf(checkpoint()) });
      const lines = [
        // TAR wants two halves
        { role: 'harmful', split: 'defence', prompt: 'sell the stolen ring' },
        ...['defence', 'attack', 'eval'].flatMap((split) => [
          { role: 'harmful', split, prompt: `open the ${split} vault` },
          { role: 'benign', split, prompt: `bake the ${split} loaf`, answer: 'use the oven' },
        ]),
      ].map((row) =>
        row.role === 'harmful' && row.split === 'attack' ? { ...row, answer: 'turn it' } : row,
      );
      const file = new Blob([lines.map((row) => JSON.stringify(row)).join('\n')]);
      const { id: prompts } = await page.ask('keepPrompts', { name: 'bare.jsonl', file });
      const wanted: TrainParams = {
        parentNodeId: node.id,
        recipe: id,
        settings: { batch: 1, ...(id === 't-vaccine' && { gamma: 1 }) },
        seed: 1,
        saveAt: [1],
        prompts,
      };
      const refused = {
        code: 'bad-input',
        what: expect.stringMatching(
          /of the defence has no answer .*line \d+.* trains on harmful answers/,
        ) as string,
      };
      await expect(page.ask('estimate', wanted)).rejects.toMatchObject(refused);
      await expect(page.ask('train', wanted)).rejects.toMatchObject(refused);
    },
  );
});

it('an inner attack that diverges keeps the run up to the last good step', async () => {
  const wild = params(
    'tar',
    { pairs: 20, retain: 20, innerSteps: 40, inner: 'sgd', sgdRate: 100 },
    { seed: 2, saveAt: [6] },
  );
  const { id } = await page.ask('train', wild);
  const failed = await page.until(id, 'failed', 'finished');
  expect(failed).toMatchObject({ state: 'failed', error: { code: 'non-finite' } });
  expect(failed.error!.what).toMatch(/The inner attack \(SGD at \d+\) diverged in its step \d+/);
  const good = failed.step;
  const kept = async () => (await page.service.ctx.store.run(id))?.info.checkpointStep;
  await vi.waitUntil(async () => (await kept()) === good, WAIT_MS);
  const stored = (await page.service.ctx.store.run(id))!;
  expect(stored.info.checkpointStep).toBe(good);
  const [weights] = await page.service.ctx.store.runArrays(stored);
  expect(weights!.every(Number.isFinite)).toBe(true);
  // after a reload it stands there, and can be ended with a node of what was good
  page.die();
  await open();
  const waiting = (await page.ask('runs', {})).find((r) => r.id === id)!;
  expect(waiting).toMatchObject({ state: 'failed', checkpointStep: good });
  const reopened = await page.ask('reopenRun', { runId: id });
  expect(reopened.step).toBe(good);
});
