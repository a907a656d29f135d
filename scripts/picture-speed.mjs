/**
 * node scripts/picture-speed.mjs [POINTS]: the longest task of the page's own thread with a landscape of so many points along its
 * line (10,000 unless told) in the place Insights, in the test browser: when its file comes (read, checked, drawn), and when it is drawn
 * again in another language. Build first.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchBrowser } from './lib/browser.mjs';
import { helpIfAsked } from './lib/help.mjs';
import { serveDist } from './lib/serve.mjs';
import { longestTask } from './lib/trace.mjs';
import { root } from './software-gpu.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));
const points = Number(process.argv[2] ?? 10_000);

const recorded = JSON.parse(readFileSync(join(root, 'public/recorded/landscape.json'), 'utf8'));
const [model] = recorded.models;
/** @param {number} n */
const withLine = (n) => {
  const line = Array.from({ length: n }, (_, i) => ({
    ...model.line[i % model.line.length],
    t: -0.5 + (2 * i) / (n - 1),
  }));
  return JSON.stringify({ ...recorded, models: [{ ...model, line }] });
};

const server = await serveDist({ port: 0 });
const browser = await launchBrowser();
try {
  /**
   * What the page's thread works at most in one go, in ms of its processor time, so that other processes do not count.
   * @param {import('playwright-core').Page} page @param {() => Promise<unknown>} act
   */
  const longest = async (page, act) => {
    await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] });
    await act();
    await page.waitForTimeout(1500);
    return longestTask(await browser.stopTracing());
  };
  /** @param {number} n */
  const drawn = async (n) => {
    const page = await browser.newPage();
    let let_go = () => {};
    const held = new Promise((resolve) => (let_go = () => resolve(undefined)));
    await page.route('**/recorded/*.json', async (route) => {
      if (!route.request().url().endsWith('landscape.json')) return route.fulfill({ body: '[]' });
      await held;
      return route.fulfill({ body: withLine(n) });
    });
    await page.goto(`${server.url}#/insights`, { waitUntil: 'load' });
    await page.getByRole('heading', { name: 'Insights' }).waitFor();
    await page.waitForTimeout(1500);
    const came = await longest(page, async () => {
      let_go();
      await page.locator('svg polyline').first().waitFor();
    });
    const again = await longest(page, () => page.locator('header select').first().selectOption('ko'));
    await page.close();
    return { came, again };
  };
  for (const n of [20, points])
    for (let i = 0; i < 3; i++) {
      const { came, again } = await drawn(n);
      console.log(
        `${n} points: read and drawn ${came.toFixed(0)} ms, drawn again ${again.toFixed(0)} ms of processor time`,
      );
    }
} finally {
  await browser.close();
  server.close();
}
