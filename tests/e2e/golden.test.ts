import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { caseDirOr } from '../golden/golden-dir.ts';
import { Lab } from './browser.ts';

describe('inside the built page, on the WebGPU of the browser', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(() => lab?.close());

  // case R holds third-party weights and is not part of the repository
  test.for(['A_gqa_padded', 'C_tied_llama3rope_mqa', 'R_stories260k'])(
    'golden case %s',
    async (name, { skip }) => {
      const folder = caseDirOr(skip, name, 'the page on it');
      const { unsupported, groups, ok } = await lab.golden(folder);
      expect(unsupported).toBeNull();
      expect(groups.length).toBeGreaterThan(3);
      expect(groups.filter((group) => !group.ok)).toEqual([]);
      expect(ok).toBe(true);
    },
  );

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
