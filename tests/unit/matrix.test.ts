import { expect, it } from 'vitest';
import { ATTACKS, attacksNamed, MODELS, modelsNamed } from '../../src/cli/experiment/matrix.ts';
import { recipe, RECIPES } from '../../src/recipes/index.ts';
import { settle } from '../../src/recipes/recipe.ts';

const ids = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id);

it("SDD's own experiment is what it was, whatever else can be asked for", () => {
  expect(ids(modelsNamed([]))).toEqual([
    'base',
    'chat',
    'base+sdd',
    'chat+sdd',
    'chat+sdd-paper',
    'chat+sdd-reject',
  ]);
  expect(attacksNamed([])).toEqual(ATTACKS);
});

it('every defence is a model from both embedded ones, with settings that its recipe knows', () => {
  const made = MODELS.flatMap((m) => (m.recipe ? [m.recipe] : []));
  for (const { id, kind } of RECIPES) if (kind === 'defence') expect(made).toContain(id);
  for (const { recipe: id, settings } of MODELS) if (id) settle(recipe(id), settings);
  for (const name of ['simpo', 'vaccine', 'tar-entropy'])
    expect(ids(MODELS)).toEqual(expect.arrayContaining([`chat+${name}`, `base+${name}`]));
});

it('a model comes with those that it is made of, an attack with the one before it', () => {
  expect(ids(modelsNamed(['chat+sdd-reject', 'base+tar']))).toEqual([
    'base',
    'chat',
    'chat+sdd',
    'chat+sdd-reject',
    'base+tar',
  ]);
  expect(ids(attacksNamed(['bft-then-mft']))).toEqual(['bft', 'bft-then-mft']);
  expect(modelsNamed(['all'])).toEqual(MODELS);
});

it('what is not known is named', () => {
  expect(() => modelsNamed(['chat+tarr'])).toThrow(/has no model "chat\+tarr"/);
  expect(() => attacksNamed(['mft', 'mtf'])).toThrow(/has no attack "mtf"/);
});
