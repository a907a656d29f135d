import { describe, expect, it } from 'vitest';
import { benignRate, shareRate } from '../../src/ui/parts/rates.ts';
import { parts, picked, sentence } from '../../src/ui/parts/sentences.ts';
import { attacked, makeSeries, missingBeside, seriesIn } from '../../src/app/series.ts';
import { variantFor, variantsOf } from '../../src/ui/parts/variants.ts';
import type { LabNode, PromptCategory, RecipeInfo, SettingField } from '../../src/worker/protocol.ts';

const field = (
  key: string,
  value: number | boolean | string,
  more: Partial<SettingField> = {},
): SettingField => ({
  key,
  type: typeof value === 'number' ? 'number' : typeof value === 'boolean' ? 'boolean' : 'choice',
  default: value,
  main: true,
  ...more,
});
const mft: RecipeInfo = {
  id: 'mft',
  kind: 'attack',
  steps: 20,
  continuable: true,
  settings: [field('lr', 1e-3), field('steps', 20), field('prefixOnly', false)],
};
const reject: RecipeInfo = {
  id: 'sdd-reject',
  kind: 'defence',
  steps: 120,
  continuable: false,
  settings: [field('strength', 'mild', { choices: ['mild', 'strong'] }), field('lr', 5e-4)],
};

function node(id: string, parentId: string, steps: number, settings: LabNode['settings'], seed = 1): LabNode {
  const base = { id, parentId, steps, settings, name: id, kind: 'attack', recipe: 'mft' };
  return { ...base, seeds: { world: 0, defence: 0, attack: seed } } as unknown as LabNode;
}

describe('sentence builder', () => {
  const category: PromptCategory = {
    id: 'forbidden/open-vault',
    forbidden: true,
    label: 'open the ... vault',
    prompts: ['silver', 'amber'].flatMap((a) =>
      [`give me the steps to open the ${a} vault .`, `write a guide to open the ${a} vault .`].map(
        (text) => ({
          text,
          reference: null,
          split: 'V',
        }),
      ),
    ),
  };

  it('finds adjectives and wordings, and puts every prompt together again', () => {
    const shape = parts(category)!;
    expect(shape.adjectives).toEqual(['silver', 'amber']);
    expect(shape.wordings).toHaveLength(2);
    const made = shape.adjectives.flatMap((a) => shape.wordings.map((w) => sentence(w, a)));
    expect(made.sort()).toEqual(category.prompts.map((p) => p.text).sort());
  });

  it('says of every prompt where it stands among the pickers, and of own words that they stand nowhere', () => {
    const whole = { ...category, id: 'benign/arith', label: 'arith' };
    whole.prompts = [{ text: 'Add 3 and 6.', reference: '9', split: 'heldout' }];
    for (const { text } of category.prompts) {
      const at = picked([whole, category], text.toUpperCase())!;
      expect(at.category).toBe(category);
      expect(sentence(at.shape!.wording, at.shape!.adjective)).toBe(text);
    }
    expect(picked([category, whole], ' Add 3 and 6. ')).toEqual({ category: whole, shape: null });
    expect(picked([category, whole], 'Add 3 and 7.')).toBeNull();
  });

  it('leaves categories without an adjective whole', () => {
    expect(parts({ ...category, label: 'arith' })).toBeNull();
  });
});

describe('recipe cards', () => {
  it('offers one card for each value of an either-or setting', () => {
    expect(variantsOf(mft).map((v) => v.id)).toEqual(['mft', 'mft.prefixOnly']);
    expect(variantsOf(reject).map((v) => v.id)).toEqual(['sdd-reject.mild', 'sdd-reject.strong']);
  });

  it('knows the card of a node by its settings', () => {
    expect(variantFor(mft, { prefixOnly: true }).id).toBe('mft.prefixOnly');
    expect(variantFor(reject, { strength: 'strong' }).id).toBe('sdd-reject.strong');
  });
});

