import { render } from 'svelte/server';
import { expect, it } from 'vitest';
import { lab } from '../../src/app/lab.svelte.ts';
import Profile from '../../src/ui/parts/Profile.svelte';
import type { LabNode } from '../../src/worker/protocol.ts';

const node = (id: string, name: string) => ({ id, name, root: 'tiny-chat' }) as unknown as LabNode;

it('a profile stays under the name of the model that it was measured on', () => {
  lab.nodes = [node('a', 'measured model'), node('b', 'chosen model')];
  lab.currentId = 'b';
  lab.device.profile = {
    nodeId: 'a',
    name: 'measured model',
    kernels: [{ kernel: '04_rope', dispatches: 2, ms: 0.25, flops: 0, bytes: 2e6 }],
    clock: 'timestamp',
    ceilings: { gflopPerS: 123.4, gbPerS: 56.7 },
    rows: 16,
    tokens: 384,
  };
  const { body } = render(Profile);
  expect(body).toContain('measured model: 16 rows, 384 tokens: 0.3 ms in 2 dispatches');
  // the button measures the chosen one, and measures it for the first time
  expect(body).toContain('one step on a copy of chosen model');
  expect(body).toContain('Measure a step');
  lab.currentId = 'a';
  expect(render(Profile).body).toContain('Measure again');
});
