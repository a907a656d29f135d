/**
 * node scripts/picture-speed.mjs [POINTS]: how long the page's own thread is busy with a landscape of so many points along its
 * line (10,000 unless told) in the place Insights, in the test browser: when its file comes (read, checked, drawn), and when it is drawn
 * again in another language. Build first.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchBrowser } from './lib/browser.mjs';
import { helpIfAsked } from './lib/help.mjs';
import { serveDist } from './lib/serve.mjs';
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
  /** The longest time for which the page's thread did not answer, ms. @param {number} n */
  const longest = async (n) => {
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
    await page.evaluate(() => {
      let last = performance.now();
      const tick = () => {
        const now = performance.now();
        Object.assign(globalThis, {
          longest: Math.max(/** @type {any} */ (globalThis).longest ?? 0, now - last),
        });
        last = now;
        setTimeout(tick, 0);
      };
      tick();
    });
    let_go();
    const longestSoFar = async () => {
      await page.waitForTimeout(500);
      return page.evaluate(() => {
        const g = /** @type {any} */ (globalThis);
        const found = g.longest;
        g.longest = 0;
        return found;
      });
    };
    await page.locator('svg polyline').first().waitFor();
    const came = await longestSoFar();
    await page.locator('header select').first().selectOption('ko');
    const again = await longestSoFar();
    await page.close();
    return { came, again };
  };
  for (const n of [20, points])
    for (let i = 0; i < 3; i++) {
      const { came, again } = await longest(n);
      console.log(`${n} points: read and drawn ${came.toFixed(0)} ms, drawn again ${again.toFixed(0)} ms`);
    }
} finally {
  await browser.close();
  server.close();
}
