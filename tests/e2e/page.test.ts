import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from './browser.ts';

describe('the built page', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(() => lab?.close());

  test('opens, and the browser has a WebGPU adapter', async () => {
    await expect.poll(() => lab.page.locator('#app').innerText()).toMatch(/\S/);
    const description = await lab.page.evaluate(async () => {
      const adapter = await navigator.gpu.requestAdapter();
      return adapter && `${adapter.info.vendor} ${adapter.info.description}`;
    });
    expect(description, 'the test browser offers no WebGPU adapter').toBeTruthy();
  });

  test('has no axe violations', async () => {
    expect(await lab.accessibility()).toEqual([]);
  });

  test.each(['defend', 'attack', 'compare', 'measure', 'gpu', 'showme'])(
    'has none in the place %s',
    async (place) => {
      await lab.page.goto(`${lab.url}#/${place}`);
      await expect.poll(() => lab.page.getByRole('main').getByRole('heading', { level: 2 }).count()).toBe(1);
      expect(await lab.accessibility()).toEqual([]);
    },
  );

  test('opens help with the keyboard, and Escape closes it', async () => {
    const help = lab.page.getByRole('button', { name: 'Help', exact: true });
    await help.focus();
    await lab.page.keyboard.press('Enter');
    const dialog = lab.page.getByRole('dialog');
    await expect.poll(() => dialog.isVisible()).toBe(true);
    expect(await lab.accessibility()).toEqual([]);
    await lab.page.keyboard.press('Escape');
    await expect.poll(() => dialog.isVisible()).toBe(false);
    expect(await help.evaluate((button) => document.activeElement === button)).toBe(true);
  });

  test('goes through the family tree with the arrow keys', async () => {
    await lab.page.goto(`${lab.url}#/model`);
    const main = lab.page.getByRole('main');
    const rows = lab.page.getByRole('complementary', { name: 'Family tree' }).getByRole('button');
    for (const name of ['tiny-chat', 'tiny-base']) {
      await main.getByRole('button', { name: `Load ${name}`, exact: true }).click();
      await expect.poll(() => rows.filter({ hasText: name }).count(), { timeout: 60_000 }).toBe(1);
    }
    const at = (): Promise<string> =>
      lab.page.evaluate(() => (document.activeElement as HTMLElement).innerText.split('\n')[0] ?? '');
    await rows.first().focus();
    const first = await at();
    await lab.page.keyboard.press('ArrowDown');
    expect(await at()).not.toBe(first);
    await lab.page.keyboard.press('Enter');
    await expect.poll(() => main.locator('#card-title').innerText()).toBe(await at());
    await lab.page.keyboard.press('Home');
    expect(await at()).toBe(first);
    expect(await lab.accessibility()).toEqual([]);
  });

  test('a place begins at its top, also after a long one', async () => {
    await lab.page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await lab.page.getByRole('link', { name: 'Compare', exact: true }).press('Enter');
    await expect.poll(() => lab.page.evaluate(() => [location.hash, scrollY])).toEqual(['#/compare', 0]);
  });

  test('saves a report that opens from a disk without a script, and opens its figures again', async () => {
    await lab.page.goto(`${lab.url}#/measure`);
    const main = lab.page.getByRole('main');
    const saved = async (name: RegExp): Promise<string> => {
      const download = lab.page.waitForEvent('download');
      await main.getByRole('button', { name }).click();
      return (await download).path();
    };
    // nothing is measured yet, and the report says so
    const html = await saved(/HTML/);
    const bare = await lab.page.context().browser()!.newContext({ javaScriptEnabled: false, offline: true });
    const disk = await bare.newPage();
    await disk.setContent(readFileSync(html, 'utf8'));
    expect(await disk.getByRole('heading', { level: 1 }).innerText()).toBe('Checkpoints, measured');
    expect(await disk.getByText(/^Partial:/).count()).toBe(1);
    expect(await disk.getByRole('cell', { name: 'not measured' }).count()).toBeGreaterThan(3);
    await bare.close();

    const json = await saved(/JSON\)/);
    await main.locator('input[type=file]').setInputFiles({
      name: 'r.json',
      mimeType: 'application/json',
      buffer: readFileSync(json),
    });
    await main.getByText('Opened from r.json').waitFor();
    const heading = main.getByRole('button', { name: 'strict harm', exact: true }).first();
    await heading.press('Enter');
    await main.getByText('Harmful rate, strict.').waitFor();
    for (const [part, says] of [
      ['Protocol', 'SHA-256 of its frozen part'],
      ['Configuration', 'Lab version'],
      ['Failed and left out', 'not measured'],
    ] as const) {
      const details = main.locator('details', { has: lab.page.getByText(part, { exact: true }) });
      await details.locator('summary').press('Enter');
      await details.getByText(says).first().waitFor();
    }
    expect(await lab.accessibility()).toEqual([]);
    await main.getByRole('button', { name: 'Close this report' }).click();

    await main.locator('input[type=file]').setInputFiles({
      name: 'x.json',
      mimeType: 'application/json',
      buffer: Buffer.from('{"a":1}'),
    });
    await main.getByText('This report cannot be opened: its field "format" is missing.').waitFor();
    await main.getByText('Choose a JSON file').waitFor();
  });

  test('logs no error and asks nothing of another host', () => {
    expect(lab.problems()).toEqual([]);
    expect(lab.requests.length).toBeGreaterThan(1);
  });

  test('carries its content security policy, and the browser enforces it', async () => {
    const policy = lab.page.locator('meta[http-equiv="Content-Security-Policy"]');
    expect(await policy.getAttribute('content')).toContain("default-src 'none'");
    expect(await lab.page.locator('script:not([src])').count()).toBe(0);
    const blocked = await lab.page.evaluate(async () => {
      const seen = new Set<string>(); // the meta element and the header each report
      document.addEventListener('securitypolicyviolation', (event) => seen.add(event.effectiveDirective));
      const script = document.createElement('script');
      script.textContent = 'globalThis.injected = true';
      document.head.append(script);
      await fetch('https://example.invalid/').catch(() => {});
      await new Promise((done) => setTimeout(done, 50));
      return { seen: [...seen], injected: 'injected' in globalThis };
    });
    expect(blocked).toEqual({ seen: ['script-src-elem', 'connect-src'], injected: false });
  });
});

