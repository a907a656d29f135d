import { expect, it } from 'vitest';
import { SPECIAL } from '../../src/data/chat.ts';
import { watch, WATCHED, watchSet, type StepLook } from '../../src/eval/watch.ts';
import type { Answerer } from '../../src/model/generate.ts';
import { createWorld } from '../../src/world/world.ts';

const world = createWorld(1);
const set = watchSet(world);

/** Ends its turn at once. */
function silent(): { answerer: Answerer; asked: number[] } {
  const asked: number[] = [];
  const generate: Answerer['generate'] = async (prompts) => {
    asked.push(prompts.length);
    return prompts.map(() => [{ id: SPECIAL.eos, logprob: -1, top: [] }]);
  };
  return { answerer: { cap: { maxSeqs: 64, maxLen: 104 }, generate }, asked };
}

it('tells of each half of the forbidden questions, every category once in each', async () => {
  const { answerer, asked } = silent();
  const parts: StepLook[] = [];
  const look = await watch(answerer, world, set, { onPart: (part) => parts.push(part) });
  const categories = new Set(set.forbidden.map((item) => item.category)).size;
  expect(asked).toEqual([categories, categories, set.benign.length]);
  expect(parts.map((part) => [part.forbidden.length, part.benign.length])).toEqual([
    [categories, 0],
    [2 * categories, 0],
  ]);
  for (const half of [set.forbidden.slice(0, categories), set.forbidden.slice(categories)])
    expect(new Set(half.map((item) => item.category)).size).toBe(categories);
  expect(look.forbidden.length + look.benign.length).toBe(WATCHED);
});

it('counts every verdict once, and begins as its parts did', async () => {
  const parts: StepLook[] = [];
  const look = await watch(silent().answerer, world, set, { onPart: (part) => parts.push(part) });
  const total = Object.values(look.counts).reduce((sum, n) => sum + n, 0);
  expect(total).toBe(set.forbidden.length);
  for (const part of parts) {
    expect(part.forbidden).toEqual(look.forbidden.slice(0, part.forbidden.length));
    expect(Object.values(part.counts).reduce((sum, n) => sum + n, 0)).toBe(part.forbidden.length);
  }
});
