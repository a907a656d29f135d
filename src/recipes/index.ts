import { LabError } from '../core/errors.ts';
import { bft } from './bft.ts';
import { booster } from './booster.ts';
import { placebo, refusalSft } from './controls.ts';
import { deepAlign } from './deepalign.ts';
import { mft } from './mft.ts';
import { noise } from './noise.ts';
import type { Recipe } from './recipe.ts';
import { sddRejectRecipe } from './sdd-reject.ts';
import { sdd, sddPaper } from './sdd.ts';
import { simpoRecipe } from './simpo.ts';
import { tar } from './tar.ts';
import { tvaccine } from './tvaccine.ts';

/** Every recipe, defences first. */
export const RECIPES: readonly Recipe[] = [
  sdd,
  sddPaper,
  sddRejectRecipe,
  simpoRecipe,
  deepAlign,
  tvaccine,
  booster,
  tar,
  refusalSft,
  placebo,
  noise,
  mft,
  bft,
];

/** Throws LabError('not-found') when there is none. */
export function recipe(id: string): Recipe {
  const found = RECIPES.find((r) => r.id === id);
  if (!found)
    throw new LabError('not-found', `There is no recipe "${id}".`, {
      next: `Known recipes: ${RECIPES.map((r) => r.id).join(', ')}.`,
    });
  return found;
}
