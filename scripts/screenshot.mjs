/**
 * node scripts/screenshot.mjs [URL] OUT.png: a picture of a page in the test browser (software WebGPU).
 * Without a URL, or with one that starts with '#' or '?', the built lab is served for it.
 *
 * --theme light|dark   --width 1366 --height 768   --locale en-US|ko-KR   --full (the whole page)   --reduced-motion
 * --wait SELECTOR (until it is visible)   --click SELECTOR (in order, may be repeated)   --delay MILLISECONDS
 * Console errors are printed; they set the exit code to 1.
 */
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { helpIfAsked } from './lib/help.mjs';
import { launchBrowser } from './lib/browser.mjs';
import { serveDist } from './lib/serve.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    theme: { type: 'string', default: 'light' },
    width: { type: 'string', default: '1366' },
    height: { type: 'string', default: '768' },
    locale: { type: 'string', default: 'en-US' },
    full: { type: 'boolean', default: false },
    'reduced-motion': { type: 'boolean', default: false },
    wait: { type: 'string' },
    click: { type: 'string', multiple: true, default: [] },
    delay: { type: 'string', default: '500' },
  },
});
const out = positionals.at(-1);
const address = positionals.length > 1 ? (positionals[0] ?? '') : '';
if (!out?.endsWith('.png') || positionals.length > 2) {
  console.error('usage: node scripts/screenshot.mjs [URL] OUT.png [options]');
  process.exit(2);
}

const server = /^https?:/.test(address) ? null : await serveDist({ port: 0 });
const browser = await launchBrowser();
let errors = 0;
try {
  const page = await browser.newPage({
    viewport: { width: Number(values.width), height: Number(values.height) },
    colorScheme: values.theme === 'dark' ? 'dark' : 'light',
    locale: values.locale,
    reducedMotion: values['reduced-motion'] ? 'reduce' : 'no-preference',
  });
  const complain = (/** @type {string} */ text) => {
    errors++;
    console.error(text);
  };
  page.on('console', (message) => message.type() === 'error' && complain(message.text()));
  page.on('pageerror', (error) => complain(String(error.stack ?? error)));
  await page.goto(server ? server.url + address : address, { waitUntil: 'load' });
  if (values.wait) await page.locator(values.wait).first().waitFor({ timeout: 60_000 });
  for (const selector of values.click) await page.locator(selector).first().click();
  await page.waitForTimeout(Number(values.delay));
  await page.screenshot({ path: out, fullPage: values.full });
} finally {
  await browser.close();
  await server?.close();
}
process.exit(errors ? 1 : 0);
