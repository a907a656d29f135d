/**
 * node scripts/pairs-speed.mjs [INSTRUCTIONS] [ANSWERS]: how long the built page takes to build SDD pairs of generated sets (8,000
 * instructions and 50,000 answers unless told) by TF-IDF in its worker, in the test browser, and the longest time for which the page's
 * own thread did not answer meanwhile. Build first.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchBrowser } from './lib/browser.mjs';
import { runNode } from './lib/child.mjs';
import { helpIfAsked } from './lib/help.mjs';
import { serveDist } from './lib/serve.mjs';
import { root } from './software-gpu.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));
const instructions = Number(process.argv[2] ?? 8000);
const answers = Number(process.argv[3] ?? 50_000);

const folder = mkdtempSync(join(tmpdir(), 'sdd-lab-pairs-'));
const server = await serveDist({ port: 0 });
const browser = await launchBrowser();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(600_000);
  await page.goto(`${server.url}#/data`, { waitUntil: 'load' });
  /** @param {string} layout @param {string} ending @param {number} rows */
  const bring = async (layout, ending, rows) => {
    const file = join(folder, `${layout}.${ending}`);
    const make = ['src/cli/data.ts', 'make', file, '--layout', layout, '--rows', String(rows)];
    await runNode([join(root, 'scripts/run.mjs'), ...make], process.env);
    await page.locator('button:enabled', { hasText: 'Choose a file' }).waitFor();
    await page.getByLabel('Choose a file', { exact: true }).last().setInputFiles(file);
    await page.getByRole('button', { name: 'Import it', exact: true }).click();
    await page.getByText(new RegExp(`^Imported: ${layout}`)).waitFor();
  };
  // held-out prompts, and rows that are marked harmless, are taken from the set too
  await bring('beavertails', 'jsonl', 4 * instructions);
  await bring('alpaca', 'json', answers);
  await page.goto(`${server.url}#/pairs`);
  await page.getByLabel('Harmful instructions: beavertails.jsonl').check();
  await page.getByLabel('Good answers: alpaca.json').check();
  await page.getByText('5 categories').waitFor();
  await page.getByLabel('Instructions', { exact: true }).fill(String(instructions));
  await page.evaluate(() => {
    let [last, longest] = [performance.now(), 0];
    const tick = () => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      setTimeout(tick, 4);
    };
    tick();
    Object.assign(globalThis, { longestGap: () => longest });
  });
  const begun = performance.now();
  await page.getByRole('button', { name: 'Build the pairs', exact: true }).click();
  const words = page.getByText(/^[\d,]+ harmful instructions of/);
  await words.waitFor();
  const seconds = (performance.now() - begun) / 1000;
  const gap = await page.evaluate('longestGap()');
  console.log(await words.textContent());
  console.log(
    `${seconds.toFixed(1)} s for ${answers} answers, rows read from the store included; the page's thread stood still for ${Number(gap).toFixed(0)} ms at most`,
  );
} finally {
  await browser.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}
