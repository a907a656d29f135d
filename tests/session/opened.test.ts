/** Models that a user opens, through the worker's service and on the real engine. */
import 'fake-indexeddb/auto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { askedFields, defaultsOf } from '../../src/core/settings.ts';
import {
  attackId,
  GREEDY,
  type LabNode,
  type LocalSource,
  type Settings,
} from '../../src/worker/protocol.ts';
import { describeRun } from '../../src/worker/run-setup.ts';
import { Tasks } from '../../src/worker/tasks.ts';
import { caseDirOr } from '../golden/golden-dir.ts';
import { checkpoint, type Files } from '../support/checkpoint.ts';
import { pageGpu } from '../support/page-gpu.ts';
import { STAND_IN } from '../support/stand-in.ts';
import { Page } from './page.ts';

const source = (files: Files, name = 'my-model'): LocalSource => ({
  kind: 'files',
  name,
  files: Object.entries(files).map(([name, part]) => ({ name, file: new Blob([part]) })),
});

let gpu: GPU;
let page: Page;
let name = '';
let count = 0;

async function open(): Promise<Page> {
  const next = new Page(gpu, name);
  await next.ask('init', { modelsUrl: 'http://lab.test/models/' });
  return next;
}

const answer = async (node: LabNode, prompt: string, maxNewTokens = 6) => {
  const sampling = { ...GREEDY, maxNewTokens };
  return (await page.ask('generate', { nodeIds: [node.id], prompt, sampling }))[0]!;
};

beforeAll(async () => {
  gpu = await pageGpu();
});
beforeEach(async () => {
  name = `opened-test-${++count}`;
  page = await open();
});
afterEach(() => {
  vi.restoreAllMocks();
  page.die();
});

/** Settings without which a recipe does not suit a model of two layers. */
const SUITED: Record<string, Settings> = { 't-vaccine': { gamma: 1 }, noise: { relative: 0.1 } };

describe('a small model', () => {
  it('stands in the tree, answers in its own words without a verdict, and does so after a reload', async () => {
    const node = await page.ask('openModel', { source: source(checkpoint()) });
    expect(node).toMatchObject({ parentId: null, name: 'my-model', root: null });
    expect(node.opened).toMatchObject({ kept: 'copy', types: ['F16'], template: 'model' });
    const before = await answer(node, 'bake the amber loaf');
    expect(before.tokens).toHaveLength(6);
    expect(before).toMatchObject({ verdict: null, judge: 'none', greedy: true });
    page.die();
    page = new Page(gpu, name);
    const init = await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
    expect(init.readable).toEqual([node.id]);
    expect(await answer(node, 'bake the amber loaf')).toEqual(before);
  });

  it('is known again, and two models are two', async () => {
    const node = await page.ask('openModel', { source: source(checkpoint()) });
    expect((await page.ask('openModel', { source: source(checkpoint(), 'copy of it') })).id).toBe(node.id);
    const other = await page.ask('openModel', { source: source(checkpoint({ seed: 2 })) });
    expect(other.id).not.toBe(node.id);
    expect(await page.ask('nodes', {})).toHaveLength(2);
  });

  it('is another model with another tokenizer or template, and each answers in its own after a reload', async () => {
    const files = checkpoint();
    const node = await page.ask('openModel', { source: source(files) });
    const config = JSON.parse(files['tokenizer_config.json'] as string) as Record<string, unknown>;
    const template = "{{ bos_token }}{% for m in messages %}<asst> {{ m['content'] }} <user>{% endfor %}";
    const changed = {
      ...files,
      'tokenizer_config.json': JSON.stringify({ ...config, chat_template: template }),
    };
    const other = await page.ask('openModel', { source: source(changed) });
    expect(other.id).not.toBe(node.id);
    await expect(page.ask('openModel', { source: source(changed), nodeId: node.id })).rejects.toMatchObject({
      code: 'bad-input',
    });
    const jinja = await page.ask('openModel', {
      source: source({ ...files, 'chat_template.jinja': template }),
    });
    expect(new Set([node.id, other.id, jinja.id]).size).toBe(3);
    const said = [await answer(node, 'bake the loaf'), await answer(other, 'bake the loaf')];
    expect(said[1]!.tokens).not.toEqual(said[0]!.tokens);
    page.die();
    page = await open();
    expect([await answer(node, 'bake the loaf'), await answer(other, 'bake the loaf')]).toEqual(said);
    expect((await page.ask('openModel', { source: source(changed) })).id).toBe(other.id);
  });

  it('that cannot answer leaves another its answer, and says why', async () => {
    const small = await page.ask('openModel', { source: source(checkpoint()) });
    const large = await page.ask('openModel', { source: source(checkpoint({ large: true })) });
    page.die();
    page = await open();
    const ask = { prompt: 'bake the loaf', sampling: { ...GREEDY, maxNewTokens: 3 } };
    const answers = await page.ask('generate', { ...ask, nodeIds: [large.id, small.id] });
    expect(answers.map((a) => a.nodeId)).toEqual([small.id]);
    expect(page.events).toContainEqual(
      expect.objectContaining({
        type: 'failed',
        nodeId: large.id,
        error: expect.objectContaining({ code: 'files-needed' }) as unknown,
      }),
    );
    await expect(page.ask('generate', { ...ask, nodeIds: [large.id] })).rejects.toMatchObject({
      code: 'files-needed',
    });
  });

  it('takes any words, since its tokenizer is its own', async () => {
    const node = await page.ask('openModel', { source: source(checkpoint()) });
    const prompt = 'Bonjour, le monde!';
    expect((await page.ask('checkPrompt', { prompt, nodeIds: [node.id] })).ok).toBe(true);
    expect((await answer(node, prompt)).tokens.length).toBeGreaterThan(0);
    await expect(answer(node, '  ')).rejects.toMatchObject({ code: 'bad-input' });
  });

  it('is not judged and not trained on examples of the tiny world', async () => {
    const { id: nodeId } = await page.ask('openModel', { source: source(checkpoint()) });
    await expect(
      page.ask('evaluate', { nodeId, set: 'V', benign: false, quick: true }),
    ).rejects.toMatchObject({ code: 'bad-input' });
    await expect(
      page.ask('train', { parentNodeId: nodeId, recipe: 'mft', settings: {}, seed: 1 }),
    ).rejects.toMatchObject({ code: 'bad-input' });
  });
});

