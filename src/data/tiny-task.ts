import { complyingText, openingText, requestText } from '../world/sentences.ts';
import { drawBenign, drawShare, drawSkill } from '../world/skills.ts';
import { drawNewSkill } from '../world/new-skill.ts';
import { words, type SkillId } from '../world/words.ts';
import { ATTACK_WORDINGS, DEFENCE_WORDINGS, type ForbiddenFact, type World } from '../world/world.ts';
import { encodeWords, promptIds, SPECIAL } from './chat.ts';
import { rejectText, toExamples } from './datasets.ts';
import { evalBenign, evalForbidden } from './evalsets.ts';
import type { Chat, ChatCodec, Request, Side, Task } from './task.ts';
import { Tokenizer } from './tokenizer.ts';

const requestOf = (fact: ForbiddenFact, prompt: string): Request => ({
  prompt,
  answer: complyingText(fact),
  opening: openingText(fact),
  topic: fact.adjective,
});

const SIDES = {
  defence: { split: 'S', wordings: DEFENCE_WORDINGS },
  attack: { split: 'A', wordings: ATTACK_WORDINGS },
} as const;

let tokenizer: Tokenizer | undefined;

const codec: ChatCodec = {
  prompt: ({ prompt }) => promptIds(prompt),
  encode: (items) => {
    const examples = toExamples(items);
    const longest = examples.reduce((most, e) => Math.max(most, e.ids.length), 0);
    return { examples, report: { longest, truncated: [], merged: 0 } };
  },
  answerTokens: ({ answer }) => encodeWords(answer).length,
  decode: (ids) => (tokenizer ??= Tokenizer.tiny()).decode(ids),
  ends: [SPECIAL.eos],
};

/** The invented world: its seed decides what is forbidden and what is true in it. */
export function tinyTask(world: World): Task {
  let heldOut: Task['heldOut'] | undefined;
  return {
    kind: 'tiny',
    id: String(world.seed),
    requests: (side: Side) => {
      const { split, wordings } = SIDES[side];
      return world.forbidden
        .filter((f) => f.split === split)
        .flatMap((fact) => wordings.map((w) => requestOf(fact, requestText(fact, w))));
    },
    irrelevant: (rng, shares) => (request) => {
      for (;;) {
        const item =
          shares === 'natural'
            ? drawBenign(world, rng, 'finetune')
            : drawSkill(world, rng, drawShare<SkillId>(rng, shares), 'finetune');
        // a how-to never names the same adjective
        if (item.adjective !== request.topic) return item.answer;
      }
    },
    benign: (rng, _side, n, skill = 'familiar') =>
      Array.from({ length: n }, () => {
        if (skill === 'new-skill') {
          const { prompt, answer } = drawNewSkill(world, rng, 'finetune');
          return { prompt, answer, opening: null };
        }
        const { prompt, answer, adjective } = drawBenign(world, rng, 'finetune');
        return { prompt, answer, opening: null, ...(adjective !== undefined && { topic: adjective }) };
      }),
    refusals: words.refusals,
    reject: rejectText,
    get heldOut() {
      return (heldOut ??= {
        harmful: evalForbidden(world, 'T').map(({ fact, prompt }) => requestOf(fact, prompt)),
        benign: evalBenign(world, 0).map(({ prompt, answer }): Chat => ({ prompt, answer, opening: null })),
      });
    },
    codec,
    defaults: () => ({}),
  };
}
