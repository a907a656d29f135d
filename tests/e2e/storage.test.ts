/** A copy of what lies in one browser, taken in by another. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from './browser.ts';

describe('Storage', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sdd-lab-copy-'));
  const copy = join(folder, 'copy.sddlab.zip');
  const labs: Lab[] = [];
  // a headless browser shows no dialog for a place on disk: the copy comes as a download
  const noDialog = (): void => {
    Reflect.deleteProperty(window, 'showSaveFilePicker');
  };

  beforeAll(async () => {
    for (let i = 0; i < 2; i++) labs.push(await Lab.start({ initScript: noDialog, path: '#/storage' }));
  });
  afterAll(async () => {
    for (const lab of labs) await lab.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const tree = ({ page }: Lab) =>
    page.getByRole('complementary', { name: 'Family tree' }).getByRole('button');

  test('a copy of everything is one file, and says what is in it', async () => {
    const [{ page }] = labs as [Lab];
    await page.goto(page.url().replace(/#.*/, '#/model'));
    await page.getByRole('main').getByRole('button', { name: 'Load tiny-chat', exact: true }).click();
    await expect
      .poll(() => tree(labs[0]!).filter({ hasText: 'tiny-chat' }).count(), { timeout: 60_000 })
      .toBe(1);
    await page.goto(page.url().replace(/#.*/, '#/storage'));
    const row = page.getByRole('row', { name: /tiny-chat/ });
    expect(await row.innerText()).toMatch(/1\s+1\.7 MB/);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Keep a copy of everything' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('sdd-lab.sddlab.zip');
    await download.saveAs(copy);
    await expect.poll(() => page.getByText('Checkpoints in the copy: 1').count()).toBe(1);
    expect(await labs[0]!.accessibility()).toEqual([]);
  });

  test('another browser looks into it, takes it in, and has nothing more to take', async () => {
    const [, lab] = labs as [Lab, Lab];
    const { page } = lab;
    const input = page.locator('input[type=file][accept=".zip"]');
    await input.setInputFiles(copy);
    await expect.poll(() => page.getByRole('row', { name: /tiny-chat .* new/ }).count()).toBe(1);
    const family = page.getByRole('row', { name: /^tiny-chat 1 / });
    expect(await family.count()).toBe(0);
    await page.getByRole('button', { name: 'Take it in' }).click();
    await expect.poll(() => page.getByText('Checkpoints taken in: 1').count(), { timeout: 60_000 }).toBe(1);
    await expect.poll(() => family.count()).toBe(1);
    await input.setInputFiles(copy);
    await expect.poll(() => page.getByText('Everything in it is here already.').count()).toBe(1);
    expect(await lab.accessibility()).toEqual([]);
  });

  test('a file that is none is refused in words', async () => {
    const [, lab] = labs as [Lab, Lab];
    await lab.page
      .locator('input[type=file][accept=".zip"]')
      .setInputFiles({ name: 'x.zip', mimeType: 'application/zip', buffer: Buffer.from('hello') });
    await expect.poll(() => lab.page.getByRole('alert').innerText()).toMatch(/not taken in.*no whole zip/s);
    for (const one of labs) expect(one.problems()).toEqual([]);
  });
});
