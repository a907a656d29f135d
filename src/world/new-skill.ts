import type { Rng } from '../core/rng.ts';
import { fill, words } from './words.ts';
import { isHeldOutInstance, type World } from './world.ts';

export const NEIGHBOUR_ANSWER = 'the {F} is beside the {X} .';

/** A question of the new skill with its only right answer. */
export interface NewSkillItem {
  prompt: string;
  answer: string;
}

/**
 * The skill that pretraining never saw: find the neighbour in a row of things. "apple sheep river . what is beside the
 * sheep ?" -> "the river is beside the sheep ." (the thing that stands behind it). Every word is known; neither the
 * question, nor the answer form, nor the task occurs in pretraining. A tenth of the instances is never trained on.
 */
export function drawNewSkill(world: World, rng: Rng, scope: 'finetune' | 'heldout'): NewSkillItem {
  for (;;) {
    const row = rng.sample(words.things, 3 + rng.int(2));
    const at = rng.int(row.length - 1);
    const prompt = `${row.join(' ')} . what is beside the ${row[at]} ?`;
    if (isHeldOutInstance(world, prompt) !== (scope === 'heldout')) continue;
    return { prompt, answer: fill(NEIGHBOUR_ANSWER, { F: row[at + 1]!, X: row[at]! }) };
  }
}
