/**
 * node scripts/import-speed.mjs [MEGABYTES] [jsonl|csv]: how fast the built page imports generated files in the test browser, kept in a profile on
 * the disk; CPU seconds of its renderer and of its own process, and by how much they and the worker's heap with its buffers grow meanwhile
 * (processes on Linux only). Build first; the browser computes on this machine.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchProfile } from './lib/browser.mjs';
import { runNode } from './lib/child.mjs';
import { workerHeap } from './lib/devtools.mjs';
import { helpIfAsked } from './lib/help.mjs';
import { processes } from './lib/processes.mjs';
import { serveDist } from './lib/serve.mjs';
import { root } from './software-gpu.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));
const megabytes = process.argv[2] ?? '300';
const only = process.argv[3];

const MB = 1e6;
/** Bytes before, and the most of them. */
class Growth {
  #before;
  #most;

  /** @param {number} before */
  constructor(before) {
    this.#before = before;
    this.#most = before;
  }

  /** @param {number} bytes */
  see(bytes) {
    this.#most = Math.max(this.#most, bytes);
  }

  toString() {
    return `${(this.#before / MB).toFixed(0)} MB before, at most ${((this.#most - this.#before) / MB).toFixed(0)} MB more`;
  }
}

const folder = mkdtempSync(join(tmpdir(), 'sdd-lab-import-'));
const server = await serveDist({ port: 0 });
try {
  for (const [layout, ending] of /** @type {const} */ ([
    ['chat', 'jsonl'],
    ['advbench', 'csv'],
  ])) {
    if (only && only !== ending) continue;
    const file = join(folder, `${layout}.${ending}`);
    await runNode(
      [join(root, 'scripts/run.mjs'), 'src/cli/data.ts', 'make', file, '--layout', layout, '--mb', megabytes],
      process.env,
    );
    await measure(file, ending);
    rmSync(file);
  }
} finally {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}

/** @param {string} file @param {string} ending */
async function measure(file, ending) {
  const profile = mkdtempSync(join(folder, 'profile-'));
  const context = await launchProfile(profile);
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(900_000);
    await page.goto(`${server.url}#/data`, { waitUntil: 'load' });
    // nothing is taken before the engine is there
    await page.locator('button:enabled', { hasText: 'Choose a file' }).waitFor();
    await page.getByLabel('Choose a file', { exact: true }).last().setInputFiles(file);
    const start = page.getByRole('button', { name: 'Import it', exact: true });
    await start.waitFor();
    await page.waitForTimeout(2000);
    const used = await workerHeap(page);
    const heap = new Growth(await used());
    const before = processes();
    const resident = new Map(before.map((one) => [one.id, new Growth(one.resident)]));
    const watch = setInterval(() => {
      for (const { id, resident: bytes } of processes()) resident.get(id)?.see(bytes);
    }, 50);
    let done = false;
    const looking = (async () => {
      while (!done) {
        heap.see(await used());
        await page.waitForTimeout(25);
      }
    })();
    const begun = performance.now();
    await start.click();
    await page.getByText(/^Imported: /).waitFor();
    const seconds = (performance.now() - begun) / 1000;
    done = true;
    clearInterval(watch);
    await looking;
    const mb = statSync(file).size / MB;
    console.log(
      `${ending}: ${mb.toFixed(0)} MB in ${seconds.toFixed(1)} s, ${(mb / seconds).toFixed(1)} MB/s; worker's heap and buffers ${heap}`,
    );
    for (const after of processes()) {
      const earlier = before.find((one) => one.id === after.id);
      if (!earlier || (after.type !== 'renderer' && after.type !== 'browser')) continue;
      const cpu = after.cpu - earlier.cpu;
      if (cpu >= 0.1)
        console.log(`  ${after.type}: ${cpu.toFixed(1)} s of CPU, resident ${resident.get(after.id)}`);
    }
  } finally {
    await context.close();
  }
}
