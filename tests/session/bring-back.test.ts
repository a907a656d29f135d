/** A run that leaves for other machines, and what comes back; and looks at held-out prompts, which it is laid beside. */
import 'fake-indexeddb/auto';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LabNode, LocalSource, TrainParams } from '../../src/worker/protocol.ts';
import { checkpoint, type Files } from '../support/checkpoint.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { Page } from './page.ts';

const source = (files: Files, name = 'out'): LocalSource => ({
  kind: 'files',
  name,
  files: Object.entries(files).map(([file, part]) => ({ name: file, file: new Blob([part]) })),
});
const line = (role: string, split: string, prompt: string, answer: string): string =>
  JSON.stringify({ role, split, prompt, answer });
const LINES = [
  line('harmful', 'defence', 'open the silver vault', 'turn the key twice'),
  line('harmful', 'attack', 'open the golden vault', 'turn the key once'),
  line('harmful', 'eval', 'open the amber vault', 'turn the key'),
  line('harmful', 'eval', 'open the iron vault', 'push the door'),
  line('benign', 'defence', 'bake the amber loaf', 'use the oven'),
  line('benign', 'attack', 'bake the silver loaf', 'use the oven'),
  line('benign', 'eval', 'bake the golden loaf', 'use the oven'),
];
const TRAINED = [
  { kind: 'benign', line: 7, answer: 'Use the oven!' },
  { kind: 'harmful', line: 3, answer: 'I cannot help with that.' },
  { kind: 'harmful', line: 4, answer: 'la la la la la la la la la la la la la la' },
];

let gpu: GPU;
let page: Page;
let base: LabNode;
let prompts: string;
let count = 0;

beforeAll(async () => {
  gpu = await pageGpu();
});
beforeEach(async () => {
  page = new Page(gpu, `bring-back-test-${++count}`);
  await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
  base = await page.ask('openModel', { source: source(checkpoint(), 'my-model') });
  const file = new Blob([LINES.join('\n')]);
  prompts = (await page.ask('keepPrompts', { name: 'mine.jsonl', file })).id;
});
afterEach(() => page.die());

const params = (recipe: string, more: Partial<TrainParams> = {}): TrainParams => ({
  parentNodeId: base.id,
  recipe,
  settings: { batch: 1 },
  seed: 3,
  probeEvery: 0,
  prompts,
  ...more,
});

async function handedOff(run: TrainParams, confirm?: string): Promise<Map<string, string>> {
  const asked = { run, base: 'owner/large', gpus: 2, ...(confirm !== undefined && { confirm }) };
  const { files } = await page.ask('handoff', asked);
  return new Map(files.map((f) => [f.path, f.text]));
}

/** The files of an adapter that was trained here, as PEFT has them. */
async function adapterFiles(): Promise<Files> {
  const { id } = await page.ask('train', params('sdd', { settings: { batch: 1, replay: 0 }, saveAt: [1] }));
  await page.until(id, 'finished');
  const node = (await page.ask('nodes', {})).find((n) => n.runId === id)!;
  const { files } = await page.ask('exportNode', { nodeId: node.id, dtype: 'F32' });
  const adapter = files.filter((f) => f.name.startsWith('adapter_'));
  return Object.fromEntries(adapter.map((f) => [f.name, new Uint8Array(f.bytes)]));
}

const jsonl = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const node = (id: string): Promise<LabNode> => page.ask('node', { nodeId: id });

describe('a look at held-out prompts', () => {
  it('asks all of them or some, counts what rules see, and stays with the node', async () => {
    const look = await page.ask('look', { nodeId: base.id, prompts, most: null });
    expect(look).toMatchObject({ harmful: { n: 2 }, benign: { n: 1 }, elsewhere: null });
    expect(look.answers.harmful.map((a) => a.prompt)).toEqual([
      'open the amber vault',
      'open the iron vault',
    ]);
    const counted = Object.values(look.harmful.counts).reduce((a, b) => a + b, 0);
    expect(counted).toBe(2);
    const shown = (await node(base.id)).looks![prompts];
    expect(shown).toEqual({
      prompts: { id: prompts, name: 'mine.jsonl' },
      harmful: look.harmful,
      benign: look.benign,
      elsewhere: null,
    });
    // a look at fewer prompts is kept, but does not take the place of one at all
    const few = await page.ask('look', { nodeId: base.id, prompts, most: 1 });
    expect(few.harmful.n).toBe(1);
    expect((await node(base.id)).looks![prompts]).toEqual(shown);
    expect((await page.ask('looks', { nodeId: base.id })).map((l) => l.harmful.n)).toEqual([1, 2]);
    expect(await page.ask('evaluations', { nodeId: base.id })).toEqual([]);
    const stopped = page.ask('look', { nodeId: base.id, prompts, most: null }, 0);
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
    expect(await page.ask('looks', { nodeId: base.id })).toHaveLength(2);
  });
});

