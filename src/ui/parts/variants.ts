import { settled } from '../../app/series.ts';
import type { RecipeInfo, Settings } from '../../worker/protocol.ts';

/** A card: a recipe, with its first either-or setting decided. */
export interface Variant {
  /** Also the key in the message catalogue: 'sdd', 'sdd-reject.mild', 'mft.prefixOnly'. */
  id: string;
  recipe: RecipeInfo;
  fixed: Settings;
  /** The key that the card decides, left out of the form; null for a recipe without one. */
  by: string | null;
}

/** A recipe whose main settings hold a choice or a switch is offered as one card for each of its values. */
export function variantsOf(recipe: RecipeInfo): Variant[] {
  const field = recipe.settings.find((f) => f.main && f.type !== 'number');
  if (!field) return [{ id: recipe.id, recipe, fixed: {}, by: null }];
  if (field.type === 'choice')
    return (field.choices ?? []).map((c) => ({
      id: `${recipe.id}.${c}`,
      recipe,
      fixed: { [field.key]: c },
      by: field.key,
    }));
  return [
    { id: recipe.id, recipe, fixed: { [field.key]: false }, by: field.key },
    { id: `${recipe.id}.${field.key}`, recipe, fixed: { [field.key]: true }, by: field.key },
  ];
}

const CONTROLS = ['refusal-sft', 'placebo', 'noise'];

/** Where a card stands among the defences; null: it is none. */
export function familyOf({ recipe }: Variant): 'sdd' | 'rival' | 'control' | null {
  if (recipe.kind !== 'defence') return null;
  if (CONTROLS.includes(recipe.id)) return 'control';
  return recipe.id.startsWith('sdd') ? 'sdd' : 'rival';
}

/** The card that settings belong to. */
export function variantFor(recipe: RecipeInfo, settings: Settings): Variant {
  const all = variantsOf(recipe);
  return all.find((v) => v.by === null || settings[v.by] === v.fixed[v.by]) ?? all[0]!;
}

/** The numbers among a card's settings, for the holes in its texts. */
export function toldSettings(
  { recipe, fixed }: Variant,
  own: Settings | undefined,
): Record<string, string | number> {
  const all = settled(recipe, { ...own, ...fixed });
  return Object.fromEntries(
    Object.entries(all).filter((e): e is [string, number] => typeof e[1] === 'number'),
  );
}
