import { readFileSync } from 'node:fs';
import type { Download } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inventedFile } from '../../src/cli/data-rows.ts';
import { parsePrompts } from '../../src/data/prompts-file.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { Lab } from './browser.ts';

const HTML = `<img src=x onerror="globalThis.taken = 1">`;
const upload = (name: string, text: string) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(text),
});

describe('pairs of imported sets, in the built page', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start({ path: '#/data' });
  });
  afterAll(() => lab?.close());

  const main = () => lab.page.getByRole('main');
  const button = (name: string | RegExp) => main().getByRole('button', { name, exact: true });
  const box = (name: string) => main().getByRole('checkbox', { name, exact: true });
  const seen = (text: string | RegExp) =>
    expect.poll(() => main().getByText(text).first().isVisible(), { timeout: 20_000 }).toBe(true);

  /** A prompt that is held out, of the files that the page saves. */
  async function heldOut(): Promise<string> {
    const saved: Download[] = [];
    const listen = (one: Download): void => void saved.push(one);
    lab.page.on('download', listen);
    await button('Save as files').click();
    await expect.poll(() => saved.length).toBe(3);
    lab.page.off('download', listen);
    const prompts = saved.find((one) => one.suggestedFilename() === 'prompts.jsonl')!;
    return parsePrompts(readFileSync(await prompts.path(), 'utf8'), '').harmful.eval[0]!.prompt;
  }

  async function bring(name: string, text: string): Promise<void> {
    await expect.poll(() => button('Choose a file').isEnabled(), { timeout: 120_000 }).toBe(true);
    await main().getByLabel('Choose a file', { exact: true }).last().setInputFiles(upload(name, text));
    await expect.poll(() => button('Import it').isEnabled(), { timeout: 120_000 }).toBe(true);
    await button('Import it').click();
    await seen(new RegExp(`^Imported: ${name}`));
  }

  test('say what is missing, and are built with words for what will be trained', async () => {
    await lab.page.goto(`${lab.url}#/pairs`);
    await seen(/Import at least two sets in Data/);
    await main().getByRole('link', { name: 'Go to Data' }).click();
    await bring('harmful.jsonl', [...inventedFile('beavertails', { rows: 240, seed: 1 })].join(''));
    const marked = { instruction: 'A garden', input: '', output: `Water the roses of the garden. ${HTML}` };
    const answers = JSON.parse([...inventedFile('alpaca', { rows: 300, seed: 2 })].join('')) as object[];
    await bring('alpaca.json', JSON.stringify([...answers, marked]));
    await bring('attack.csv', [...inventedFile('advbench', { rows: 60, seed: 3 })].join(''));
    await main().getByRole('link', { name: 'Build pairs of these sets' }).click();
    expect(await button('Build the pairs').isDisabled()).toBe(true);
    await box('Harmful instructions: harmful.jsonl').check();
    await seen(/^These sets count as harmful now/);
    await box('Good answers: alpaca.json').check();
    await box('Attack: attack.csv').check();
    await seen('5 categories');
    await main().getByLabel('Instructions', { exact: true }).fill('40');
    await main().getByText('Attack, harmless chats, what is held out').click();
    await main().getByLabel('It trains').selectOption('opening');
    await main().getByLabel('Harmful share of its mixture').selectOption({ label: '25%' });
    await main().getByLabel('Threshold:').fill('0.3');
    expect(await lab.accessibility()).toEqual([]);
    await button('Build the pairs').click();
    await seen(/^40 harmful instructions of 5 categories, each with a good answer to something else/);
    await seen(/An attack has 60 harmful examples|An attack has \d+ harmful examples/);
    await seen(/^\d+ of 40 first draws are above 0\.3/);
    expect(await lab.accessibility()).toEqual([]);
  });

  test('are looked at page by page, harmful text veiled, and text stays text', async () => {
    await seen('1 to 10 of 40');
    const rows = main().locator('li', { has: lab.page.getByRole('button', { name: 'Leave out' }) });
    expect(await rows.count()).toBe(10);
    expect(await rows.first().locator('[inert]').count()).toBe(1);
    await rows.first().getByRole('button', { name: 'Show what it says' }).click();
    expect(await rows.first().locator('[inert]').count()).toBe(0);
    await button('Next').last().click();
    await seen('11 to 20 of 40');
    expect(await main().locator('img, script').count()).toBe(0);
    expect(await lab.page.evaluate(() => 'taken' in globalThis)).toBe(false);
  });

  test('are edited and left out by hand', async () => {
    await button('Previous').last().click();
    await seen('1 to 10 of 40');
    await button('Leave out').first().click();
    await seen(/^39 harmful instructions/);
    await seen('By hand: 1 left out, 0 edited.');
    await button('Edit').nth(1).click();
    await main().getByLabel('Answer', { exact: true }).fill('Basil wants sun.');
    await button('Save').click();
    await seen('By hand: 1 left out, 1 edited.');
    await main().getByLabel('Order').selectOption('changed');
    await seen('1 to 2 of 2');
    await seen('Basil wants sun.');
    expect(await lab.accessibility()).toEqual([]);
    await button('Take in again').click();
    await seen('By hand: 0 left out, 1 edited.');
  });

  test('an edit that asks what is held out is refused, and what was typed stays', async () => {
    await main().getByLabel('Order').selectOption('drawn');
    await seen('1 to 10 of 40');
    const held = await heldOut();
    await button('Edit').nth(2).click();
    await main().getByLabel('Instruction', { exact: true }).fill(`${held}?`);
    await button('Save').click();
    await seen(/is a held-out prompt/);
    expect(await main().getByLabel('Instruction', { exact: true }).inputValue()).toBe(`${held}?`);
    await button('Back').click();
  });

  test('a threshold that refuses everything says so, and the next one is built at once', async () => {
    await main().getByLabel('Threshold:').fill('0');
    await seen(/The threshold of 0 refuses every pair/);
    await main().getByLabel('Threshold:').fill('0.3');
    await seen(/^\d+ of 40 first draws are above 0\.3/);
    await expect
      .poll(
        () =>
          main()
            .getByText(/refuses every pair/)
            .count(),
        { timeout: 20_000 },
      )
      .toBe(0);
    await expect.poll(() => button('Save as files').isEnabled(), { timeout: 20_000 }).toBe(true);
  });

  test('after a reload, settings and edits are as they were, and the pairs are there again', async () => {
    await lab.page.waitForTimeout(500); // the form is kept a moment after its last change
    await lab.page.reload();
    await seen(/^40 harmful instructions/);
    await seen('By hand: 0 left out, 1 edited.');
    expect(await box('Attack: attack.csv').isChecked()).toBe(true);
    expect(await main().getByLabel('Instructions', { exact: true }).inputValue()).toBe('40');
    await lab.page.goto(`${lab.url}#/data`);
    await button('Show its rows: attack.csv').click();
    await seen('Show what it says');
    await lab.page.goto(`${lab.url}#/pairs`);
  });

  test('leave as files, and are compared by an opened model', async () => {
    const downloads = new Map<string, Download>();
    lab.page.on('download', (one) => void downloads.set(one.suggestedFilename(), one));
    await button('Save as files').click();
    await expect
      .poll(() => [...downloads.keys()].sort())
      .toEqual(['manifest.json', 'pairs.jsonl', 'prompts.jsonl']);
    const text = readFileSync(await downloads.get('prompts.jsonl')!.path(), 'utf8');
    expect(parsePrompts(text, '').harmful.defence.map((r) => r.irrelevant)).toContain('Basil wants sun.');
    await lab.page.goto(`${lab.url}#/model`);
    const files = Object.entries(checkpoint()).map(([name, content]) => ({
      name,
      mimeType: 'application/octet-stream',
      buffer: Buffer.from(content),
    }));
    await main().getByLabel('Choose files').first().setInputFiles(files);
    await expect.poll(() => main().locator('#card-title').innerText(), { timeout: 120_000 }).toBe('my model');
    await lab.page.goto(`${lab.url}#/pairs`);
    await main().getByLabel('Compared by').selectOption('hidden');
    await main().getByLabel('Threshold:').fill('0.9');
    await button('Build the pairs').click();
    await seen(/^\d+ harmful instructions of 5 categories/);
    // the model's loan is another one now
    await main().getByLabel('Threshold:').fill('0.85');
    await seen(/^\d+ of 40 first draws are above 0\.85/);
    await expect.poll(() => button('Save as files').isEnabled(), { timeout: 60_000 }).toBe(true);
    expect(await main().getByRole('alert').count()).toBe(0);
    expect(await lab.accessibility()).toEqual([]);
  });

  test('are used for training: Defend has them as its prompts file', async () => {
    await button('Use for training').click();
    await seen(/is kept in this browser and chosen as the prompts file/);
    await button('Go to Defend').click();
    await expect
      .poll(() => main().getByLabel('Prompts file').locator('option:checked').innerText(), {
        timeout: 60_000,
      })
      .toBe('harmful-pairs-0.jsonl');
    await expect.poll(() => button('Start the defence').isEnabled(), { timeout: 120_000 }).toBe(true);
    await lab.page.goto(`${lab.url}#/attack`);
    await main().getByText('More settings').first().click();
    const share = main().locator('input[id$="-benignShare"]').first();
    await expect.poll(() => share.inputValue(), { timeout: 60_000 }).toBe('0.75');
    expect(lab.problems()).toEqual([]);
  });
});