test('works in the dark theme and under a sub-path', async () => {
  const lab = await Lab.start({ base: '/some/where/', theme: 'dark' });
  try {
    expect(new URL(lab.url).pathname).toBe('/some/where/');
    await expect.poll(() => lab.page.locator('#app').innerText()).toMatch(/\S/);
    expect(await lab.accessibility()).toEqual([]);
    expect(lab.problems()).toEqual([]);
  } finally {
    await lab.close();
  }
});

test('the harness sees what it is there to see', async () => {
  const broken = `const device = await (await navigator.gpu.requestAdapter()).requestDevice();
    device.createBuffer({ size: 16, usage: 0 });
    await device.queue.onSubmittedWorkDone();
    console.error('a worker complains');
    postMessage('done');`;
  const lab = await Lab.start({ workers: { 'broken-worker.js': broken } });
  try {
    await lab.page.evaluate(
      (url) =>
        new Promise((done, fail) => {
          const worker = new Worker(url, { type: 'module' });
          worker.onmessage = done;
          worker.onerror = fail;
        }).then(() => undefined),
      `${lab.url}broken-worker.js`,
    );
    await lab.page.evaluate(() => {
      setTimeout(() => {
        throw new Error('uncaught on purpose');
      });
      return fetch('https://example.invalid/').catch(() => {});
    });
    await expect.poll(() => lab.gpuErrors.length).toBeGreaterThan(0);
    await expect.poll(() => lab.consoleErrors.join('\n')).toContain('uncaught on purpose');
    expect(lab.consoleErrors.join('\n')).toContain('a worker complains');
    expect(lab.problems().length).toBeGreaterThanOrEqual(3);
  } finally {
    await lab.close();
  }
});
