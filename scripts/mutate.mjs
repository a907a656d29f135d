/**
 * npm run mutate [-- NAME...]: breaks a copy of the code on purpose, one fault at a time, and runs the test that should
 * notice. Exits 1 when a mutant survives, when its place in the code is gone, or when the test is red without it.
 * docs/tests.md lists the mutations.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runNode } from './lib/child.mjs';
import { root, testGpuEnv } from './software-gpu.mjs';

/**
 * @typedef {object} Mutation
 * @property {string} name
 * @property {string} file
 * @property {string} find every occurrence is replaced
 * @property {string} replace
 * @property {string[]} test arguments of vitest
 */

/** @type {Mutation[]} */
const mutations = [
  {
    name: 'rope-pairing',
    file: 'shaders/04_rope.wgsl',
    find: 'at + P.half_dim',
    replace: 'at + 1u',
    test: ['--project', 'gpu', 'tests/golden/engine.test.ts', '-t', 'case A_gqa_padded$'],
  },
  {
    name: 'dropped-epsilon',
    file: 'shaders/02_rmsnorm.wgsl',
    find: ' + P.eps)',
    replace: ')',
    test: ['--project', 'gpu', 'tests/golden/engine.test.ts', '-t', 'case A_gqa_padded$'],
  },
  {
    name: 'leaked-buffer',
    file: 'src/train/trainer.ts',
    find: '    this.gpu.free(this.partial);\n',
    replace: '',
    test: ['--project', 'gpu', 'tests/session/session.test.ts', '-t', 'closing a run gives everything back'],
  },
  {
    name: 'buffer-per-step',
    file: 'src/train/trainer.ts',
    find: '    const step = ++this.steps;\n',
    replace: "    const step = ++this.steps;\n    this.gpu.buffer('leak', 1024);\n",
    test: ['--project', 'gpu', 'tests/session/session.test.ts', '-t', '50 steps make no GPU buffer'],
  },
  {
    name: 'leaked-heap',
    file: 'src/train/trainer.ts',
    find: '    const step = ++this.steps;\n',
    replace: '    const step = ++this.steps;\n    (this.leak ??= []).push(new Float32Array(4096));\n',
    test: ['--project', 'gpu', 'tests/session/session.test.ts', '-t', 'leave the JavaScript heap as it was'],
  },
  {
    name: 'skipped-restore',
    file: 'src/train/session.ts',
    find: '    this.trainer.restore({ step: state.step, m: state.m, v: state.v });\n',
    replace: '',
    test: ['--project', 'gpu', 'tests/session/session.test.ts', '-t', '10 steps, a checkpoint, and 10 more'],
  },
  {
    name: 'stop-that-does-not-stick',
    file: 'shaders/22_adamw.wgsl',
    find: ' || state.stopped != 0u',
    replace: '',
    test: [
      '--project',
      'gpu',
      'tests/session/session.test.ts',
      '-t',
      'leaves weights and moments as they were',
    ],
  },
  {
    name: 'columns-that-forget',
    file: 'shaders/08_cross_entropy.wgsl',
    find: 'before.total * exp(before.top - top) + ',
    replace: '',
    test: ['--project', 'gpu', 'tests/gradcheck/memory.test.ts', '-t', 'logits in pieces'],
  },
  {
    name: 'layer-not-again',
    file: 'src/model/backward.ts',
    find: "acts.keep === 'inputs' && ",
    replace: "acts.keep === 'nothing' && ",
    test: ['--project', 'gpu', 'tests/gradcheck/memory.test.ts', '-t', 'a layer computed again'],
  },
  {
    name: 'swapped-adapter-parts',
    file: 'src/model/lora-ops.ts',
    find: 'b: lowOf(j) }',
    replace: 'b: lowOf(0) }',
    test: ['--project', 'gpu', 'tests/gradcheck/engine.test.ts', '-t', 'gradients of an adapter'],
  },
  {
    name: 'believed-download',
    file: 'src/hub/download.ts',
    find: 'if (found === file.hash.hex) {',
    replace: 'if (found) {',
    test: ['--project', 'unit', 'tests/unit/hub-download.test.ts', '-t', 'refused by name the second time'],
  },
  {
    name: 'unswapped-model',
    file: 'src/worker/stored-model.ts',
    find: 'await from.weights(at.id)),',
    replace: "await from.weights('tiny-chat')),",
    test: ['--project', 'e2e', 'tests/e2e/main-job.test.ts'],
  },
];

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
      writeFileSync(path, text.replaceAll(m.find, m.replace));
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
