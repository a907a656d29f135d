import { ESLint } from 'eslint';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkImports, forbidden } from '../../scripts/check-imports.mjs';
import { tarFiles } from '../../scripts/lib/tar.mjs';

const root = resolve(import.meta.dirname, '../..');

describe('the direction of imports', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'arrows-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };

  test('a legal tree passes and its arrows are counted', () => {
    write(
      'src/train/step.ts',
      "import { x } from '../model/model.ts';\nimport shader from '/shaders/a.wgsl?raw';",
    );
    write(
      'src/ui/App.svelte',
      '<script lang="ts">import { lab } from \'../app/lab.svelte.ts\';</script><p>hi</p>',
    );
    write('src/worker/engine.ts', "const oracle = () => import('../reference/ops.ts');");
    expect(checkImports(folder)).toMatchObject({ bad: [], files: 3, arrows: 4 });
  });

  test.each([
    ['src/core/a.ts', "import { x } from '../world/words.ts';"],
    ['src/eval/a.ts', "import { x } from '../train/trainer.ts';"],
    ['src/model/a.ts', "import type { X } from '../train/trainer.ts';"],
    ['src/gpu/a.ts', "export * from '../kernels/matmul.ts';"],
    ['src/world/a.ts', "type X = import('../data/chat.ts').X;"],
    ['src/store/a.ts', "await import('../model/model.ts');"],
    ['src/ui/deep/A.svelte', '<script lang="ts">import { x } from \'../../model/model.ts\';</script>'],
    ['src/app/a.ts', "import { x } from '../worker/engine.ts';"],
    ['src/worker/a.ts', "import { x } from '../reference/ops.ts';"],
    ['src/worker/b.ts', "import { x } from '../selfcheck/index.ts';"],
    ['src/selfcheck/a.ts', "import { x } from '../worker/engine.ts';"],
    ['src/train/a.ts', "import { x } from '../recipes/sdd.ts';"],
    ['src/data/a.ts', "import { x } from '../../tests/help.ts';"],
    ['src/newfolder/a.ts', "import { x } from '../core/rng.ts';"],
  ])('%s: %s turns it red', (path, text) => {
    write(path, text);
    expect(checkImports(folder).bad).toHaveLength(1);
  });

  test('every folder of the real src has a rule', () => {
    expect(checkImports(root).bad.filter((one) => one.why.startsWith('no rule'))).toEqual([]);
    expect(forbidden({ from: 'src/core/a.ts', to: 'src/core/b.ts', dynamic: false })).toBeNull();
  });
});

test('ESLint refuses text that is parsed as HTML', { timeout: 60_000 }, async () => {
  const eslint = new ESLint({ cwd: root });
  const rules = async (text: string, filePath: string) =>
    (await eslint.lintText(text, { filePath: join(root, filePath) })).flatMap((r) =>
      r.messages.map((m) => m.ruleId),
    );
  expect(await rules("document.body.innerHTML = 'x';", 'src/ui/a.ts')).toContain('no-restricted-syntax');
  expect(await rules("document.body.insertAdjacentHTML('beforeend', 'x');", 'src/ui/a.ts')).toContain(
    'no-restricted-syntax',
  );
  expect(await rules("<p>{@html '<b>x</b>'}</p>", 'src/ui/A.svelte')).toContain('svelte/no-at-html-tags');
  expect(await rules('export const w = window.name;', 'src/core/a.ts')).toContain('no-restricted-globals');
});

describe('the tar reader', () => {
  const entry = (name: string, data: string, type = '0') => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write('0000755\0', 100);
    header.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write(type, 156);
    return Buffer.concat([header, Buffer.from(data.padEnd(Math.ceil(data.length / 512) * 512, '\0'))]);
  };
  const read = (...entries: Buffer[]) =>
    [...tarFiles(Buffer.concat([...entries, Buffer.alloc(1024)]))].map((f) => [
      f.name,
      f.mode,
      String(f.data),
    ]);

  test('reads files with their modes, passes over folders, takes an empty file', () => {
    const files = read(entry('lib/', '', '5'), entry('lib/a.so', 'x'.repeat(513)), entry('empty', ''));
    expect(files).toEqual([
      ['lib/a.so', 0o755, 'x'.repeat(513)],
      ['empty', 0o755, ''],
    ]);
  });

  test.each([
    ['a path that leaves the folder', entry('../x', 'y')],
    ['an absolute path', entry('/etc/x', 'y')],
    ['a link', entry('x', '', '2')],
    ['a cut archive', entry('x', 'y'.repeat(9000)).subarray(0, 1024)],
  ])('refuses %s', (_what, bytes) => {
    expect(() => [...tarFiles(bytes)]).toThrow(/tar:/);
  });
});
