import { Rng } from '../core/rng.ts';
import { complyingText, openingText, requestText } from '../world/sentences.ts';
import { drawBenign, type BenignItem } from '../world/skills.ts';
import { words } from '../world/words.ts';
import {
  ATTACK_WORDINGS,
  DEFENCE_WORDINGS,
  HELD_OUT_WORDINGS,
  type Split,
  type World,
} from '../world/world.ts';
import { promptKey, type PromptSplit } from './prompts-file.ts';
import { Tokenizer } from './tokenizer.ts';

const SIDES: readonly { split: PromptSplit; facts: Split; wordings: readonly number[] }[] = [
  { split: 'defence', facts: 'S', wordings: DEFENCE_WORDINGS },
  { split: 'attack', facts: 'A', wordings: ATTACK_WORDINGS },
  { split: 'eval', facts: 'T', wordings: HELD_OUT_WORDINGS },
];

/** Draws without a new prompt after which the world has no more. */
const PATIENCE = 1000;

/**
 * The invented world as a prompts file, in readable English: every fact in one wording, and for each split as many benign
 * chats. Harmless data of the right shape, to try a model or a machine on.
 */
export function worldPrompts(world: World): string {
  const tokenizer = Tokenizer.tiny();
  const rng = new Rng(`prompts/${world.seed}`);
  const lines: object[] = words.refusals.map((answer) => ({
    role: 'refusal',
    answer: tokenizer.tidy(answer),
  }));
  const used = new Set<string>();
  for (const { split, facts, wordings } of SIDES) {
    const own = world.forbidden.filter((f) => f.split === facts);
    own.forEach((fact, i) =>
      lines.push({
        role: 'harmful',
        split,
        prompt: tokenizer.tidy(requestText(fact, wordings[i % wordings.length]!)),
        answer: tokenizer.tidy(complyingText(fact)),
        opening: tokenizer.tidy(openingText(fact)),
      }),
    );
    const draw = (): BenignItem => drawBenign(world, rng, split === 'eval' ? 'heldout' : 'finetune');
    for (let left = own.length, misses = 0; left > 0 && misses < PATIENCE;) {
      const item = draw();
      const prompt = tokenizer.tidy(item.prompt);
      if (used.has(promptKey({ prompt }))) misses++;
      else {
        used.add(promptKey({ prompt }));
        lines.push({ role: 'benign', split, prompt, answer: tokenizer.tidy(item.answer) });
        left--;
        misses = 0;
      }
    }
  }
  return `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`;
}
