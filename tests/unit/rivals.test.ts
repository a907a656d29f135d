/** What T-Vaccine draws, how TAR halves its data, and what the rivals refuse. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.ts';
import { families, tarSets } from '../../src/data/tar-sets.ts';
import type { Request } from '../../src/data/task.ts';
import { tinyTask } from '../../src/data/tiny-task.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { paramLayout } from '../../src/model/params.ts';
import { plan } from '../../src/model/plan.ts';
import { loraLayout, LORA_TARGETS } from '../../src/model/lora.ts';
import { recipe } from '../../src/recipes/index.ts';
import { prepare } from '../../src/recipes/prepare.ts';
import { settle } from '../../src/recipes/recipe.ts';
import { tinyConfigJson } from '../../src/recipes/tiny.ts';
import { drawLayers, layerProbabilities, requireLayers } from '../../src/recipes/tvaccine.ts';
import { layerOf, layerRanges } from '../../src/train/layer-updates.ts';
import { createWorld } from '../../src/world/world.ts';

const config = parseLlamaConfig(tinyConfigJson());

describe('T-Vaccine', () => {
  test('draws layers without replacement, by their probabilities', () => {
    const rng = new Rng('draw');
    const p = layerProbabilities([6, 3, 1, 0]);
    expect(p).toEqual([0.6, 0.3, 0.1, 0]);
    const n = 20_000;
    const drawn = Array.from({ length: n }, () => drawLayers(rng, p, 2));
    expect(drawn.every(([a, b]) => a! < b!)).toBe(true);
    const share = (layer: number): number => drawn.filter((d) => d.includes(layer)).length / n;
    // first or second: p + sum over others of q p / (1 - q)
    const wanted = p.map((own, l) =>
      p.reduce((sum, q, k) => (k === l ? sum : sum + (q * own) / (1 - q)), own),
    );
    wanted.forEach((w, l) => expect(Math.abs(share(l) - w)).toBeLessThan(0.015));
    expect(drawLayers(rng, [1, 0, 0], 3)).toEqual([0, 1, 2]);
    expect(layerProbabilities([0, 0])).toEqual([0.5, 0.5]);
  });

  test('takes at most half of the layers', () => {
    expect(() => requireLayers(2, 4)).not.toThrow();
    expect(() => requireLayers(3, 4)).toThrow(/cannot draw 3 layers of a model that has 4/);
  });

  test.each([
    ['all weights', paramLayout(config)],
    ['an adapter', loraLayout(config, { r: 3, alpha: 6, targets: LORA_TARGETS })],
  ])('the ranges of its layers hold each of their tensors once and no other, %s', (_, layout) => {
    const ranges = Array.from({ length: 4 }, (_, l) => layerRanges(layout, l));
    for (const { name, offset, size, decayed } of layout.entries) {
      const own = ranges.map((list) =>
        list.filter((r) => r.offset < offset + size && offset < r.offset + r.size),
      );
      own.forEach((list, l) => expect(list.length, name).toBe(layerOf(name) === l ? 1 : 0));
      const layer = layerOf(name);
      if (layer === null) continue;
      const [range] = own[layer]!;
      expect(range!.offset <= offset && offset + size <= range!.offset + range!.size).toBe(true);
      expect(range!.decayed).toBe(decayed);
    }
    for (const { offset } of ranges.flat()) expect(offset % 64).toBe(0);
    expect(layerOf('model.norm.weight')).toBeNull();
  });
});

describe('TAR', () => {
  test('attacks and resistance share neither prompt nor answer', () => {
    const sets = tarSets(tinyTask(createWorld(0)), 3, { pairs: 400, retain: 50 });
    const prompts = (list: readonly { prompt: string }[]) => new Set(list.map((i) => i.prompt));
    const answers = (list: readonly { answer: string }[]) => new Set(list.map((i) => i.answer));
    expect([...prompts(sets.inner)].filter((x) => prompts(sets.rejected).has(x))).toEqual([]);
    expect([...answers(sets.inner)].filter((x) => answers(sets.rejected).has(x))).toEqual([]);
    expect(sets.chosen.map((i) => i.prompt)).toEqual(sets.rejected.map((i) => i.prompt));
    expect(sets.chosen).toHaveLength(400);
    expect(answers(sets.inner).size).toBeGreaterThan(60);
    expect(answers(sets.rejected).size).toBeGreaterThan(60);
  });

  test('requests that hang together by way of others stay together', () => {
    const of = (prompt: string, answer: string): Request => ({ prompt, answer, opening: null });
    const groups = families([
      of('a', '1'),
      of('b', '2'),
      of('c', '1'),
      of('b', '3'),
      of('c', '3'),
      of('d', '4'),
    ]);
    expect(groups.map((g) => g.map((r) => r.prompt).join('')).sort()).toEqual(['abcbc', 'd']);
  });

  test('pairs come in half batches, row by row', () => {
    const r = recipe('tar');
    const source = prepare(r, tinyTask(createWorld(0)), settle(r), 1).open(null);
    const [chosen, rejected] = [source.next('chosen'), source.next('rejected')];
    expect([source.next(), source.next('inner'), chosen, rejected].map((b) => b.length)).toEqual([
      16, 16, 8, 8,
    ]);
  });
});

describe('bad settings are refused by name', () => {
  test.each([
    ['booster', { lambda: -1 }, /lambda.*not within/],
    ['booster', { perturbation: 0 }, /perturbation.*not within/],
    ['t-vaccine', { rho: 0 }, /rho.*not within/],
    ['t-vaccine', { gamma: 0 }, /gamma.*not within/],
    ['t-vaccine', { gamma: 1.5 }, /gamma.*not a whole number/],
    ['tar', { innerSteps: 0 }, /innerSteps.*not within/],
    ['tar', { tasks: 9 }, /tasks.*not within/],
    ['tar', { resist: 'flee' }, /resist.*one of dpo, entropy/],
  ])('%s %j', (id, own, why) => {
    expect(() => settle(recipe(id), own)).toThrow(why);
  });

  test('an interval beyond the inner steps', () => {
    const r = recipe('tar');
    expect(() => r.data(tinyTask(createWorld(0)), settle(r, { interval: 5, innerSteps: 4 }), 1)).toThrow(
      /every 5 inner steps is never taken/,
    );
  });
});

test('what they keep is in the memory plan, which refuses what does not fit', () => {
  const limits = { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 31 - 4 };
  const request = { precision: 'f32', method: 'full', context: 39, batch: 16, answers: 0 } as const;
  const weights = paramLayout(config).length * 4;
  const layerSet = 4 * 16 * 39 * 96 * 4;
  const plain = plan(config, request, limits);
  const own = (id: string, settings = {}) => recipe(id).needs!(settle(recipe(id), settings));
  expect(own('booster').copies).toBe(2);
  expect(own('t-vaccine').copies ?? 0).toBe(0);
  expect(own('tar').copies).toBe(5);
  expect(own('tar', { inner: 'sgd' }).copies).toBe(3);
  const more = plan(config, { ...request, own: { copies: 5, layerSets: 3 } }, limits);
  expect(more.bytes.copies).toBe(5 * weights);
  expect(more.total - plain.total).toBe(5 * weights + 3 * layerSet);
  const budget = plain.total + weights;
  expect(plan(config, request, limits, budget).problems).toEqual([]);
  expect(plan(config, { ...request, own: { copies: 5 } }, limits, budget).problems).toMatchObject([
    { kind: 'budget' },
  ]);
});