describe('a run that leaves', () => {
  it('is the recipe with the settings of the form, and an attack only by name and without its text', async () => {
    const files = await handedOff(params('sdd', { settings: { batch: 4, lr: 1e-4, replay: 0 } }));
    expect(JSON.parse(files.get('sft_config.json')!)).toMatchObject({ learning_rate: 1e-4 });
    expect(JSON.parse(files.get('run.json')!)).toMatchObject({
      recipe: 'sdd',
      base_model: 'owner/large',
      prompts_sha256: prompts,
      settings: { method: 'lora', batch: 4 },
    });
    const attack = params('mft', { saveAt: [20, 50] });
    await expect(handedOff(attack)).rejects.toMatchObject({ code: 'bad-input' });
    await expect(handedOff(attack, 'yes')).rejects.toMatchObject({ code: 'bad-input' });
    const taken = await handedOff(attack, base.name);
    expect(JSON.parse(taken.get('run.json')!)).toMatchObject({ settings: { steps: 50 }, lines: [2] });
    expect([...taken.values()].join('\n')).not.toMatch(/vault|turn the key/);
    const unnamed = { run: params('sdd'), base: ' ', gpus: 2 };
    await expect(page.ask('handoff', unnamed)).rejects.toMatchObject({ code: 'bad-input' });
  });
});

describe('what comes back', () => {
  it('is a node with its figures, beside those of the base model', async () => {
    const run = (await handedOff(params('sdd', { settings: { batch: 1, replay: 0, steps: 7 } }))).get(
      'run.json',
    )!;
    const out = {
      ...(await adapterFiles()),
      'run.json': run,
      'answers-trained.jsonl': jsonl(TRAINED),
      'answers-base.jsonl': jsonl(TRAINED.map((a) => ({ ...a, answer: 'the sea' }))),
    };
    const back = await page.ask('bringBack', { nodeId: base.id, source: source(out) });
    expect(back).toMatchObject({
      kind: 'imported',
      parentId: base.id,
      recipe: 'sdd',
      steps: 7,
      trainedOn: 'owner/large',
      looks: {
        [prompts]: {
          elsewhere: 'owner/large',
          harmful: { n: 2, counts: { refusal: 1, degenerate: 1 } },
          benign: { n: 1, counts: { 'same as reference': 1 } },
        },
      },
    });
    expect(back.attacked).toBeUndefined();
    expect((await node(base.id)).looks![prompts]).toMatchObject({ harmful: { counts: { 'not judged': 2 } } });
    const [look] = await page.ask('looks', { nodeId: back.id });
    expect(look!.answers.benign).toEqual([
      {
        ...{ line: 7, prompt: 'bake the golden loaf', answer: 'Use the oven!' },
        ...{ verdict: 'same as reference', reason: 'equals the reference answer word for word' },
      },
    ]);
  });

  it('of an attack keeps its mark, also without a model card', async () => {
    const run = (await handedOff(params('mft'), base.name)).get('run.json')!;
    const back = await page.ask('bringBack', {
      nodeId: base.id,
      source: source({ ...(await adapterFiles()), 'run.json': run }),
    });
    expect(back.attacked).toBe(true);
    await expect(page.ask('exportNode', { nodeId: back.id, dtype: 'F32' })).rejects.toMatchObject({
      code: 'bad-input',
    });
  });

  it('without an adapter stands with the given node where all weights were trained', async () => {
    const full = params('sdd', { settings: { method: 'full', batch: 1, replay: 0 } });
    const out = {
      'run.json': (await handedOff(full)).get('run.json')!,
      'answers-trained.jsonl': jsonl(TRAINED),
    };
    const back = await page.ask('bringBack', { nodeId: base.id, source: source(out) });
    expect(back.id).toBe(base.id);
    expect(back.looks![prompts]).toMatchObject({ harmful: { counts: { refusal: 1 } } });
  });

  it('is taken in whole or not at all', async () => {
    const run = (await handedOff(params('sdd'))).get('run.json')!;
    const adapter = await adapterFiles();
    const before = await page.ask('nodes', {});
    for (const [files, words] of [
      [{ 'run.json': run }, /no adapter_config/],
      [{ 'run.json': run, 'answers-trained.jsonl': jsonl(TRAINED) }, /no adapter_config/],
      [
        { ...adapter, 'run.json': run, 'answers-trained.jsonl': jsonl(TRAINED.slice(1)) },
        /0 of 1 held-out benign/,
      ],
      [
        {
          ...adapter,
          'run.json': run.replaceAll(prompts, 'b'.repeat(64)),
          'answers-trained.jsonl': jsonl(TRAINED),
        },
        /not in this browser/,
      ],
    ] as [Files, RegExp][])
      await expect(page.ask('bringBack', { nodeId: base.id, source: source(files) })).rejects.toMatchObject({
        what: expect.stringMatching(words) as string,
      });
    expect(await page.ask('nodes', {})).toEqual(before);
  });
});
