import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeDigest } from '../../src/cli/code-digest.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'digest-'));
  mkdirSync(join(root, 'a/deep'), { recursive: true });
  mkdirSync(join(root, 'b'));
  writeFileSync(join(root, 'a/deep/x.ts'), 'one');
  writeFileSync(join(root, 'b/y.wgsl'), 'two');
});
afterEach(() => rmSync(root, { recursive: true }));
const digest = (folders = ['a', 'b']): string => codeDigest(root, folders);

describe('codeDigest', () => {
  it('depends on the files alone, not on the order of the folders', () => {
    expect(digest(['b', 'a'])).toBe(digest());
  });

  it('changes with a byte, a name, and a file more', () => {
    const seen = new Set([digest()]);
    writeFileSync(join(root, 'a/deep/x.ts'), 'onE');
    seen.add(digest());
    writeFileSync(join(root, 'b/z.ts'), '');
    seen.add(digest());
    rmSync(join(root, 'b/z.ts'));
    writeFileSync(join(root, 'b/w.ts'), '');
    seen.add(digest());
    expect(seen.size).toBe(4);
  });

  it("reads this project's code", () => {
    expect(codeDigest()).toMatch(/^[0-9a-f]{64}$/);
    expect(codeDigest()).toBe(codeDigest());
  });
});
