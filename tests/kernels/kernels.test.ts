import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { canRun, kernelChecks, quickChecks, runCheck } from '../../src/selfcheck/index.ts';

const [gpu, plain] = [await sharedGpu(), await sharedGpu({ subgroups: false })];

// families of products are the same with and without subgroups, but for the one that needs them
describe.each([
  ['every kernel that the adapter can run', gpu, kernelChecks.filter((check) => canRun(gpu, check))],
  ['the kernels without subgroups', plain, kernelChecks.filter((check) => check.family === undefined)],
])('%s', (_, device, checks) => {
  it.each(checks.map((c) => [`${c.kernel} ${c.shape}`, c] as const))('%s', async (_name, check) => {
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
