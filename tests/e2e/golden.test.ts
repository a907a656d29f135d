import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from './browser.ts';

const committed = resolve(import.meta.dirname, '../golden/cases');
const elsewhere = process.env.GOLDEN_DIR;
// Case R holds third-party weights and is not part of the repository.
const thirdParty = elsewhere ? join(elsewhere, 'R_stories260k') : '';
const folders = [
  join(committed, 'A_gqa_padded'),
  join(committed, 'C_tied_llama3rope_mqa'),
  ...(existsSync(thirdParty) ? [thirdParty] : []),
];

describe('inside the built page, on the WebGPU of the browser', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(() => lab?.close());

  test.each(folders)('golden case %s', async (folder) => {
    const { unsupported, groups, ok } = await lab.golden(folder);
    expect(unsupported).toBeNull();
    expect(groups.length).toBeGreaterThan(3);
    expect(groups.filter((group) => !group.ok)).toEqual([]);
    expect(ok).toBe(true);
  });

  test('every kernel agrees with the float64 reference', async () => {
    const { ok, checks } = await lab.engine('selfCheck', {});
    expect(checks.length).toBeGreaterThan(10);
    expect(checks.filter((check) => !check.ok)).toEqual([]);
    expect(ok).toBe(true);
  });

  test('without a GPU error or a console error', () => {
    expect(lab.problems()).toEqual([]);
  });
});
