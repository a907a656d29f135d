/**
 * node scripts/import-speed.mjs [MEGABYTES]: how fast the built page imports generated JSONL and CSV files in the test browser, and by how
 * much its renderer grows meanwhile (resident memory, Linux only). Build first; the browser computes on this machine.
 */
import { readdirSync, readFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchBrowser } from './lib/browser.mjs';
import { runNode } from './lib/child.mjs';
import { helpIfAsked } from './lib/help.mjs';
import { serveDist } from './lib/serve.mjs';
import { root } from './software-gpu.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));
const megabytes = process.argv[2] ?? '300';

/** Resident bytes of the largest renderer; 0 where /proc does not tell. */
function resident() {
  let most = 0;
  try {
    for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        if (!readFileSync(`/proc/${id}/cmdline`, 'utf8').includes('--type=renderer')) continue;
        const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, 'utf8')) ?? [];
        most = Math.max(most, Number(kilobytes ?? 0) * 1024);
      } catch {
        // a process that has ended meanwhile
      }
    }
  } catch {
    // no /proc
  }
  return most;
}

const folder = mkdtempSync(join(tmpdir(), 'sdd-lab-import-'));
const server = await serveDist({ port: 0 });
const browser = await launchBrowser();
try {
  for (const [layout, ending] of /** @type {const} */ ([
    ['chat', 'jsonl'],
    ['advbench', 'csv'],
  ])) {
    const file = join(folder, `${layout}.${ending}`);
    await runNode(
      [join(root, 'scripts/run.mjs'), 'src/cli/data.ts', 'make', file, '--layout', layout, '--mb', megabytes],
      process.env,
    );
    const page = await browser.newPage();
    page.setDefaultTimeout(600_000);
    await page.goto(`${server.url}#/data`, { waitUntil: 'load' });
    // nothing is taken before the engine is there
    await page.locator('button:enabled', { hasText: 'Choose a file' }).waitFor();
    await page.getByLabel('Choose a file', { exact: true }).last().setInputFiles(file);
    const start = page.getByRole('button', { name: 'Import it', exact: true });
    await start.waitFor();
    await page.waitForTimeout(2000);
    const before = resident();
    let most = before;
    const watch = setInterval(() => (most = Math.max(most, resident())), 50);
    const begun = performance.now();
    await start.click();
    await page.getByText(/^Imported: /).waitFor();
    const seconds = (performance.now() - begun) / 1000;
    clearInterval(watch);
    const mb = statSync(file).size / 1e6;
    console.log(
      `${ending}: ${mb.toFixed(0)} MB in ${seconds.toFixed(1)} s, ${(mb / seconds).toFixed(1)} MB/s; renderer ${(before / 1e6).toFixed(0)} MB before, at most ${((most - before) / 1e6).toFixed(0)} MB more`,
    );
    await page.close();
  }
} finally {
  await browser.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}