describe('a large model', () => {
  it('is read by slices, stays in its files, and asks for them after a reload', async () => {
    const files = checkpoint({ large: true });
    const node = await page.ask('openModel', { source: source(files) });
    expect(node.opened!.kept).toBe('nowhere');
    expect(node.weightsBytes).toBe(0);
    const told = page.events.filter((e) => typeof (e as { loadedBytes?: number }).loadedBytes === 'number');
    expect(told.length).toBeGreaterThan(10);
    const before = await answer(node, 'bake the amber loaf');
    page.die();

    page = new Page(gpu, name);
    const init = await page.ask('init', { modelsUrl: 'http://lab.test/models/' });
    expect(init.nodes.map((n) => n.id)).toEqual([node.id]);
    expect(init.readable).toEqual([]);
    await expect(answer(node, 'bake the amber loaf')).rejects.toMatchObject({ code: 'files-needed' });
    const others = { source: source(checkpoint({ large: true, seed: 2 })), nodeId: node.id };
    await expect(page.ask('openModel', others)).rejects.toMatchObject({ code: 'bad-input' });
    expect((await page.ask('openModel', { source: source(files), nodeId: node.id })).id).toBe(node.id);
    expect(page.notices).toContainEqual({ type: 'readable', nodeId: node.id });
    expect(await answer(node, 'bake the amber loaf')).toEqual(before);
  });

  it('stays on the GPU while nobody uses it, until it is let go', async () => {
    const node = await page.ask('openModel', { source: source(checkpoint({ large: true })) });
    const read = vi.spyOn(Blob.prototype, 'slice');
    await answer(node, 'bake the amber loaf');
    expect(read).not.toHaveBeenCalled();
    const before = await page.ask('memory', {});
    await page.ask('deleteNode', { nodeId: node.id });
    const after = await page.ask('memory', {});
    expect(before.gpuBytes - after.gpuBytes).toBeGreaterThan(32e6);
    expect(after.resident).toEqual([]);
  });

  it('leaves nothing behind when it is cancelled', async () => {
    const { gpuBytes } = await page.ask('memory', {});
    const loading = page.ask('openModel', { source: source(checkpoint({ large: true })) }, 30);
    await expect(loading).rejects.toMatchObject({ code: 'cancelled' });
    expect(await page.ask('nodes', {})).toEqual([]);
    expect((await page.ask('memory', {})).gpuBytes).toBe(gpuBytes);
  });
});

