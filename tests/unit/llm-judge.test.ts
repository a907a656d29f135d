import { expect, it } from 'vitest';
import { labelledPairs } from '../../src/eval/judges/llm/labelled.ts';
import { createWorld } from '../../src/world/world.ts';
it('x', () => {
  const p = labelledPairs(createWorld(0));
  for (const [i, one] of p.slice(0, 20).entries()) console.log(i % 10, one.kind, '|', one.prompt, '|', one.answer);
  const c: Record<string, number> = {};
  for (const { kind } of p) c[kind] = (c[kind] ?? 0) + 1;
  console.log(c);
  expect(1).toBe(1);
});
