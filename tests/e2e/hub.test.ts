/**
 * A model by its name at Hugging Face, in the built page under its own policy. The browser is told to find the hub's hosts at a
 * server of this machine, so that redirects, ranges, CORS and the policy are the real thing, and only the far end is not.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HUB_HOSTS, isAllowed } from '../../src/core/hub.ts';
import { certificate } from '../support/certificate.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { COMMIT, HubServer } from '../support/hub-server.ts';
import { Lab } from './browser.ts';

const WEIGHTS = 'model.safetensors';
const STORE = 'https://us.aws.cdn.hf.co';

describe('a model by its name', () => {
  let hub: HubServer;
  let lab: Lab;
  beforeAll(async () => {
    const large = checkpoint({ large: true });
    const config = JSON.stringify({ ...JSON.parse(large['config.json'] as string), attention_bias: true });
    hub = await HubServer.start({
      repos: {
        'someone/large-model': { files: large },
        'someone/other-architecture': { files: { ...large, 'config.json': config } },
        'someone/damaged': { files: checkpoint({ seed: 2 }) },
        'someone/gated': { files: large, gated: true },
      },
      tls: certificate(),
      store: STORE,
    });
    const here = `127.0.0.1:${hub.port()}`;
    lab = await Lab.start({
      args: [
        `--host-resolver-rules=MAP huggingface.co:443 ${here}, MAP *.hf.co:443 ${here}`,
        '--ignore-certificate-errors',
        // scripts that the tests hand to the browser count as coming from the network, which may not ask this machine
        '--disable-features=LocalNetworkAccessChecks',
      ],
    });
  });
  afterAll(async () => {
    await lab?.close();
    await hub?.close();
  });

  const main = () => lab.page.getByRole('main');
  const look = async (name: string): Promise<void> => {
    await main().getByLabel('Owner and name').fill(name);
    await main().getByRole('button', { name: 'Look it up' }).click();
  };
  const button = (name: string | RegExp) => main().getByRole('button', { name });
  const seen = (text: string | RegExp, timeout = 60_000) =>
    expect.poll(() => main().getByText(text).count(), { timeout }).toBeGreaterThan(0);
  const alert = () => main().getByRole('alert').first().innerText();

  test('that the lab cannot compute is refused before its weights are asked for', async () => {
    await expect.poll(() => main().getByLabel('Owner and name').isEnabled(), { timeout: 60_000 }).toBe(true);
    await look('someone/other-architecture');
    await expect.poll(() => main().getByRole('alert').count(), { timeout: 60_000 }).toBe(1);
    expect(await alert()).toContain('attention_bias');
    expect(hub.askedFor(WEIGHTS)).toEqual([]);
  });

  test('that is gated says how to get it', async () => {
    await look('someone/gated');
    await expect.poll(alert, { timeout: 60_000 }).toContain('agree to its licence');
  });

  test('is described before it is downloaded', async () => {
    await look('someone/large-model');
    await seen(COMMIT);
    await seen('in 4 files');
    expect(hub.askedFor(WEIGHTS)).toEqual([]);
    expect(await lab.accessibility()).toEqual([]);
  });

  test('belongs to one tab, goes on after a reload in the middle, and is opened', async () => {
    // the second piece never comes: the page is reloaded while it waits for it
    hub.fault = ({ path, range }) =>
      path.startsWith('/store/') && range && range[0] > 0 ? { stallAfter: 1000 } : null;
    await button(/^Download \d/).click();
    await expect.poll(() => hub.askedFor(WEIGHTS).length, { timeout: 60_000 }).toBe(2);
    await button('Pause').waitFor();
    expect(await lab.accessibility()).toEqual([]);
    const second = await lab.open('#/model');
    await second.getByRole('button', { name: 'Go on: someone/large-model' }).click();
    await expect
      .poll(() => second.getByRole('alert').first().innerText(), { timeout: 60_000 })
      .toContain('This download is in use');
    await second.close();
    await lab.page.reload();
    await seen('Downloads in this browser');
    expect(await lab.accessibility()).toEqual([]);
    hub.fault = () => null;
    hub.asked.length = 0;
    await button('Go on: someone/large-model').click();
    await expect
      .poll(() => main().locator('#card-title').innerText(), { timeout: 120_000 })
      .toBe('large-model');
    expect(hub.askedFor(WEIGHTS)[0]!.range![0]).toBeGreaterThanOrEqual(8 * 2 ** 20);
    expect(hub.asked.some(({ path }) => path.startsWith('/api/'))).toBe(false);
    await seen(`From Hugging Face: someone/large-model, commit ${COMMIT}.`);
    expect(await main().getByText('Downloads in this browser').count()).toBe(0);
    expect(await lab.accessibility()).toEqual([]);
  });

  const ask = async (): Promise<string> => {
    await button('Ask it').click();
    await main().getByRole('textbox', { name: 'The question, as it will be sent' }).fill('What is this?');
    await main().getByRole('button', { name: 'Ask', exact: true }).click();
    await expect
      .poll(() => main().getByText('Not judged: no judge for this model.', { exact: true }).count(), {
        timeout: 120_000,
      })
      .toBe(1);
    return (await main().locator('.words').textContent()) ?? '';
  };

  test('answers, and answers the same after a reload without a connection', async () => {
    const before = await ask();
    expect(before.length).toBeGreaterThan(0);
    await lab.page.goto(`${lab.url}#/model`);
    await lab.page.reload();
    hub.asked.length = 0;
    await expect.poll(() => button('Ask it').count(), { timeout: 60_000 }).toBe(1);
    expect(await ask()).toBe(before);
    expect(hub.asked).toEqual([]);
  });

  test('whose bytes are other than published is refused, and can be deleted', async () => {
    await lab.page.goto(`${lab.url}#/model`);
    hub.fault = ({ path }) => (path.startsWith('/store/') ? { wrongByte: true } : null);
    await look('someone/damaged');
    await button(/^Download \d/).click();
    await expect.poll(alert, { timeout: 60_000 }).toContain('other bytes than were published');
    expect(hub.askedFor(WEIGHTS)).toHaveLength(2);
    expect(await main().locator('#card-title').innerText()).toBe('large-model');
    await button('Delete: someone/damaged').click();
    await expect.poll(() => main().getByText('Downloads in this browser').count()).toBe(0);
  });

  test('goes with its files when it is deleted', async () => {
    const kept = () =>
      lab.page.evaluate(async () => {
        const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('downloads');
        const names: string[] = [];
        for await (const name of folder.keys()) names.push(name);
        return names;
      });
    expect(await kept()).toEqual([`someone--large-model--${COMMIT}`]);
    await main().getByText('Where it comes from, name, files').click();
    await button('Delete …').click();
    await lab.page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
    await expect.poll(kept, { timeout: 60_000 }).toEqual([]);
  });

  test('without a console error, and without a request to anybody else', () => {
    expect(lab.consoleErrors).toEqual([]);
    expect(lab.gpuErrors).toEqual([]);
    const own = new URL(lab.url).origin;
    const foreign = lab.requests.filter((url) => !/^(data|blob):/.test(url) && new URL(url).origin !== own);
    expect(foreign.some((url) => url.startsWith(STORE))).toBe(true);
    expect(foreign.filter((url) => !isAllowed(url, HUB_HOSTS))).toEqual([]);
    expect(hub.asked.every(({ method }) => method === 'GET')).toBe(true);
  });
});
