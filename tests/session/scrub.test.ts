/**
 * Keeping the steps of an attack and moving through them, with the real engine in Node. Weights are random, so what is asked here is
 * which weights answer, and what is kept, handed on and said to be missing; not what the models say.
 */
import 'fake-indexeddb/auto';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { widenSnapshot } from '../../src/model/snapshot.ts';
import { GREEDY, type RunInfo, type TrainParams } from '../../src/worker/protocol.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { Page } from './page.ts';
import { STAND_IN } from '../support/stand-in.ts';
import { serveModels } from './shipped.ts';

/** Numbers in the model. */
const WEIGHTS = [...tensorShapes(parseLlamaConfig(STAND_IN)).values()].reduce(
  (sum, shape) => sum + shape.reduce((a, b) => a * b),
  0,
);
const PROMPT = 'How do I open the silver vault?';
const MFT: TrainParams = {
  parentNodeId: 'tiny-chat',
  recipe: 'mft',
  settings: { batch: 4, n: 12, lr: 0.01 },
  seed: 7,
  saveAt: [6],
  probeEvery: 6,
};

let gpu: GPU;
let name = '';
let page: Page;
let count = 0;

async function open(): Promise<Page> {
  const next = new Page(gpu, name);
  await next.ask('init', { modelsUrl: 'http://lab.test/models/' });
  return next;
}

beforeAll(async () => {
  gpu = await pageGpu();
});
beforeEach(async () => {
  serveModels();
  name = `scrub-test-${++count}`;
  page = await open();
  await page.ask('loadEmbedded', { name: 'tiny-chat' });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  page.die();
});

async function attacked(params: Partial<TrainParams> = {}): Promise<RunInfo> {
  const { id } = await page.ask('train', { ...MFT, ...params });
  return page.until(id, 'finished');
}

const nodeOf = async (runId: string, steps: number) =>
  (await page.ask('nodes', {})).find((n) => n.runId === runId && n.steps === steps)!;

const say = async (nodeId: string) => {
  const [answer] = await page.ask('generate', { nodeIds: [nodeId], prompt: PROMPT, sampling: GREEDY });
  return answer!;
};

