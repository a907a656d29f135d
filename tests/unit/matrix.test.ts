import { expect, it } from 'vitest';
import { between, placeOf } from '../../src/cli/experiment/matched.ts';
import {
  attackOf,
  ATTACKS,
  attacksNamed,
  attacksSized,
  modelOf,
  MODELS,
  modelsNamed,
  rootOf,
  withMatched,
} from '../../src/cli/experiment/matrix.ts';
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
  const made = MODELS.flatMap((m) => (m.recipe ? [`${rootOf(m).id}+${m.recipe}`] : []));
  for (const { id, kind } of RECIPES)
    if (kind === 'defence') expect(made).toEqual(expect.arrayContaining([`chat+${id}`, `base+${id}`]));
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
  expect(ids(modelsNamed(['all', 'chat+simpo@60']))).toEqual([...ids(MODELS), 'chat+simpo@60']);
});

it('what is named twice is there once', () => {
  expect(ids(modelsNamed(['chat+simpo@60', 'chat', 'chat+simpo@60']))).toEqual([
    ...['chat', 'chat+simpo', 'chat+simpo@60'],
  ]);
  expect(ids(withMatched(modelsNamed(['chat+simpo@60']), 0.6))).toEqual([
    ...['chat', 'chat+simpo', 'chat+simpo@60'],
  ]);
  expect(ids(attacksNamed(['mft-n25', 'mft', 'mft-n25', 'mft']))).toEqual(['mft', 'mft-n25']);
  expect(ids(attacksSized('25, 25,100'))).toEqual(['mft-n25', 'mft']);
});

it('what is not known is named', () => {
  for (const beside of [[], ['all']])
    expect(() => modelsNamed([...beside, 'chat+tarr'])).toThrow(/has no model "chat\+tarr"/);
  expect(() => attacksNamed(['mft', 'mtf'])).toThrow(/has no attack "mtf"/);
});

it('an attack of another size is looked at after the steps of MFT, and after its epochs', () => {
  const [ten, hundred, two] = attacksSized('10, 100,200');
  // 20, 50 and 100 steps of 16 are 3.2, 8 and 16 epochs of 100 examples: of 10 examples those are 2, 5 and 10 steps
  expect(ten).toEqual({ id: 'mft-n10', recipe: 'mft', settings: { n: 10 }, at: [2, 5, 10, 20, 50, 100] });
  expect(hundred).toBe(ATTACKS.find((a) => a.id === 'mft'));
  expect(two!.at).toEqual([20, 40, 50, 100, 200]);
  expect(ids(attacksNamed(['mft-n25', 'none']))).toEqual(['none', 'mft-n25']);
  for (const bad of ['10,x', '0', '1.5', '-3', ''])
    expect(() => attacksSized(bad)).toThrow(/no number of examples/);
  for (const bad of ['mft-n', 'mft-n0', 'mft-n2x', 'bft-n10']) expect(attackOf(bad)).toBeUndefined();
});

it('a model at matched ability stands between the undefended one and the defended, and comes with both', () => {
  expect(modelOf('chat+simpo@60')).toEqual({
    id: 'chat+simpo@60',
    parent: 'chat',
    between: { toward: 'chat+simpo', ability: 0.6 },
  });
  // made in two runs: the line still begins at the undefended model
  expect(modelOf('chat+sdd-reject@60')).toMatchObject({ parent: 'chat' });
  expect(rootOf(modelOf('base+tar@55')!).id).toBe('base');
  for (const bad of ['chat@60', 'chat+simpo@', 'chat+simpo@600', 'chat+simpo@0', 'chat+nothing@60'])
    expect(modelOf(bad)).toBeUndefined();
  expect(ids(modelsNamed(['chat+simpo@60']))).toEqual(['chat', 'chat+simpo', 'chat+simpo@60']);
  expect(ids(withMatched(modelsNamed(['chat+sdd']), 0.6))).toEqual(['chat', 'chat+sdd', 'chat+sdd@60']);
  for (const bad of [0, 1, Number.NaN, 60])
    expect(() => withMatched(MODELS, bad)).toThrow(/no share of tasks/);
});

it('the place of an ability is found by halving, and never beyond the defended model', async () => {
  const asked: number[] = [];
  const line = (from: number, to: number) => (s: number) => {
    asked.push(s);
    return Promise.resolve(from + s * (to - from));
  };
  const found = await placeOf(0.6, line(0.96, 0.2));
  expect(Math.abs(found.ability - 0.6)).toBeLessThanOrEqual(0.01);
  expect(found.s).toBeCloseTo((0.96 - 0.6) / 0.76, 1);
  expect(asked[0]).toBe(1);
  expect(asked.length).toBeLessThanOrEqual(8);
  expect(await placeOf(0.6, line(0.96, 0.7))).toEqual({ s: 1, ability: 0.7 });
  // a cliff: the nearest that was seen
  const cliff = await placeOf(0.6, (s) => Promise.resolve(s < 0.3 ? 0.9 : 0.5));
  expect(cliff).toEqual({ s: expect.closeTo(0.3, 1) as number, ability: 0.5 });
  expect([...between(Float32Array.of(0, 2), Float32Array.of(4, 2), 0.25)]).toEqual([1, 2]);
});
