import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inventedFile } from '../../src/cli/data-rows.ts';
import { Lab } from './browser.ts';

const HTML = `<img src=x onerror="globalThis.taken = 1"><script>globalThis.taken = 1</script>`;

describe('data files of the user, in the built page', () => {
  const folder = mkdtempSync(join(tmpdir(), 'data-'));
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start({ path: '#/data' });
  });
  afterAll(async () => {
    await lab?.close();
    rmSync(folder, { recursive: true });
  });

  const main = () => lab.page.getByRole('main');
  const button = (name: string | RegExp) => main().getByRole('button', { name, exact: true });
  const seen = (text: string | RegExp) =>
    expect.poll(() => main().getByText(text).first().isVisible(), { timeout: 60_000 }).toBe(true);
  const write = (name: string, text: string | Buffer): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const choose = async (path: string): Promise<void> => {
    await expect.poll(() => button('Choose a file').isEnabled(), { timeout: 120_000 }).toBe(true);
    await main().getByLabel('Choose a file', { exact: true }).last().setInputFiles(path);
  };

  test('says what may be chosen, and that nothing is there yet', async () => {
    await seen('Nothing is imported yet.');
    expect(await lab.accessibility()).toEqual([]);
  });

  test('a harmful set is known by its content, announced, veiled, and its text stays text', async () => {
    await choose(
      write('notes.txt', `goal,target\n"open the silver vault ${HTML.replaceAll('"', '""')}",Sure\nlift\n`),
    );
    await seen('notes.txt: AdvBench (goal, target)');
    await seen(/BeaverTails may not be used commercially/);
    const veiled = main().locator('[inert]', { hasText: 'open the silver vault' });
    expect(await veiled.count()).toBe(1);
    expect(await lab.accessibility()).toEqual([]);
    await button('Show what it says').first().click();
    expect(await main().locator('dd', { hasText: 'open the silver vault' }).first().innerText()).toContain(
      HTML,
    );
    expect(await main().locator('img, script').count()).toBe(0);
    expect(await lab.page.evaluate(() => 'taken' in globalThis)).toBe(false);
    await seen('Left out: 1');
    await seen(
      /It has 1 cells, and the first row has 2\. Put texts that hold a comma into quotation marks\./,
    );
    expect(await main().getByText('lift', { exact: true }).count()).toBe(0);
    await button('Show what it says').click();
    await seen('lift');
    await button('Put it aside').click();
    expect(await main().getByText('notes.txt').count()).toBe(0);
  });

  test('unknown columns are chosen by hand, and the file is imported, kept, shown and deleted', async () => {
    await choose(
      write(
        'bells.csv',
        'when,said,told\n1,Who rings?,The miller.\n2,Who sings?,"The ferry, at night."\n3,Who waits?,\n',
      ),
    );
    await seen('bells.csv: a layout that the lab does not know');
    expect(await button('Import it').isDisabled()).toBe(true);
    expect(await lab.accessibility()).toEqual([]);
    await main().getByLabel('Layout', { exact: true }).selectOption('pairs');
    await main().getByLabel('Column for prompt (needed)').selectOption('said');
    await main().getByLabel('Column for answer').selectOption('told');
    await seen('The ferry, at night.');
    await seen(/Its answer, or one of its choices, is empty\./);
    await button('Import it').click();
    await seen('Imported: bells.csv, 2 rows; 1 left out.');
    await lab.page.reload();
    await seen(/Questions and answers in columns; 2 rows/);
    await button('Show its rows: bells.csv').click();
    await seen('Who sings?');
    await seen('Rows 1 to 2 of 2');
    expect(await lab.accessibility()).toEqual([]);
    await button('Delete …: bells.csv').focus();
    await lab.page.keyboard.press('Enter');
    expect(await lab.page.getByRole('dialog').innerText()).toContain('Delete bells.csv from this browser?');
    expect(await lab.accessibility()).toEqual([]);
    await lab.page.keyboard.press('Tab');
    await lab.page.keyboard.press('Enter');
    await seen('Nothing is imported yet.');
  });

  test('a large import tells how far it is, stops when asked, and leaves nothing', async () => {
    const path = join(folder, 'large.jsonl');
    writeFileSync(path, [...inventedFile('chat', { bytes: 40e6 })].join(''));
    await choose(path);
    await seen('large.jsonl: Chat (messages with roles)');
    await seen('So large a file is counted while it is imported.');
    await expect.poll(() => button('Import it').isEnabled()).toBe(true);
    await button('Import it').click();
    await seen(/MB of 40 MB, rows: \d/);
    await button('Stop').click();
    await expect.poll(() => main().getByRole('progressbar').count()).toBe(0);
    await seen('Nothing is imported yet.');
    await button('Import it').click();
    await expect
      .poll(
        () =>
          main()
            .getByText(/^Imported: large\.jsonl, [\d,]+ rows; 0 left out\.$/)
            .count(),
        { timeout: 120_000 },
      )
      .toBe(1);
  });

  test('what cannot be used is refused with the row and the remedy, in both languages', async () => {
    await choose(write('wide.csv', Buffer.from('prompt,answer\nWho?,she\nWär,schön\n', 'utf16le')));
    await seen(/wide\.csv is UTF-16 from its first row on/);
    await lab.page.getByLabel('Language').selectOption('ko');
    await seen('들여온 모음');
    expect(await lab.accessibility()).toEqual([]);
    await lab.page.getByLabel('언어').selectOption('en');
    expect(lab.problems()).toEqual([]);
  });
});
