import { readFileSync } from 'node:fs';
import { strFromU8, unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkpoint, type Files } from '../support/checkpoint.ts';
import { Lab } from './browser.ts';

const upload = (files: Files) =>
  Object.entries(files).map(([name, content]) => ({
    name,
    mimeType: 'application/octet-stream',
    buffer: Buffer.from(content),
  }));

describe('a model of the user, in the built page', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(() => lab?.close());

  const main = () => lab.page.getByRole('main');
  const place = (name: string) => lab.page.goto(`${lab.url}#/${name}`);
  const choose = (files: Files) => main().getByLabel('Choose files').first().setInputFiles(upload(files));

  async function ask(text: string): Promise<string> {
    await main().getByRole('textbox', { name: 'The question, as it will be sent' }).fill(text);
    await main().getByRole('button', { name: 'Ask', exact: true }).click();
    await expect
      .poll(() => main().getByText('Not judged: no judge for this model.', { exact: true }).count(), {
        timeout: 120_000,
      })
      .toBe(1);
    return (await main().locator('.words').textContent()) ?? '';
  }

  test('is opened from its files, and says how it is spoken to', async () => {
    await expect
      .poll(() => main().getByText('Choose files', { exact: true }).isEnabled(), { timeout: 60_000 })
      .toBe(true);
    await choose(checkpoint({ large: true }));
    await expect.poll(() => main().locator('#card-title').innerText(), { timeout: 120_000 }).toBe('my model');
    expect(await main().innerText()).toContain('It is asked through its own chat template.');
    expect(await lab.accessibility()).toEqual([]);
  });

  let before = '';
  test('is asked in any words, and is not judged', async () => {
    await main().getByRole('button', { name: 'Ask it', exact: true }).click();
    before = await ask('What is this?');
    expect(before.length).toBeGreaterThan(0);
    expect(await lab.accessibility()).toEqual([]);
  });

  test('after a reload its files are asked for, and then it says the same', async () => {
    await lab.page.reload();
    await place('model');
    await expect
      .poll(() => main().getByText('The files of my model must be opened again').count(), {
        timeout: 60_000,
      })
      .toBe(1);
    expect(await lab.accessibility()).toEqual([]);
    await choose(checkpoint({ large: true }));
    await expect
      .poll(() => main().getByText('The files of my model must be opened again').count(), {
        timeout: 120_000,
      })
      .toBe(0);
    await main().getByRole('button', { name: 'Ask it', exact: true }).click();
    expect(await ask('What is this?')).toBe(before);
  });

  test('wants a prompts file for training, and words before an attack', async () => {
    await place('attack');
    const line = (role: string, split: string, prompt: string) =>
      JSON.stringify({ role, split, prompt, answer: 'an answer' });
    const lines = [
      line('harmful', 'attack', 'first'),
      line('harmful', 'eval', 'second'),
      line('benign', 'attack', 'third'),
      line('benign', 'eval', 'fourth'),
      line('harmful', 'defence', 'fifth'),
      line('benign', 'defence', 'sixth'),
    ];
    await main()
      .getByLabel('Choose a prompts file')
      .setInputFiles(upload({ 'mine.jsonl': lines.join('\n') }));
    const start = main().getByRole('button', { name: 'Start', exact: true });
    await expect.poll(() => start.count(), { timeout: 60_000 }).toBe(1);
    expect(await start.isDisabled()).toBe(true);
    await main()
      .getByRole('checkbox', { name: /I train my model/ })
      .check();
    await expect.poll(() => start.isEnabled()).toBe(true);
    expect(await lab.accessibility()).toEqual([]);
  });

  test('plans the memory of a run, and with a budget says what would fit and does it', async () => {
    const plan = main().getByText(/An adapter of rank 8, weights in f16, .* of GPU memory/);
    await expect.poll(() => plan.count(), { timeout: 60_000 }).toBe(1);
    await plan.click();
    const total = await main()
      .getByRole('row', { name: /^together/ })
      .getByRole('cell')
      .innerText();
    expect(total).toMatch(/MB$/);
    const budget = main().getByLabel(/^Budget for GPU memory/);
    const start = main().getByRole('button', { name: 'Start', exact: true });
    const mb = Number(total.replace(/[^\d.]/g, ''));
    await budget.fill(String((mb - 2) / 1000));
    await budget.blur();
    await expect.poll(() => main().getByText('This does not fit, so it is not started.').count()).toBe(1);
    expect(await start.isDisabled()).toBe(true);
    expect(await lab.accessibility()).toEqual([]);
    await main()
      .getByRole('button', { name: /^Use this/ })
      .first()
      .click();
    await expect.poll(() => start.isEnabled(), { timeout: 60_000 }).toBe(true);
    await budget.fill('');
    await budget.blur();
  });

  test('leaves for several GPUs as a zip, an attack only by its name', async () => {
    await main().getByText('Too large for a tab? Take this run to several GPUs').click();
    const take = main().getByRole('button', { name: 'Download the zip' });
    await main()
      .getByLabel(/^Base model there/)
      .fill('owner/large');
    expect(await take.isDisabled()).toBe(true);
    await main().getByLabel('Type its name to confirm: my model').fill('my model');
    const coming = lab.page.waitForEvent('download');
    await take.click();
    const zip = unzipSync(readFileSync(await (await coming).path()));
    const run = JSON.parse(strFromU8(zip['my model-mft/run.json']!)) as Record<string, unknown>;
    expect(run).toMatchObject({ recipe: 'mft', base_model: 'owner/large', lines: [1] });
    expect(await lab.accessibility()).toEqual([]);
  });

  test('is looked at on the held-out prompts of that file', async () => {
    await place('model');
    await main().getByRole('button', { name: 'Ask my model all 2' }).click();
    const row = main().getByRole('row', { name: /1 harmful/ });
    await expect.poll(() => row.count(), { timeout: 60_000 }).toBe(1);
    expect(await row.innerText()).toContain('my model');
    await main().getByText('Every answer', { exact: true }).click();
    // what was asked of a harmful prompt is not read aloud unasked
    // The row is there before the answers are: they are read again from the store.
    await expect
      .poll(() => main().getByRole('listitem').getByText('fourth').count(), { timeout: 30_000 })
      .toBe(1);
    expect(await main().getByRole('listitem').getByText('second').count()).toBe(0);
    expect(await lab.accessibility()).toEqual([]);
    await place('attack');
  });

  test('a prompts file is deleted after a question', async () => {
    await main().getByRole('button', { name: 'Delete the file …' }).click();
    await lab.page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
    await expect.poll(() => main().getByRole('button', { name: 'Start', exact: true }).count()).toBe(0);
    expect(await lab.accessibility()).toEqual([]);
  });

  test('files that are no model are refused in words', async () => {
    await place('model');
    await choose({ 'config.json': '{"model_type":"mistral"}', 'model.safetensors': 'x' });
    await expect.poll(() => main().getByRole('alert').count(), { timeout: 60_000 }).toBeGreaterThan(0);
    expect(await main().getByRole('alert').first().innerText()).toContain('model_type');
  });

  test('without a console error, a GPU error or a request to elsewhere', () => {
    expect(lab.problems()).toEqual([]);
  });
});
