/**
 * npm test [-- GROUP...]: every check of the repository, group by group. A failing group does not stop the next. Ends
 * with a line of its own, `tests: N passed, N failed`, and exits 1 if anything failed.
 *
 * The GPU tests run on SwiftShader out of npm, the same on every Linux x64 machine; SDD_GPU=system runs them on the
 * machine's own driver instead.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { helpIfAsked } from './lib/help.mjs';
import { build } from './lib/build.mjs';
import { runNode } from './lib/child.mjs';
import { root, testGpuEnv } from './software-gpu.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));

/** @typedef {{ passed: number; failed: number; skipped: number }} Counts */

const bin = (/** @type {string} */ path) => join(root, 'node_modules', path);

/**
 * Static checks, each counted as one.
 * @param {[name: string, run: () => Promise<number>][]} list
 * @returns {Promise<Counts>}
 */
async function checks(list) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, run] of list) {
    const code = await run();
    if (code === 0) counts.passed++;
    else counts.failed++;
    console.log(`  ${code === 0 ? 'ok    ' : 'FAILED'} ${name}`);
  }
  return counts;
}

/**
 * The test cases of one vitest project, from its JSON report. A file that did not load, an error outside any test and a
 * project without tests each count as one failure.
 *
 * @param {string} project
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Counts>}
 */
async function vitest(project, env) {
  const folder = mkdtempSync(join(tmpdir(), 'sdd-lab-test-'));
  try {
    const report = join(folder, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const code = await runNode([bin('vitest/vitest.mjs'), 'run', '--project', project, ...reporters], env);
    /** @type {{ numPassedTests: number; numFailedTests: number; numPendingTests: number; numTodoTests: number; testResults: { status: string; assertionResults: unknown[] }[] } | null} */
    let result = null;
    try {
      result = JSON.parse(readFileSync(report, 'utf8'));
    } catch {
      console.error(`vitest left no report of project ${project} (exit code ${code}).`);
    }
    if (!result) return { passed: 0, failed: 1, skipped: 0 };
    const broken = result.testResults.filter(
      (f) => f.status === 'failed' && f.assertionResults.length === 0,
    ).length;
    let failed = result.numFailedTests + broken;
    if (code !== 0 && failed === 0) failed = 1;
    return { passed: result.numPassedTests, failed, skipped: result.numPendingTests + result.numTodoTests };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @type {Record<string, () => Promise<Counts>>} */
const groups = {
  lint: () =>
    checks([
      ['eslint', () => runNode([bin('eslint/bin/eslint.js'), '.', '--max-warnings', '0'])],
      ['prettier', () => runNode([bin('prettier/bin/prettier.cjs'), '--check', '--log-level', 'warn', '.'])],
    ]),
  types: () =>
    checks([
      ['tsc', () => runNode([bin('typescript/bin/tsc')])],
      [
        'svelte-check',
        () => runNode([bin('svelte-check/bin/svelte-check'), '--fail-on-warnings', '--output', 'human']),
      ],
    ]),
  imports: () => checks([['import direction', () => runNode([join(root, 'scripts/check-imports.mjs')])]]),
  unit: () => vitest('unit', process.env),
  gpu: () => vitest('gpu', testGpuEnv().env),
  build: () => checks([['vite build', build]]),
  e2e: () => vitest('e2e', testGpuEnv().env),
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(groups, name));
if (unknown.length) {
  console.error(`No such group: ${unknown.join(', ')}. Groups: ${Object.keys(groups).join(', ')}.`);
  process.exit(2);
}

const seconds = (/** @type {number} */ since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const start = performance.now();
const total = { passed: 0, failed: 0, skipped: 0 };
const table = [];
for (const [name, run] of Object.entries(groups)) {
  if (asked.length && !asked.includes(name)) continue;
  console.log(`\n== ${name}`);
  const began = performance.now();
  /** @type {Counts} */
  let counts;
  try {
    counts = await run();
  } catch (error) {
    console.error(error);
    counts = { passed: 0, failed: 1, skipped: 0 };
  }
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
  const skipped = counts.skipped ? `, ${counts.skipped} skipped` : '';
  const line = `${name.padEnd(8)} ${seconds(began).padStart(8)}  ${counts.passed} passed, ${counts.failed} failed${skipped}`;
  table.push(`${counts.failed ? 'FAILED' : 'ok    '} ${line}`);
  console.log(line);
}

console.log(
  `\n${table.join('\n')}\nall groups: ${seconds(start)}${total.skipped ? `, ${total.skipped} skipped` : ''}`,
);
console.log(`tests: ${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed ? 1 : 0);