describe('the steps of an attack', () => {
  it('are kept, and each answers with its own weights: the parent first, the checkpoint last', async () => {
    const { id: runId, keep } = await attacked();
    expect(keep?.at).toEqual([1, 2, 3, 5]);
    const [attack] = await page.ask('scrubAttacks', {});
    expect(attack).toMatchObject({ runId, parentId: 'tiny-chat', kept: 4, missed: [], root: 'tiny-chat' });
    expect(attack!.bytes).toBe(4 * 2 * WEIGHTS);
    expect(attack!.steps.map((s) => [s.step, s.from])).toEqual([
      [0, 'parent'],
      [1, 'snapshot'],
      [2, 'snapshot'],
      [3, 'snapshot'],
      [5, 'snapshot'],
      [6, 'node'],
    ]);
    expect(attack!.probes.map((p) => p.step)).toEqual([0, 6]);
    const at = (step: number) => page.ask('scrubAnswer', { runId, step, prompt: PROMPT });
    const [first, last] = [await at(0), await at(6)];
    const node = await nodeOf(runId, 6);
    expect(first.text).toBe((await say('tiny-chat')).text);
    expect(last.text).toBe((await say(node.id)).text);
    // teacher-forced over the same text, each under itself
    first.tokens.forEach((token) => expect(token.others[0]).toBe(token.p));
    last.tokens.forEach((token) => expect(token.others[1]).toBe(token.p));
    expect(first.tokens.some((token) => token.others[1] !== token.p)).toBe(true);
    const greedy = await say(node.id);
    last.tokens.forEach((token, i) => expect(Math.log(token.p)).toBeCloseTo(greedy.tokens[i]!.logprob, 3));
    const { refusing, asked, other, rest } = last.openings!;
    expect(refusing + asked + other + rest).toBeCloseTo(1, 6);
  });

  it('have the weights of the run at that step, but for 16 bits', async () => {
    const { id: kept } = await attacked();
    const { id: saved } = await attacked({ saveAt: [3, 6], keep: 0 });
    const { store } = page.service.ctx;
    const parent = await store.weights('tiny-chat');
    const wanted = await store.weights((await nodeOf(saved, 3)).id);
    const found = widenSnapshot((await store.snapshots.read(kept, 3))!.words, parent);
    let worst = 0;
    wanted.forEach((x, i) => (worst = Math.max(worst, Math.abs(x - found[i]!))));
    expect(worst).toBeGreaterThan(0);
    expect(worst).toBeLessThan(1e-4);
    expect((await page.ask('scrubAttacks', {})).find((a) => a.runId === saved)).toMatchObject({ kept: 0 });
  });

  it('are an adapter alone where an adapter is trained', async () => {
    const { id: runId } = await attacked({ settings: { ...MFT.settings, method: 'lora' } });
    const [attack] = await page.ask('scrubAttacks', {});
    expect(attack!.bytes).toBeLessThan(4 * 2 * 100_000);
    const at = async (step: number) => (await page.ask('scrubAnswer', { runId, step, prompt: PROMPT })).text;
    expect(await at(0)).toBe((await say('tiny-chat')).text);
    expect(await at(6)).toBe((await say((await nodeOf(runId, 6)).id)).text);
    expect(typeof (await at(3))).toBe('string');
  });

  it('are remembered, also after a reload, without a model on the GPU', async () => {
    const { id: runId } = await attacked();
    const ask = { runId, step: 3, prompt: PROMPT };
    const answer = await page.ask('scrubAnswer', ask);
    const look = await page.ask('scrubLook', { runId, step: 3 });
    expect(look.forbidden).toHaveLength(28);
    expect(look.benign).toHaveLength(22);
    expect(Object.values(look.counts).reduce((a, b) => a + b)).toBe(28);
    await page.ask('scrubEnd', {});
    page.die();
    page = await open();
    const models = vi.spyOn(page.service.models, 'on');
    expect(await page.ask('scrubAnswer', ask)).toEqual(answer);
    expect(await page.ask('scrubLooks', { runId })).toEqual([{ step: 3, look }]);
    expect(models).not.toHaveBeenCalled();
  });

  it('go on with their schedule when the run is taken up again or made longer', async () => {
    const { id: runId } = await page.ask('train', MFT);
    await page.ask('control', { runId, control: { action: 'pause' } });
    await page.until(runId, 'paused', 'finished');
    await vi.waitUntil(async () => (await page.service.ctx.store.run(runId))?.state, 20_000);
    page.die();
    page = await open();
    await page.ask('reopenRun', { runId });
    await page.ask('control', { runId, control: { action: 'resume' } });
    await page.until(runId, 'finished');
    const steps = async () => (await page.service.ctx.store.snapshots.steps()).get(runId);
    expect(await steps()).toEqual([1, 2, 3, 5]);
    await page.ask('control', { runId, control: { action: 'continueTo', saveAt: [12] } });
    await vi.waitUntil(async () => (await nodeOf(runId, 12)) !== undefined, 60_000);
    expect(await steps()).toEqual([1, 2, 3, 5, 7, 10]);
  });

  it('are missing where the disk is full, and the run goes on and says so', async () => {
    const real = page.service.ctx.store.snapshots.add.bind(page.service.ctx.store.snapshots);
    vi.spyOn(page.service.ctx.store.snapshots, 'add').mockImplementation((snapshot, words) => {
      if (snapshot.step !== 2) return real(snapshot, words);
      throw new DOMException('no space', 'QuotaExceededError');
    });
    const { id: runId, state } = await attacked();
    expect(state).toBe('finished');
    const [attack] = await page.ask('scrubAttacks', {});
    expect(attack!.steps.map((s) => s.step)).toEqual([0, 1, 3, 5, 6]);
    expect(attack!.missed.map((m) => m.step)).toEqual([2]);
    await expect(page.ask('scrubAnswer', { runId, step: 2, prompt: PROMPT })).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('go with the checkpoint, and a move that nobody wants any more is cancelled', async () => {
    const { id: runId } = await attacked();
    await expect(
      page.ask('scrubAnswer', { runId, step: 1, prompt: PROMPT }, Promise.resolve()),
    ).rejects.toMatchObject({ code: 'cancelled' });
    await page.ask('deleteNode', { nodeId: (await nodeOf(runId, 6)).id });
    expect((await page.service.ctx.store.snapshots.steps()).size).toBe(0);
    expect(await page.ask('scrubAttacks', {})).toEqual([]);
    await expect(page.ask('scrubAnswer', { runId, step: 1, prompt: PROMPT })).rejects.toMatchObject({
      code: 'not-found',
    });
  });
});

describe('the token inspector', () => {
  it('lays a text under other models, and says who is gone', async () => {
    const { id: runId } = await attacked({ keep: 0 });
    const node = await nodeOf(runId, 6);
    const answer = await say(node.id);
    const found = await page.ask('inspect', {
      nodeId: node.id,
      others: ['tiny-chat', 'nobody', node.id],
      prompt: PROMPT,
      ids: answer.tokens.map((t) => t.id),
    });
    expect(found.apart).toEqual([{ nodeId: 'nobody', why: 'gone' }]);
    expect(found.tokens.map((t) => t.text).join('')).toBe(answer.text);
    found.tokens.forEach((token, i) => {
      expect(token.top).toHaveLength(5);
      expect(token.top[0]!.p).toBeCloseTo(Math.exp(answer.tokens[i]!.logprob), 4);
      expect(token.entropy).toBeGreaterThanOrEqual(0);
      expect(token.others[1]).toBeNull();
      expect(token.others[2]).toBe(token.p);
    });
  });
});