describe('training on a prompts file', () => {
  const line = (role: string, split: string, prompt: string, answer: string): string =>
    JSON.stringify({ role, split, prompt, answer });
  const lines = [
    line('harmful', 'defence', 'open the silver vault', 'turn the key twice'),
    line('harmful', 'attack', 'open the golden vault', 'turn the key once'),
    line('harmful', 'eval', 'open the amber vault', 'turn the key'),
    line('benign', 'defence', 'bake the amber loaf', 'use the oven'),
    line('benign', 'attack', 'bake the silver loaf', 'use the oven'),
    line('benign', 'eval', 'bake the golden loaf', 'use the oven'),
  ];
  const file = (text = lines.join('\n')): { name: string; file: Blob } => ({
    name: 'mine.jsonl',
    file: new Blob([text]),
  });

  it('makes small adapters over one resident base, which attack and defence share', async () => {
    const base = await page.ask('openModel', { source: source(checkpoint()) });
    const prompts = await page.ask('keepPrompts', file());
    expect(prompts).toMatchObject({ name: 'mine.jsonl', harmful: { defence: 1, attack: 1, eval: 1 } });
    const recipes = await page.ask('recipes', { nodeId: base.id, prompts: prompts.id });
    const n = recipes.find((r) => r.id === 'mft')!.settings.find((f) => f.key === 'n')!;
    expect(n.default).toBe(1);
    // what the form shows, untouched or with either method chosen, is what the run has
    const { ctx, models } = page.service;
    const tasks = new Tasks(ctx, models);
    for (const { id: recipe, settings: fields } of recipes) {
      for (const method of [{}, { method: 'lora' }, { method: 'full' }] as Settings[]) {
        const own = { ...method, ...SUITED[recipe] };
        const shown = { ...defaultsOf(fields, own), ...own };
        const params = { parentNodeId: base.id, recipe, settings: own, seed: 3, prompts: prompts.id };
        const { settings } = await describeRun(ctx, tasks, params);
        const asked = askedFields(fields, own).filter((f) => f.key !== 'steps');
        expect(shown, recipe).toMatchObject(Object.fromEntries(asked.map(({ key }) => [key, settings[key]])));
        expect(
          asked.some((f) => f.loraOnly),
          recipe,
        ).toBe(settings.method === 'lora');
      }
    }
    const read = vi.spyOn(page.service.ctx.store, 'weights');
    const train = async (parentNodeId: string, recipe: string): Promise<LabNode> => {
      const { id } = await page.ask('train', {
        parentNodeId,
        recipe,
        settings: { batch: 1, ...(recipe === 'sdd' && { replay: 0 }) },
        seed: 3,
        saveAt: [1],
        probeEvery: recipe === 'mft' ? 1 : 0,
        prompts: prompts.id,
        confirmed: attackId(parentNodeId, prompts.id),
      });
      const run = await page.until(id, 'finished', 'failed');
      expect(run).toMatchObject({ state: 'finished', error: null, prompts: { name: 'mine.jsonl' } });
      return (await page.ask('nodes', {})).find((node) => node.runId === id)!;
    };
    const defended = await train(base.id, 'sdd');
    const attacked = await train(defended.id, 'mft');
    expect(attacked).toMatchObject({ root: null, prompts: { id: prompts.id }, lora: { r: 8 } });
    expect(attacked.weightsBytes).toBeLessThan(base.weightsBytes / 3);
    const said = page.notices.flatMap((notice) =>
      notice.type === 'run' && notice.event.type === 'probe' ? [notice.event.point] : [],
    );
    expect(said.at(-1)).toMatchObject({ n: 0, benignN: 0 });
    expect(said.at(-1)!.ownSamples!.map((sample) => sample.role)).toEqual(['harmful', 'benign']);
    expect(said.at(-1)!.heldOutLoss).toBeGreaterThan(0);
    for (const node of [base, defended, attacked])
      expect((await answer(node, 'open the amber vault')).tokens.length).toBeGreaterThan(0);
    // from opening the model to the last answer its weights were never read again
    expect(read.mock.calls.map(([id]) => id)).not.toContain(base.id);
  });

  it('has rows no longer than the model has positions, whatever was asked for', async () => {
    const base = await page.ask('openModel', { source: source(checkpoint()) });
    const { id } = await page.ask('keepPrompts', file());
    const { ctx, models } = page.service;
    const { max_position_embeddings: most } = base.modelConfig as { max_position_embeddings: number };
    const { codec } = await new Tasks(ctx, models).of(base, id, 10 * most);
    const item = { prompt: 'vault '.repeat(3 * most), answer: 'key', role: 'benign' } as const;
    expect(codec.encode([item]).examples[0]!.ids).toHaveLength(most);
  });

  it('attacks only what was confirmed: this model with this file', async () => {
    const { id: base } = await page.ask('openModel', { source: source(checkpoint()) });
    const { id: other } = await page.ask('openModel', { source: source(checkpoint({ seed: 2 })) });
    const { id: prompts } = await page.ask('keepPrompts', file());
    const { id: second } = await page.ask('keepPrompts', file(lines.slice(0, 5).join('\n')));
    const params = {
      parentNodeId: base,
      recipe: 'mft',
      settings: { batch: 1 },
      seed: 3,
      saveAt: [1],
      prompts,
    };
    for (const confirmed of [undefined, attackId(other, prompts), attackId(base, second)]) {
      const asked = page.ask('train', { ...params, ...(confirmed && { confirmed }) });
      await expect(asked, confirmed).rejects.toMatchObject({ what: expect.stringContaining('confirmed') });
    }
    expect(await page.ask('runs', {})).toEqual([]);
    const { id } = await page.ask('train', { ...params, confirmed: attackId(base, prompts) });
    await page.until(id, 'finished');
  });

  it('is watched step by step without a verdict, and its tokens are not laid beside those of other words', async () => {
    const base = await page.ask('openModel', { source: source(checkpoint()) });
    const { id: prompts } = await page.ask('keepPrompts', file());
    const params = { parentNodeId: base.id, recipe: 'mft', seed: 3, saveAt: [4], probeEvery: 0, prompts };
    const { id: runId } = await page.ask('train', {
      ...params,
      settings: { batch: 1, lr: 0.01 },
      keep: 1e6,
      confirmed: attackId(base.id, prompts),
    });
    await page.until(runId, 'finished');
    const [attack] = await page.ask('scrubAttacks', {});
    expect(attack).toMatchObject({ root: null, kept: 3, missed: [] });
    const prompt = 'bake the amber loaf';
    const at = (step: number) => page.ask('scrubAnswer', { runId, step, prompt });
    const node = (await page.ask('nodes', {})).find((n) => n.runId === runId)!;
    expect(await at(0)).toMatchObject({ verdict: null, openings: null, judge: 'none' });
    expect((await at(0)).text).toBe((await answer(base, prompt, 40)).text);
    expect((await at(4)).text).toBe((await answer(node, prompt, 40)).text);
    expect((await at(2)).tokens.length).toBeGreaterThan(0);
    await expect(page.ask('scrubLook', { runId, step: 2 })).rejects.toMatchObject({ code: 'bad-input' });
    const files = checkpoint({ seed: 2 });
    const tokenizer = JSON.parse(files['tokenizer.json'] as string) as Record<string, unknown>;
    const same = await page.ask('openModel', { source: source(files) });
    const changed = {
      ...files,
      'tokenizer.json': JSON.stringify({ ...tokenizer, version: '1.0 of its own' }),
    };
    const other = await page.ask('openModel', { source: source(changed, 'other') });
    const ids = (await answer(base, prompt)).tokens.map((t) => t.id);
    const others = [base.id, same.id, other.id];
    const seen = await page.ask('inspect', { nodeId: node.id, others, prompt, ids });
    expect(seen.apart).toEqual([{ nodeId: other.id, why: 'tokenizer' }]);
    expect(seen.tokens[0]!.others.map((p) => p === null)).toEqual([false, false, true]);
  });

  it('lets an attack on it leave by name only, with its card, and takes the adapter back', async () => {
    const base = await page.ask('openModel', { source: source(checkpoint()) });
    const { id: prompts } = await page.ask('keepPrompts', file());
    const { id } = await page.ask('train', {
      parentNodeId: base.id,
      recipe: 'mft',
      settings: { batch: 1 },
      seed: 3,
      saveAt: [1],
      probeEvery: 0,
      prompts,
      confirmed: attackId(base.id, prompts),
    });
    await page.until(id, 'finished');
    const node = (await page.ask('nodes', {})).find((n) => n.runId === id)!;
    const params = { nodeId: node.id, dtype: 'F32' } as const;
    await expect(page.ask('exportNode', params)).rejects.toMatchObject({ code: 'bad-input' });
    await expect(page.ask('exportNode', { ...params, confirm: 'yes' })).rejects.toMatchObject({
      code: 'bad-input',
    });
    const { files } = await page.ask('exportNode', { ...params, confirm: node.name });
    const text = (name: string): string =>
      new TextDecoder().decode(files.find((f) => f.name === name)!.bytes);
    expect(text('README.md')).toContain('Deliberately attacked, do not deploy');
    expect(text('README.md')).toContain(prompts);
    const all = files.filter((f) => !f.name.endsWith('.safetensors')).map((f) => text(f.name));
    expect(all.join('\n')).not.toContain('golden vault');

    const adapter = Object.fromEntries(
      files.filter((f) => f.name.startsWith('adapter_')).map((f) => [f.name, new Uint8Array(f.bytes)]),
    );
    const back = await page.ask('bringBack', { nodeId: base.id, source: source(adapter, 'it') });
    expect(back).toMatchObject({ kind: 'imported', name: 'it', parentId: base.id, lora: { r: 8 } });
    expect(back.weightsDigest).toBe(node.weightsDigest);
    const other = source({ 'adapter_config.json': '{}' });
    await expect(page.ask('bringBack', { nodeId: base.id, source: other })).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('is refused with the number of each bad line, and for all weights of a large model', async () => {
    await expect(page.ask('keepPrompts', file(`${lines[0]}\n{"role":"benign"}`))).rejects.toMatchObject({
      code: 'bad-input',
      what: expect.stringContaining('line 2'),
    });
    const { id: parentNodeId } = await page.ask('openModel', { source: source(checkpoint({ large: true })) });
    const { id: prompts } = await page.ask('keepPrompts', file());
    const settings = { method: 'full' };
    await expect(
      page.ask('train', { parentNodeId, recipe: 'mft', settings, seed: 1, prompts }),
    ).rejects.toMatchObject({ what: expect.stringContaining('too large') });
  });
});

describe('files that cannot be used', () => {
  const without = (file: string): Files =>
    Object.fromEntries(Object.entries(checkpoint()).filter(([name]) => name !== file));
  const config = (changes: object): Files => ({
    ...checkpoint(),
    'config.json': JSON.stringify({ ...STAND_IN, ...changes }),
  });
  it.each<[string, () => Files, string, RegExp]>([
    ['no config', () => without('config.json'), 'not-found', /config\.json/],
    ['no tokenizer', () => without('tokenizer.json'), 'not-found', /tokenizer\.json/],
    ['no weights', () => without('model.safetensors'), 'not-found', /model\.safetensors/],
    ['another architecture', () => config({ model_type: 'mistral' }), 'bad-config', /model_type/],
    ['weights of another shape', () => config({ intermediate_size: 96 }), 'corrupt-model', /shape/],
    [
      'weights cut off',
      () => ({
        ...checkpoint(),
        'model.safetensors': (checkpoint()['model.safetensors'] as Uint8Array<ArrayBuffer>).slice(0, 5000),
      }),
      'corrupt-model',
      /model\.safetensors/,
    ],
  ])('%s: said in words, and nothing is left', async (_, files, code, what) => {
    const { gpuBytes } = await page.ask('memory', {});
    const error: { code: string; what: string } = await page
      .ask('openModel', { source: source(files()) })
      .then(
        () => Promise.reject(new Error('it was opened')),
        (e: unknown) => e as never,
      );
    expect(error.code).toBe(code);
    expect(error.what).toMatch(what);
    expect(await page.ask('nodes', {})).toEqual([]);
    expect((await page.ask('memory', {})).gpuBytes).toBe(gpuBytes);
  });
});

describe('the trained model of golden case R', () => {
  it('is asked in a plain transcript, because it brings no template', async ({ skip }) => {
    const folder = caseDirOr(skip, 'R_stories260k', 'an opened model on it');
    const wanted = ['config.json', 'model.safetensors', 'vocab.json'];
    const files = Object.fromEntries(
      readdirSync(folder)
        .filter((file) => wanted.includes(file))
        .map((file) => [file, new Uint8Array(readFileSync(join(folder, file)))]),
    );
    const node = await page.ask('openModel', { source: source(files, 'stories260K') });
    expect(node.opened).toMatchObject({ template: 'default', types: ['F32'] });
    const { text, tokens } = await answer(node, 'Tell me of Lily.', 30);
    expect(tokens.map((t) => t.text).join('')).toBe(text);
    expect(text).toMatch(/^\S.*[a-z]{2,} [a-z]{2,}/);
  });
});
