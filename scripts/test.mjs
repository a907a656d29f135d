/**
 * npm test [-- GROUP...]: every check of the repository. Where there are two cores, two groups run at the same time, and
 * the output of each is printed when it has ended. A failing group does not stop the others. Ends with a line of its own,
 * `tests: N passed, N failed`, and exits 1 if anything failed.
 *
 * The GPU tests run on SwiftShader out of npm, the same on every Linux x64 machine; SDD_GPU=system runs them on the
 * machine's own driver instead.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { helpIfAsked } from './lib/help.mjs';
import { build } from './lib/build.mjs';
import { runNode } from './lib/child.mjs';
import { root, testGpuEnv } from './software-gpu.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));

/** @typedef {{ passed: number; failed: number; skipped: number }} Counts */
/** @typedef {((text: string) => void) | undefined} Take where output goes; undefined: to the terminal, as it comes */

const bin = (/** @type {string} */ path) => join(root, 'node_modules', path);

const write = (/** @type {string} */ text) => void process.stdout.write(text);

/**
 * Static checks, each counted as one.
 * @param {[name: string, run: (take: Take) => Promise<number>][]} list
 * @param {Take} take
 * @returns {Promise<Counts>}
 */
async function checks(list, take) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, run] of list) {
    const code = await run(take);
    if (code === 0) counts.passed++;
    else counts.failed++;
    (take ?? write)(`  ${code === 0 ? 'ok    ' : 'FAILED'} ${name}\n`);
  }
  return counts;
}

/**
 * The test cases of one vitest project, from its JSON report. A file that did not load, an error outside any test and a
 * project without tests each count as one failure.
 *
 * @param {string} project
 * @param {NodeJS.ProcessEnv} env
 * @param {Take} take
 * @param {string[]} [more] options of vitest
 * @returns {Promise<Counts>}
 */
async function vitest(project, env, take, more = []) {
  const folder = mkdtempSync(join(tmpdir(), 'sdd-lab-test-'));
  try {
    const report = join(folder, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const args = [bin('vitest/vitest.mjs'), 'run', '--project', project, ...reporters, ...more];
    const code = await runNode(args, env, take);
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

/** Files with tests of tests/support/long.ts: run whole, and only when asked for. */
const LONG_FILES = [
  'tests/golden/engine.test.ts',
  'tests/gradcheck/memory.test.ts',
  'tests/session/audit.test.ts',
];

/**
 * The groups in the order in which they begin: the longest first. `gpu` is two halves, each in a process of its own.
 * @type {[name: string, run: (take: Take) => Promise<Counts>][]}
 */
const groups = [
  ['gpu', (take) => vitest('gpu', testGpuEnv().env, take, ['--shard=1/2'])],
  ['gpu', (take) => vitest('gpu', testGpuEnv().env, take, ['--shard=2/2'])],
  // The browser tests ask the built page.
  ['e2e', (take) => buildThenBrowse(take)],
  ['unit', (take) => vitest('unit', process.env, take)],
  [
    'lint',
    (take) =>
      checks(
        [
          [
            'eslint',
            (out) => runNode([bin('eslint/bin/eslint.js'), '.', '--max-warnings', '0'], undefined, out),
          ],
          [
            'prettier',
            (out) =>
              runNode(
                [bin('prettier/bin/prettier.cjs'), '--check', '--log-level', 'warn', '.'],
                undefined,
                out,
              ),
          ],
        ],
        take,
      ),
  ],
  [
    'types',
    (take) =>
      checks(
        [
          ['tsc', (out) => runNode([bin('typescript/bin/tsc')], undefined, out)],
          [
            'svelte-check',
            (out) =>
              runNode(
                [bin('svelte-check/bin/svelte-check'), '--fail-on-warnings', '--output', 'human'],
                undefined,
                out,
              ),
          ],
        ],
        take,
      ),
  ],
  [
    'imports',
    (take) =>
      checks(
        [['import direction', (out) => runNode([join(root, 'scripts/check-imports.mjs')], undefined, out)]],
        take,
      ),
  ],
  ['long', (take) => vitest('gpu', { ...testGpuEnv().env, SDD_LONG_TESTS: '1' }, take, LONG_FILES)],
];

/** @param {Take} take @returns {Promise<Counts>} */
async function buildThenBrowse(take) {
  const built = await checks([['vite build', () => build()]], take);
  const browsed = await vitest('e2e', testGpuEnv().env, take);
  return {
    passed: built.passed + browsed.passed,
    failed: built.failed + browsed.failed,
    skipped: browsed.skipped,
  };
}

const asked = process.argv.slice(2);
const names = new Set(groups.map(([name]) => name));
const unknown = asked.filter((name) => !names.has(name));
if (unknown.length) {
  console.error(`No such group: ${unknown.join(', ')}. Groups: ${[...names].join(', ')}.`);
  process.exit(2);
}

const seconds = (/** @type {number} */ since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const start = performance.now();
const total = { passed: 0, failed: 0, skipped: 0 };
/** @type {string[]} */
const table = [];
const todo = groups.filter(([name]) => (asked.length === 0 ? name !== 'long' : asked.includes(name)));
const workers = Math.min(todo.length, availableParallelism(), 2);

/** Takes one group after the other until none is left. */
async function work() {
  for (let next = todo.shift(); next; next = todo.shift()) {
    const [name, run] = next;
    const began = performance.now();
    let output = '';
    if (workers === 1) console.log(`\n== ${name}`);
    /** @type {Counts} */
    let counts;
    try {
      counts = await run(workers === 1 ? undefined : (text) => (output += text));
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
    if (output) process.stdout.write(`\n== ${name}\n${output}`);
    console.log(line);
  }
}
await Promise.all(Array.from({ length: workers }, work));

console.log(
  `\n${table.join('\n')}\nall groups: ${seconds(start)}${total.skipped ? `, ${total.skipped} skipped` : ''}`,
);
console.log(`tests: ${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed ? 1 : 0);
