/**
 * npm run mutate [-- NAME...]: breaks a copy of the code on purpose, one fault at a time, and runs the test that should
 * notice. Exits 1 when a mutant survives, when its place in the code is gone, or when the test is red without it.
 * docs/tests.md lists the mutations.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { helpIfAsked } from './lib/help.mjs';
import { runNode } from './lib/child.mjs';
import { mutations } from './lib/mutations.mjs';
import { root, testGpuEnv } from './software-gpu.mjs';

helpIfAsked(fileURLToPath(import.meta.url), process.argv.slice(2));

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !mutations.some((m) => m.name === name));
if (unknown.length) {
  console.error(
    `No such mutation: ${unknown.join(', ')}. There are: ${mutations.map((m) => m.name).join(', ')}.`,
  );
  process.exit(2);
}

const copy = mkdtempSync(join(tmpdir(), 'sdd-lab-mutate-'));
const tracked = ['ls-files', '--cached', '--others', '--exclude-standard', '-z'];
for (const file of execFileSync('git', tracked, { cwd: root, encoding: 'utf8' })
  .split('\0')
  .filter(Boolean)) {
  mkdirSync(dirname(join(copy, file)), { recursive: true });
  cpSync(join(root, file), join(copy, file));
}
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'dir');

const { env } = testGpuEnv();
const vitest = (/** @type {string[]} */ test) =>
  runNode([join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', copy, '--reporter=dot', ...test], {
    ...env,
    GOLDEN_DIR: env.GOLDEN_DIR ?? join(root, '../shared/golden'),
  });

/** @type {Map<string, number>} */
const unmutated = new Map();
let survived = 0;
try {
  for (const m of mutations) {
    if (asked.length && !asked.includes(m.name)) continue;
    console.log(`\n== ${m.name}: ${m.file}`);
    const key = m.test.join(' ');
    if (!unmutated.has(key)) unmutated.set(key, await vitest(m.test));
    const path = join(copy, m.file);
    const text = readFileSync(path, 'utf8');
    let verdict = '';
    if (unmutated.get(key) !== 0) verdict = 'the test is red without the mutation';
    else if (!text.includes(m.find)) verdict = 'its place in the code is gone';
    else {
      writeFileSync(
        path,
        text.replace(m.find, () => m.replace),
      );
      if ((await vitest(m.test)) === 0) verdict = 'SURVIVED';
      writeFileSync(path, text);
    }
    if (verdict) survived++;
    console.log(`${verdict ? 'FAILED' : 'ok    '} ${m.name}: ${verdict || 'killed'}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(`\n${survived === 0 ? 'every mutant was killed' : `${survived} failed`}`);
process.exit(survived === 0 ? 0 : 1);
