/**
 * node scripts/scrub-speed.mjs: how long the built page takes from a press of an arrow key in Watch to the answer and the verdicts of
 * that step, in the test browser: cold (asked for the first time, a model has to answer) and warm (remembered), and in the recorded
 * attack. Attacks the shipped chat model for that first. Build first.
 */
import { fileURLToPath } from 'node:url';
import { launchBrowser } from './lib/browser.mjs';
import { helpIfAsked } from './lib/help.mjs';
import { serveDist } from './lib/serve.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));

const server = await serveDist({ port: 0 });
const browser = await launchBrowser();
try {
  const page = await browser.newPage({ viewport: { width: 1366, height: 768 } });
  page.setDefaultTimeout(120_000);
  /**
   * Presses a key on the slider and waits, frame by frame, for what belongs to the new step.
   * @param {string} key
   * @returns {Promise<{ answer: number; first: number; all: number }>} milliseconds until the answer stands there, the first verdicts, and all
   */
  const move = async (key) => {
    await page.locator('#scrub-step').focus();
    const before = await page.locator('#scrub-step').inputValue();
    await page.evaluate((was) => {
      const slider = /** @type {HTMLInputElement} */ (document.querySelector('#scrub-step'));
      let begun = 0;
      slider.addEventListener('keydown', () => (begun = performance.now()), { once: true });
      const moved = new Promise((done) => {
        let answer = 0;
        let first = 0;
        const look = () => {
          const now = performance.now() - begun;
          if (slider.value !== was && !answer && document.querySelector('.said')) answer = now;
          const verdicts = document.querySelector('[aria-labelledby=scrub-verdicts]');
          if (answer && verdicts) first ||= now;
          if (first && verdicts?.getAttribute('aria-busy') === 'false') done({ answer, first, all: now });
          else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
      });
      Object.assign(globalThis, { moved });
    }, before);
    await page.keyboard.press(key);
    return page.evaluate(() => /** @type {any} */ (globalThis).moved);
  };
  /** @param {string} what @param {number[]} times */
  const tell = (what, times) => {
    const sorted = [...times].sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
    console.log(
      `${what}: median ${median.toFixed(0)} ms, worst ${(sorted.at(-1) ?? 0).toFixed(0)} ms of ${sorted.length}`,
    );
  };

  await page.goto(`${server.url}#/scrub?recorded=sdd-mft`, { waitUntil: 'load' });
  await page.locator('.said').waitFor();
  const recorded = [];
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight', 'End', 'ArrowLeft', 'Home'])
    recorded.push(await move(key));
  tell(
    'recorded',
    recorded.map((t) => t.all),
  );

  await page.goto(`${server.url}#/attack`);
  await page.getByRole('button', { name: 'Load tiny-chat' }).first().click();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('button', { name: 'Watch it step by step' }).click();
  await page.locator('[aria-labelledby=scrub-verdicts][aria-busy=false]').waitFor();
  const cold = [];
  for (let i = 0; i < 6; i++) cold.push(await move('ArrowRight'));
  tell(
    'cold, until the answer',
    cold.map((t) => t.answer),
  );
  tell(
    'cold, until the first verdicts',
    cold.map((t) => t.first),
  );
  tell(
    'cold, until answer and all verdicts',
    cold.map((t) => t.all),
  );
  const warm = [];
  for (const key of ['ArrowLeft', 'ArrowLeft', 'ArrowLeft', 'ArrowRight', 'Home']) warm.push(await move(key));
  tell(
    'warm, until answer and verdicts',
    warm.map((t) => t.all),
  );
} finally {
  await browser.close();
  await server.close();
}
