/**
 * The built lab in a headless browser, watched: what it logs, asks of the network and what its GPU complains about is
 * collected, so that every test can end with `expect(lab.problems()).toEqual([])`.
 */
import axe from 'axe-core';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Browser, BrowserContext, ConsoleMessage, Page } from 'playwright-core';
import { build, isStale } from '../../scripts/lib/build.mjs';
import { launchBrowser } from '../../scripts/lib/browser.mjs';
import { serveDist } from '../../scripts/lib/serve.mjs';
import type { FromWorker, Method, ParamsOf, ResultOf, ToWorker } from '../../src/worker/protocol.ts';

const root = resolve(import.meta.dirname, '../..');

/** The exit code of this process's one build. */
let built: Promise<number> | undefined;

/** Chromium tells a page's uncaptured GPU errors to its console, but a worker's to nobody: both are made to say so. */
function reportGpuErrors(): void {
  if (typeof GPUAdapter === 'undefined') return;
  const request = GPUAdapter.prototype.requestDevice;
  if (request.name === 'reporting') return;
  GPUAdapter.prototype.requestDevice = async function reporting(...args) {
    const device = await request.apply(this, args);
    device.addEventListener('uncapturederror', (event) => {
      console.error(`uncaptured GPU error: ${event.error.message}`);
    });
    void device.lost.then((info) => {
      if (info.reason !== 'destroyed') console.error(`uncaptured GPU error: device lost: ${info.message}`);
    });
    return device;
  };
}

export interface LabOptions {
  /** Serve under a sub-path such as '/lab/'. */
  base?: string;
  /** Appended to the address: '#/compare'. */
  path?: string;
  theme?: 'light' | 'dark';
  locale?: string;
  viewport?: { width: number; height: number };
  reducedMotion?: boolean;
  /** Switches for the browser, for instance '--disable-features=WebGPU'. */
  args?: string[];
  /** Runs in every page before its own scripts: fakes of missing features and full disks. */
  initScript?: () => void;
  /** Worker scripts that the build does not have (or other text for those it has), by file name. */
  workers?: Record<string, string>;
  /** Leave the scripts as they come, for measurements; then a worker's uncaptured GPU errors are not seen. */
  untouched?: boolean;
}

export interface Violation {
  rule: string;
  impact: string;
  help: string;
  where: string[];
}

/** A lab in a browser of its own; pages of one lab share its IndexedDB. Close it when done. */
export class Lab {
  /** The address of the page, with '/' at its end. */
  readonly url: string;
  readonly context: BrowserContext;
  /** The first tab; `open()` makes more. */
  page!: Page;
  /** Addresses of all requests of all tabs and workers, in order. */
  readonly requests: string[] = [];
  /** console.error and uncaught exceptions. */
  readonly consoleErrors: string[] = [];
  /** Uncaptured GPU errors and lost devices of all tabs and workers. */
  readonly gpuErrors: string[] = [];
  readonly #browser: Browser;
  readonly #server: { close(): Promise<void> };

  private constructor(
    url: string,
    browser: Browser,
    context: BrowserContext,
    server: { close(): Promise<void> },
  ) {
    this.url = url;
    this.#browser = browser;
    this.context = context;
    this.#server = server;
  }

  /** Builds when the sources changed, serves dist/ on a free port, starts the browser and opens the page. */
  static async start(o: LabOptions = {}): Promise<Lab> {
    built ??= isStale() ? build() : Promise.resolve(0);
    if ((await built) !== 0) throw new Error('The build failed, so there is no page to test.');
    const server = await serveDist({ port: 0, ...(o.base ? { base: o.base } : {}) });
    const browser = await launchBrowser({ args: o.args ?? [] });
    const context = await browser.newContext({
      viewport: o.viewport ?? { width: 1366, height: 768 },
      colorScheme: o.theme ?? 'light',
      locale: o.locale ?? 'en-US',
      reducedMotion: o.reducedMotion ? 'reduce' : 'no-preference',
    });
    // Slowness is no fault: on a busy two-core machine everything takes ten times as long.
    context.setDefaultTimeout(120_000);
    const lab = new Lab(server.url, browser, context, server);
    if (!o.untouched) {
      await context.addInitScript(reportGpuErrors);
      // A request does not say that it is for a worker, so every script gets it; the second time it does nothing.
      await context.route('**/*.js', async (route) => {
        const name = new URL(route.request().url()).pathname.split('/').at(-1) ?? '';
        const text = o.workers?.[name] ?? (await (await route.fetch()).text());
        await route.fulfill({ contentType: 'text/javascript', body: `(${reportGpuErrors})();${text}` });
      });
    }
    if (o.initScript) await context.addInitScript(o.initScript);
    context.on('request', (request) => lab.requests.push(request.url()));
    context.on('requestfailed', (request) => {
      const reason = request.failure()?.errorText ?? 'failed';
      // A page that is left while it loads cancels its requests; that is no fault.
      if (reason !== 'net::ERR_ABORTED') lab.consoleErrors.push(`${request.url()}: ${reason}`);
    });
    lab.page = await lab.open(o.path);
    return lab;
  }

