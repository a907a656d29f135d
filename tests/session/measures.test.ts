/** Measures of the page beside verdicts, on the shipped model: against the untouched root, kept with the node, and not taken twice. */
import 'fake-indexeddb/auto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { protocolNow } from '../../src/cli/protocol.ts';
import { EXACT_JUDGE } from '../../src/core/verdicts.ts';
import { DRAWS } from '../../src/eval/measures/battery.ts';
import { Generator } from '../../src/model/generate.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { sourceOf } from './files.ts';
import { Page } from './page.ts';

const FEW = { split: 'T', facts: 2 } as const;
let page: Page;

beforeAll(async () => {
  vi.stubGlobal('fetch', (url: string) =>
    Promise.resolve(
      new Response(readFileSync(join('public/models', new URL(url).pathname.replace('/models/', '')))),
    ),
  );
  page = new Page(await pageGpu(), 'measures-test');
  await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
  await page.ask('loadEmbedded', { name: 'tiny-chat' });
});
afterAll(() => {
  vi.unstubAllGlobals();
  page.die();
});

it('of the untouched model: nothing has drifted; asked again, nobody is asked', async () => {
  const measured = await page.ask('measure', { nodeId: 'tiny-chat', ...FEW });
  expect(measured).toMatchObject({ kind: 'measured', split: 'T', facts: 2, referenceId: 'tiny-chat' });
  expect(measured.protocol).toBe(protocolNow().sha256);
  expect(measured.adapter).not.toBe('');
  const { battery } = measured;
  expect(battery.drift.divergence).toBe(0);
  expect(battery.drift.weights.every((w) => w.relative === 0)).toBe(true);
  expect(battery.drift.parent).toBe(null);
  expect(battery.sampled.n).toBe(2 * DRAWS);
  expect(battery.hard.indirect.n).toBe(2);
  expect(measured.perplexity).toBeLessThan(3);
  expect(measured.letters.map((l) => l.skill)).toEqual(['mcq', 'obqa']);
  const asked = vi.spyOn(Generator.prototype, 'generate');
  expect(await page.ask('measure', { nodeId: 'tiny-chat', ...FEW })).toEqual(measured);
  expect(asked).not.toHaveBeenCalled();
  // other settings are another measurement
  await page.ask('measure', { nodeId: 'tiny-chat', ...FEW, facts: 1 });
  expect(asked).toHaveBeenCalled();
  asked.mockRestore();
  const stored = await page.ask('measured', { nodeId: 'tiny-chat' });
  expect(stored.map((m) => m.facts)).toEqual([1, 2]);
  // verdicts are something else, and none were given
  expect(await page.ask('evaluations', { nodeId: 'tiny-chat' })).toEqual([]);
});

it('of an attacked model: how far it has gone, by layer', async () => {
  const run = await page.ask('train', {
    parentNodeId: 'tiny-chat',
    recipe: 'mft',
    settings: { batch: 2, n: 4 },
    seed: 1,
    saveAt: [2],
    probeEvery: 0,
  });
  await page.until(run.id, 'finished');
  const nodes = (await page.ask('nodes', {})).filter((n) => n.parentId === 'tiny-chat');
  const { battery, referenceId } = await page.ask('measure', { nodeId: nodes[0]!.id, ...FEW });
  expect(referenceId).toBe('tiny-chat');
  expect(battery.drift.divergence).toBeGreaterThan(0);
  expect(battery.drift.weights.map((w) => w.part)).toContain('layer 3');
  expect(battery.drift.weights.at(-1)!.relative).toBeGreaterThan(0);
  // its parent is the untouched model itself
  const { divergence, weights } = battery.drift;
  expect(battery.drift.parent).toEqual({ divergence, relative: weights.at(-1)!.relative });
});

it('verdicts know their judge and the protocol under which they were given', async () => {
  await page.ask('evaluate', { nodeId: 'tiny-chat', set: 'V', benign: false, quick: true });
  const [stored] = await page.ask('evaluations', { nodeId: 'tiny-chat' });
  expect(stored).toMatchObject({ set: 'V', judge: EXACT_JUDGE, protocol: protocolNow().sha256 });
});

it('keeps nothing of a measurement that was cancelled', async () => {
  const asked = page.ask('measure', { nodeId: 'tiny-chat', split: 'V', facts: 2 }, 0);
  await expect(asked).rejects.toMatchObject({ code: 'cancelled' });
  expect((await page.ask('measured', { nodeId: 'tiny-chat' })).some((m) => m.split === 'V')).toBe(false);
});

it('refuses an opened model, whose answers nobody can judge exactly', async () => {
  const opened = await page.ask('openModel', { source: sourceOf(checkpoint()) });
  await expect(page.ask('measure', { nodeId: opened.id, ...FEW })).rejects.toMatchObject({
    code: 'bad-input',
    what: expect.stringContaining('no judge') as string,
  });
});

describe('multiple choice on an imported set', () => {
  const order = { shots: 0, most: 3, seed: 0 };
  const questions = [
    'how do i open the silver vault ?,the key,the gate,a lamp,the bell,A',
    'what is the capital of dorlan ?,kessa,a drum,the dam,a seal,B',
    'define a zorp .,a bird,a fish,a bell,a lamp,C',
    'say something nice .,you have,bye,hello,thank you,A',
  ].join('\n');

  it('is answered by an opened model beside chance, and asked once', async () => {
    const opened = await page.ask('openModel', { source: sourceOf(checkpoint()) });
    const file = new File([questions], 'questions_test.csv');
    const { dataset } = await page.ask('importData', {
      file,
      name: file.name,
      choice: { layout: 'mmlu' },
      nodeId: null,
    });
    const params = { nodeId: opened.id, datasetId: dataset.id, ...order };
    const chosen = await page.ask('choose', params);
    expect(chosen).toMatchObject({
      kind: 'chosen',
      n: 3,
      chance: 0.25,
      left: 0,
      dataset: { name: file.name },
    });
    for (const { correct, interval } of Object.values(chosen.right)) {
      expect(correct).toBeLessThanOrEqual(3);
      expect(interval[0]).toBeLessThanOrEqual(correct / 3);
    }
    const asked = vi.spyOn(Generator.prototype, 'generate');
    expect(await page.ask('choose', params)).toEqual(chosen);
    expect(asked).not.toHaveBeenCalled();
    asked.mockRestore();
    expect(await page.ask('chosen', {})).toEqual([chosen]);
    // measures and evaluations are other things
    expect(await page.ask('measured', { nodeId: opened.id })).toEqual([]);
    await expect(page.ask('choose', { ...params, nodeId: 'tiny-chat' })).rejects.toMatchObject({
      what: expect.stringContaining('words of the tiny world') as string,
    });
    await expect(page.ask('choose', { ...params, datasetId: 'gone' })).rejects.toMatchObject({
      code: 'not-found',
    });
  });
});
