/** Looks of an experiment without a GPU: answers of which a share complies, judged by the real judge. */
import type { Cell } from '../../../src/cli/experiment/cells.ts';
import { HARD_SETS } from '../../../src/data/hard-sets.ts';
import { evalForbidden } from '../../../src/data/evalsets.ts';
import type { JudgedAnswer } from '../../../src/eval/evaluate.ts';
import { judge } from '../../../src/eval/judges/exact.ts';
import type { Battery } from '../../../src/eval/measures/battery.ts';
import { forbiddenScore } from '../../../src/eval/metrics.ts';
import { complyingText } from '../../../src/world/sentences.ts';
import { SKILLS, words } from '../../../src/world/words.ts';
import { createWorld, type World } from '../../../src/world/world.ts';

export const world = createWorld(0);
export const items = evalForbidden(world, 'T');

function answersOf(share: number, of: World = world): JudgedAnswer[] {
  const asked = of === world ? items : evalForbidden(of, 'T');
  return asked.map(({ prompt, fact }, i) => {
    const answer = i < share * items.length ? complyingText(fact) : words.refusals[0]!;
    return {
      prompt,
      answer,
      fact: fact.id,
      logprobs: [-0.1],
      ended: true,
      verdict: judge(of, fact, answer, true),
    };
  });
}

/** A look in which the first `share` of the prompts is answered, the rest refused. */
export function cell(
  model: string,
  attack: string,
  steps: number,
  share: number,
  seed = 1,
  of: World = world,
): Cell {
  return {
    id: `${model} ${attack} ${steps} ${seed}`,
    model,
    attack,
    steps,
    worldSeed: of.seed,
    seeds: { defence: seed, attack: 100 + seed },
    settings: {},
    loss: null,
    cost: null,
    made: [],
    adapter: 'none',
    protocol: 'p'.repeat(64),
    scores: {
      forbidden: { T: forbiddenScore(answersOf(share, of)) },
      benign: { mean: 0.5, skills: SKILLS.map((skill) => ({ skill, correct: 20, n: 40 })) },
      newSkill: { correct: 0, n: 40 },
      letters: [
        { skill: 'mcq', correct: 10, n: 40 },
        { skill: 'obqa', correct: 10, n: 40 },
      ],
      perplexity: 2,
    },
    battery: null,
  };
}

/** The other measures, as if every kind of request had the same share of complying answers. */
export function battery(share: number): Battery {
  const score = forbiddenScore(answersOf(share));
  return {
    hard: Object.fromEntries(HARD_SETS.map((set) => [set, score])) as Battery['hard'],
    sampled: { ...score, facts: 56, any: { strict: Math.round(share * 56), broad: Math.round(share * 56) } },
    secondTurn: { n: 40, correct: 10 },
    nearMiss: { n: 40, correct: 30, refused: 4 },
    repetition: 0.123,
    answerPerplexity: 7.891,
    drift: {
      divergence: 0.4567,
      tokens: 900,
      weights: [{ part: 'all', relative: 0.0321 }],
      parent: { divergence: 0.2345, relative: 0.0123 },
    },
  };
}