  /** Another tab on the same stored data. */
  async open(path = ''): Promise<Page> {
    const page = await this.context.newPage();
    page.on('console', (message) => this.#heard(message));
    page.on('pageerror', (error) => this.consoleErrors.push(String(error.stack ?? error)));
    page.on('crash', () => this.consoleErrors.push('the tab crashed'));
    await page.goto(this.url + path, { waitUntil: 'load' });
    return page;
  }

  /** Everything that should not have happened so far; empty on a good run. */
  problems(): string[] {
    const own = new URL(this.url).origin;
    const foreign = this.requests.filter((url) => !/^(data|blob):/.test(url) && new URL(url).origin !== own);
    return [
      ...this.consoleErrors.map((text) => `console: ${text}`),
      ...this.gpuErrors.map((text) => `gpu: ${text}`),
      ...foreign.map((url) => `request to elsewhere: ${url}`),
    ];
  }

  /** axe-core on the page as it stands: WCAG 2.x A and AA, and axe's best practices. */
  async accessibility(page = this.page): Promise<Violation[]> {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() =>
      (globalThis as unknown as { axe: typeof axe }).axe.run(document, { resultTypes: ['violations'] }),
    );
    return violations.map((v) => ({
      rule: v.id,
      impact: v.impact ?? 'unknown',
      help: v.help,
      where: v.nodes.map((node) => node.target.join(' ')),
    }));
  }

  /** A PNG under test-results/, for a person to look at. */
  async screenshot(name: string, page = this.page): Promise<void> {
    await page.screenshot({ path: join(root, 'test-results', `${name}.png`) });
  }

  /**
   * One request to an engine worker of its own, started inside the page from the built file, past the user interface:
   * golden cases and the self-check in the very build that is served. Rejects with the worker's own words.
   */
  async engine<M extends Method>(method: M, params: ParamsOf<M>, page = this.page): Promise<ResultOf<M>> {
    const script = readdirSync(join(root, 'dist', 'assets')).filter((name) =>
      /^engine-worker-.*\.js$/.test(name),
    );
    if (script.length !== 1)
      throw new Error(`dist/assets should hold one engine worker, not ${script.length}`);
    const answer = await page.evaluate(
      async ({ url, method, params }) => {
        // Bytes travel to the page as base64 text.
        const revive = (value: unknown): unknown => {
          if (Array.isArray(value)) return value.map(revive);
          if (typeof value !== 'object' || value === null) return value;
          if ('$bytes' in value)
            return Uint8Array.from(atob(String(value.$bytes)), (c) => c.charCodeAt(0)).buffer;
          return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, revive(one)]));
        };
        const worker = new Worker(url, { type: 'module' });
        const ask = (id: number, name: string, body: unknown) =>
          new Promise((done, fail) => {
            worker.addEventListener('error', (event) => fail(new Error(`worker: ${event.message}`)), {
              once: true,
            });
            worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
              if (data.type === 'notice' || data.id !== id) return;
              if (data.type === 'result') done(data.result);
              if (data.type === 'error') fail(new Error(Object.values(data.error).join(' ')));
            });
            worker.postMessage({ type: 'request', id, method: name, params: body } as ToWorker);
          });
        try {
          const opened = await ask(1, 'init', {});
          return method === 'init' ? opened : await ask(2, method, revive(params));
        } finally {
          worker.terminate();
        }
      },
      { url: `${this.url}assets/${script[0]}`, method: method as string, params: withoutBytes(params) },
    );
    return answer as ResultOf<M>;
  }

  /** Runs a golden case folder inside the page, on the browser's own WebGPU. */
  golden(folder: string, page = this.page): Promise<ResultOf<'golden'>> {
    const files: Record<string, ArrayBuffer> = {};
    for (const name of readdirSync(folder))
      files[name] = new Uint8Array(readFileSync(join(folder, name))).buffer;
    return this.engine('golden', { name: folder.split(/[\\/]/).at(-1) ?? folder, files }, page);
  }

  async close(): Promise<void> {
    // Scripts that are still on their way have nobody left to be given to.
    await this.context.unrouteAll({ behavior: 'ignoreErrors' });
    await this.#browser.close();
    await this.#server.close();
  }

  #heard(message: ConsoleMessage): void {
    const text = message.text();
    if (message.type() !== 'error') return;
    (text.startsWith('uncaptured GPU error') ? this.gpuErrors : this.consoleErrors).push(text);
  }
}

function withoutBytes(value: unknown): unknown {
  if (value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(withoutBytes);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutBytes(one)]));
}