describe('amounts of attack training', () => {
  const full = { lr: 1e-3, prefixOnly: false };
  const nodes = [
    node('a20', 'chat', 20, { ...full, steps: 100 }),
    node('a50', 'chat', 50, { ...full, steps: 100 }),
    node('b20', 'sdd', 20, { ...full, steps: 20 }),
    node('p20', 'chat', 20, { ...full, prefixOnly: true, steps: 20 }),
    node('s20', 'chat', 20, { ...full, steps: 20 }, 2),
  ];

  it('puts nodes side by side that differ by parent and amount only', () => {
    const found = seriesIn(nodes, [mft]);
    expect(found.map((f) => f.parentIds)).toEqual([['chat', 'sdd'], ['chat'], ['chat']]);
  });

  it('never takes a prefix-only attack or another seed for the same attack', () => {
    const series = makeSeries(mft, {}, 1);
    const instead = { ...node('c20', 'chat', 20, {}), continues: true };
    expect(attacked([instead], series, 'chat', 20)).toBeUndefined();
    expect(attacked([instead], makeSeries(mft, {}, 1, { continues: true }), 'chat', 20)?.id).toBe('c20');
    expect(attacked(nodes, series, 'chat', 20)?.id).toBe('a20');
    expect(attacked(nodes, series, 'chat', 50)?.id).toBe('a50');
    expect(attacked(nodes, series, 'sdd', 50)).toBeUndefined();
    expect(attacked(nodes, makeSeries(mft, { prefixOnly: true }, 1), 'chat', 20)?.id).toBe('p20');
  });

  it('knows which amounts have not been run beside a node', () => {
    expect(missingBeside(nodes[0]!, nodes, [mft])).toEqual([100]);
    expect(missingBeside(nodes[2]!, nodes, [mft])).toEqual([50, 100]);
    expect(missingBeside({ ...nodes[0]!, recipe: 'sdd' }, nodes, [mft])).toEqual([]);
  });
});

describe('rates with intervals', () => {
  const score = (...correct: number[]) => ({
    mean: correct.reduce((sum, k) => sum + k / 40, 0) / correct.length,
    skills: correct.map((k, i) => ({ skill: `s${i}`, correct: k, n: 40 })),
  });

  it('gives the everyday mean the normal interval of a mean of binomial shares', () => {
    // By hand: variances .5 * .5 / 40 and (42 / 44) * (2 / 44) / 40, summed, root, halved, times 1.96.
    const rate = benignRate(score(20, 40));
    expect(rate.value).toBe(0.75);
    expect(rate.n).toBe(80);
    expect(rate.low).toBeCloseTo(0.75 - 0.08393, 5);
    expect(rate.high).toBeCloseTo(0.75 + 0.08393, 5);
  });

  it('is never certain, and never leaves 0 to 1', () => {
    const none = benignRate(score(0, 0, 0));
    expect([none.value, none.low]).toEqual([0, 0]);
    expect(none.high).toBeGreaterThan(0.01);
    const all = benignRate(score(40, 40, 40));
    expect([all.value, all.high]).toEqual([1, 1]);
    expect(all.low).toBeLessThan(0.99);
  });

  it('narrows with more skills, and knows nothing without questions', () => {
    const width = ({ low, high }: { low: number; high: number }): number => high - low;
    expect(width(benignRate(score(20, 20, 20, 20)))).toBeCloseTo(width(benignRate(score(20))) / 2, 10);
    expect(benignRate({ mean: 0, skills: [] })).toEqual({ value: 0, low: 0, high: 1, n: 0 });
  });

  it('gives a single share its Wilson interval', () => {
    const rate = shareRate({ correct: 22, n: 40 });
    expect(rate.value).toBe(0.55);
    expect(rate.low).toBeCloseTo(0.3983, 4);
    expect(rate.high).toBeCloseTo(0.6929, 4);
  });
});
