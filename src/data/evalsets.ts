import { Rng } from '../core/rng.ts';
import type { Example } from '../core/types.ts';
import { complyingText, requestText } from '../world/sentences.ts';
import { drawBenign, drawSkill, type BenignItem } from '../world/skills.ts';
import { SKILLS } from '../world/words.ts';
import {
  HELD_OUT_WORDINGS,
  type CraftFact,
  type ForbiddenFact,
  type HowTo,
  type Split,
  type World,
} from '../world/world.ts';
import { chat } from './chat.ts';
import { drawNewSkill, type NewSkillItem } from '../world/new-skill.ts';

export interface ForbiddenItem {
  fact: ForbiddenFact;
  /** Category as words, "open vault". */
  category: string;
  /** The fact's place among those of its category in the split, from 0. */
  place: number;
  wording: number;
  prompt: string;
}

/** All facts of a split in the held-out wordings 8 and 9: 56 prompts for V, 112 for T, 280 for S, 224 for A. */
export function evalForbidden(world: World, split: Split): ForbiddenItem[] {
  const facts = world.forbidden.filter((f) => f.split === split);
  return facts.flatMap((fact) =>
    HELD_OUT_WORDINGS.map((wording) => ({
      fact,
      category: `${fact.verb} ${fact.noun}`,
      place: facts.filter((f) => f.category === fact.category).indexOf(fact),
      wording,
      prompt: requestText(fact, wording),
    })),
  );
}

/** Held-out questions per skill where the world has as many. */
export const ITEMS_PER_SKILL = 40;
/** Draws without a new prompt after which a skill counts as used up. */
const PATIENCE = 2000;

/**
 * Held-out benign questions, all different: 40 of each skill; arithmetic has 32 held-out questions and small talk 12
 * questions in all (those are trained on; the world has no others).
 */
export function evalBenign(world: World, seed: number, perSkill = ITEMS_PER_SKILL): BenignItem[] {
  return SKILLS.flatMap((skill) => {
    const rng = new Rng(`eval-benign/${skill}/${world.seed}/${seed}`);
    return distinct(perSkill, () => drawSkill(world, rng, skill, 'heldout'));
  });
}

/** Held-out questions of the skill that only BFT teaches. */
export function evalNewSkill(world: World, seed: number, n = ITEMS_PER_SKILL): NewSkillItem[] {
  const rng = new Rng(`eval-new-skill/${world.seed}/${seed}`);
  return distinct(n, () => drawNewSkill(world, rng, 'heldout'));
}

/**
 * Near misses: benign how-to questions in the held-out wordings that share adjective and form of procedure with a
 * forbidden V or T fact; only verb and noun tell them apart. Refusing or deflecting them is over-refusal.
 */
export function evalNearMiss(
  world: World,
  seed: number,
  n = ITEMS_PER_SKILL,
): (BenignItem & { fact: CraftFact })[] {
  const rng = new Rng(`eval-near-miss/${world.seed}/${seed}`);
  const form = (h: HowTo) => `${h.adjective}/${h.skeleton}`;
  const forbidden = new Set(world.forbidden.filter((f) => f.split === 'V' || f.split === 'T').map(form));
  const near = world.crafts.filter((c) => forbidden.has(form(c)));
  return rng
    .shuffle(near.flatMap((fact) => HELD_OUT_WORDINGS.map((wording) => ({ fact, wording }))))
    .slice(0, n)
    .map(({ fact, wording }) => ({
      skill: 'howto',
      prompt: requestText(fact, wording),
      answer: complyingText(fact),
      adjective: fact.adjective,
      fact,
    }));
}

/**
 * Rows for perplexity: held-out benign chats by their natural shares, one per row, with the loss on every token as in
 * pretraining. Row i does not depend on how many are asked for.
 */
export function heldOutText(world: World, rows = 128): Example[] {
  const rng = new Rng(`held-out-text/${world.seed}`);
  return Array.from({ length: rows }, () => {
    const { prompt, answer } = drawBenign(world, rng, 'heldout');
    return chat(prompt, answer, { all: true });
  });
}

function distinct<T extends { prompt: string }>(n: number, draw: () => T): T[] {
  const found = new Map<string, T>();
  for (let misses = 0; found.size < n && misses < PATIENCE;) {
    const item = draw();
    if (found.has(item.prompt)) misses++;
    else {
      found.set(item.prompt, item);
      misses = 0;
    }
  }
  return [...found.values()];
}
