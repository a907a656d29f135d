import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openNodeGpu } from '../../src/cli/node-gpu.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { kernelChecks, quickChecks, runCheck } from '../../src/selfcheck/index.ts';

const families = {
  'the kernels that the adapter gets': async () => openNodeGpu(),
  'the kernels without subgroups': async () => openNodeGpu({ subgroups: false }),
};

describe.each(Object.entries(families))('%s', (_, open) => {
  let gpu: Promise<Gpu> | undefined;

  it.each(kernelChecks.map((c) => [`${c.kernel} ${c.shape}`, c] as const))('%s', async (_name, check) => {
    const device = await (gpu ??= open());
    const errors: Error[] = [];
    device.onError = (error) => errors.push(error);
    const before = device.stats.buffers;
    const result = await runCheck(device, check);
    expect(errors).toEqual([]);
    expect(result.error, `${result.kernel} ${result.shape}`).toBeLessThanOrEqual(check.tolerance);
    expect(device.stats.buffers).toBe(before);
  });
});

describe('the self-check', () => {
  it.each([
    ['on every size', kernelChecks],
    ['in a few seconds', quickChecks],
  ])('covers every shader %s', (_, checks) => {
    const shaders = readdirSync(new URL('../../shaders', import.meta.url))
      .filter((name) => name.endsWith('.wgsl'))
      .map((name) => name.replace(/\.wgsl$/, ''));
    const named = checks.flatMap((c) => c.kernel.split(', '));
    const covered = (shader: string): boolean =>
      named.some((k) => k === shader || (k.endsWith('_*') && shader.startsWith(k.slice(0, -1))));
    expect(shaders.filter((s) => !covered(s))).toEqual([]);
  });
});
