import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { strFromU8, unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSafetensors } from '../../src/model/safetensors.ts';
import { Lab } from './browser.ts';

const PACKAGE = resolve(import.meta.dirname, '../../node_modules/@mlc-ai/web-llm/lib/index.js');
const SHIPPED = resolve(import.meta.dirname, '../../public/models/tiny-chat');

describe('a checkpoint that travels to WebLLM and back, in the built page', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
    // the real package, as it is on npm, from an address of the page's own
    await lab.context.route('**/web-llm-package.mjs', (route) =>
      route.fulfill({ contentType: 'text/javascript', body: readFileSync(PACKAGE, 'utf8') }),
    );
  });
  afterAll(() => lab?.close());

  const main = () => lab.page.getByRole('main');
  const button = (name: string) => main().getByRole('button', { name, exact: true });
  const status = (text: RegExp) => main().getByRole('status').filter({ hasText: text });

  test('is saved as files', async () => {
    const load = button('Load tiny-chat');
    await expect.poll(() => load.isEnabled(), { timeout: 60_000 }).toBe(true);
    await load.click();
    await expect.poll(() => main().locator('#card-title').innerText(), { timeout: 60_000 }).toBe('tiny-chat');
    await main().getByText('Where it comes from, name, files').click();
    await main()
      .getByText(/No stock library of WebLLM runs this shape/)
      .waitFor({ timeout: 60_000 });
    expect(await lab.accessibility()).toEqual([]);
    await main().getByText('MLC bundle (WebLLM)').scrollIntoViewIfNeeded();
    await lab.screenshot('bundle-form');
    const coming = lab.page.waitForEvent('download');
    await button('Save as files').click();
    const zip = unzipSync(readFileSync(await (await coming).path()));
    const list = JSON.parse(strFromU8(zip['tiny-chat-mlc/tensor-cache.json']!)) as {
      records: { dataPath: string; nbytes: number }[];
    };
    expect(Object.keys(zip)).toContain('tiny-chat-mlc/mlc-chat-config.json');
    for (const { dataPath, nbytes } of list.records)
      expect(zip[`tiny-chat-mlc/${dataPath}`]!.length).toBe(nbytes);
    await expect.poll(() => status(/The bundle was saved/).count()).toBe(1);
  });

  let url = '';
  test('goes into WebLLM’s cache, where the real package finds it by its own addresses', async () => {
    await button('Put into WebLLM’s cache').click();
    await expect.poll(() => status(/read back without a difference/).count(), { timeout: 60_000 }).toBe(1);
    const found = await lab.page.evaluate(async () => {
      const keys = await (await caches.open('webllm/model')).keys();
      const config = await (await caches.open('webllm/config')).keys();
      return { names: await caches.keys(), model: keys.map((k) => k.url), config: config.map((k) => k.url) };
    });
    url = found.model.find((one) => one.endsWith('tensor-cache.json'))!.replace('tensor-cache.json', '');
    expect(url).toMatch(/^https:\/\/models\.lab\.invalid\/tiny-chat-[\da-f]{16}\/resolve\/main\/$/);
    expect(found.config).toEqual([`${url}mlc-chat-config.json`]);
    // a text, because the test runner would rewrite the import
    const here = await lab.page.evaluate(`(async (model) => {
      const webllm = await import(new URL('web-llm-package.mjs', document.baseURI).href);
      const has = (one) =>
        webllm.hasModelInCache('x', { model_list: [{ model_id: 'x', model: one, model_lib: 'x.wasm' }] });
      // as its users may write it, too, without the branch
      return Promise.all([model, model.replace('/resolve/main/', ''), model.replace('tiny-chat', 'other')].map(has));
    })(${JSON.stringify(url)})`);
    expect(here).toEqual([true, true, false]);
  });

  test('holds the shipped weights, number for number', async () => {
    const shard = await lab.page.evaluate(async (base) => {
      const cache = await caches.open('webllm/model');
      const list = (await (await cache.match(`${base}tensor-cache.json`))!.json()) as {
        records: { dataPath: string; records: { name: string; byteOffset: number; nbytes: number }[] }[];
      };
      const bytes = new Uint8Array(
        await (await cache.match(base + list.records[0]!.dataPath))!.arrayBuffer(),
      );
      const { byteOffset, nbytes } = list.records[0]!.records.find((r) => r.name === 'model.norm.weight')!;
      return { count: list.records.length, norm: [...bytes.slice(byteOffset, byteOffset + nbytes)] };
    }, url);
    expect(shard.count).toBe(1);
    const { tensors } = readSafetensors(readFileSync(join(SHIPPED, 'model.safetensors')));
    const { buffer, byteOffset, byteLength } = tensors.get('model.norm.weight')!.data;
    expect(shard.norm).toEqual([...new Uint8Array(buffer, byteOffset, byteLength)]);
  });

  test('opens as a base again', async () => {
    await lab.page.reload();
    const open = main().getByRole('button', { name: 'Open as a base: tiny-chat' });
    await expect.poll(() => open.count(), { timeout: 60_000 }).toBe(1);
    await expect.poll(() => open.isEnabled(), { timeout: 60_000 }).toBe(true);
    expect(await lab.accessibility()).toEqual([]);
    await lab.screenshot('bundles-listed');
    await open.click();
    await expect
      .poll(() => main().locator('#card-title').innerText(), { timeout: 120_000 })
      .toMatch(/^tiny-chat-[\da-f]{16}$/);
  });

  test('quantised models that WebLLM fetched are listed, and not opened', async () => {
    await lab.page.evaluate(async () => {
      const base = 'https://huggingface.co/mlc-ai/Some-1B-q4f16_1-MLC/resolve/main/';
      const record = { name: 'a', shape: [1], dtype: 'uint32', format: 'raw', nbytes: 4, byteOffset: 0 };
      const list = {
        records: [{ dataPath: 'params_shard_0.bin', format: 'raw-shard', nbytes: 4, records: [record] }],
      };
      const cache = await caches.open('webllm/model');
      await cache.put(`${base}tensor-cache.json`, new Response(JSON.stringify(list)));
      await cache.put(`${base}params_shard_0.bin`, new Response(new Uint8Array(4)));
    });
    await lab.page.reload();
    const row = main().getByRole('listitem').filter({ hasText: 'mlc-ai/Some-1B-q4f16_1-MLC' });
    await expect.poll(() => row.count(), { timeout: 60_000 }).toBe(1);
    expect(await row.innerText()).toContain('Quantised: no base for training');
    expect(await row.getByRole('button').count()).toBe(0);
  });

  test('is deleted with everything that the lab put there', async () => {
    await main().getByRole('button', { name: 'Delete: tiny-chat' }).click();
    await expect.poll(() => main().getByRole('button', { name: 'Delete: tiny-chat' }).count()).toBe(0);
    const left = await lab.page.evaluate(async () => {
      const all = await Promise.all(
        (await caches.keys()).map(async (name) => (await caches.open(name)).keys()),
      );
      return all.flat().map((k) => k.url);
    });
    expect(left.filter((one) => one.includes('lab.invalid'))).toEqual([]);
    expect(left).toHaveLength(2);
  });

  test('is refused in words where the browser has no room, and nothing is left', async () => {
    const session = await lab.context.newCDPSession(lab.page);
    await session.send('Storage.overrideQuotaForOrigin', {
      origin: new URL(lab.url).origin,
      quotaSize: 1_000_000,
    });
    await main().getByText('Where it comes from, name, files').click();
    await button('Put into WebLLM’s cache').click();
    await expect
      .poll(
        () =>
          main()
            .getByText(/The bundle needs 2 MB, and the browser gives this page/)
            .count(),
        { timeout: 60_000 },
      )
      .toBe(1);
    const left = await lab.page.evaluate(
      async () => (await (await caches.open('webllm/model')).keys()).length,
    );
    expect(left).toBe(2);
  });

  test('without a word on the console, and without the network', () => {
    expect(lab.problems()).toEqual([]);
  });
});
