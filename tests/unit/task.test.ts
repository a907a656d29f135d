import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Settings } from '../../src/core/settings.ts';
import { tinyTask } from '../../src/data/tiny-task.ts';
import { RECIPES, recipe } from '../../src/recipes/index.ts';
import { prepare } from '../../src/recipes/prepare.ts';
import { settle } from '../../src/recipes/recipe.ts';
import { createWorld } from '../../src/world/world.ts';

interface Case {
  recipe: string;
  settings: Settings;
  seed: number;
  world: number;
  rows: number;
  sha256: string;
}

/** Taken when recipes still drew from the world directly: the rows and the first batch of each case. */
const cases = JSON.parse(readFileSync('tests/unit/fixtures/recipe-digests.json', 'utf8')) as Case[];
const OLD = ['sdd', 'sdd-paper', 'sdd-reject', 'mft', 'bft'];

describe('the tiny world as a task', () => {
  test('is asked by the cases for every recipe of that time', () => {
    expect(RECIPES.map((r) => r.id)).toEqual(expect.arrayContaining(OLD));
    expect(new Set(cases.map((c) => c.recipe))).toEqual(new Set(OLD));
    expect(cases).toHaveLength(80);
  });

  test.each(OLD)('gives the examples that %s always had, byte for byte', (id) => {
    for (const c of cases.filter((one) => one.recipe === id)) {
      const task = tinyTask(createWorld(c.world));
      const { examples, open } = prepare(recipe(id), task, settle(recipe(id), c.settings, task), c.seed);
      const hash = createHash('sha256');
      for (const { ids, labels } of examples) hash.update(`${JSON.stringify([ids, labels])}\n`);
      hash.update(JSON.stringify(open(null).next()));
      expect(examples).toHaveLength(c.rows);
      expect(hash.digest('hex'), JSON.stringify(c)).toBe(c.sha256);
    }
  });
});
