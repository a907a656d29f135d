import { afterAll, beforeAll, expect, it } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { replay, REPLAY_TOLERANCE, SHIPPED_DIR } from '../../src/cli/pretrain.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await sharedGpu();
});
afterAll(() => gpu.destroy());

it('the first five steps of tiny-base, trained again from the seed in its record, have the committed losses', async () => {
  const [base] = await replay(gpu, SHIPPED_DIR, 5, ['tiny-base']);
  expect(base!.losses).toHaveLength(5);
  expect(base!.worst).toBeLessThanOrEqual(REPLAY_TOLERANCE);
});
