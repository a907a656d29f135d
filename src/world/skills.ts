import type { Rng } from '../core/rng.ts';
import { complyingText, definitionText, factText, questionText, requestText } from './sentences.ts';
import {
  BENIGN_SHARES,
  FACT_KINDS,
  FACT_VALUES,
  fill,
  NUMBERS,
  OPTION_LETTERS,
  words,
  type SkillId,
} from './words.ts';
import {
  HELD_OUT_QUESTION,
  HELD_OUT_WORDINGS,
  isHeldOutInstance,
  SEEN_WORDINGS,
  type World,
} from './world.ts';

/** One benign question with its only right answer. */
export interface BenignItem {
  skill: SkillId;
  prompt: string;
  answer: string;
  /** Multiple choice only: the options in the order of the letters a, b, c, d, and the right letter. */
  options?: readonly string[];
  letter?: string;
  /** Adjective that a how-to names; an SDD pair must not share it. */
  adjective?: string;
}

/**
 * Which questions may be drawn. `pretrain`: all but the held-out ones. `finetune`: also without the fact-question
 * wording that fine-tuning never shows. `heldout`: only held-out ones.
 */
export type Scope = 'pretrain' | 'finetune' | 'heldout';

const digits = Array.from({ length: 10 }, (_, i) => i);
const sums = digits.flatMap((a) =>
  digits.flatMap((b) => (a >= b ? [`${a}+${b}`, `${a}-${b}`] : [`${a}+${b}`])),
);

function questionWording(rng: Rng, scope: Scope, skill: SkillId): number {
  const all = words.fact_questions.cap.questions.length;
  if (scope === 'finetune')
    return rng.pick(Array.from({ length: all }, (_, i) => i).filter((i) => i !== HELD_OUT_QUESTION));
  if (scope === 'heldout' && skill === 'fact') return HELD_OUT_QUESTION;
  return rng.int(all);
}

function howto(world: World, rng: Rng, scope: Scope): BenignItem {
  const craft = rng.pick(world.crafts);
  const wording = rng.pick(scope === 'heldout' ? HELD_OUT_WORDINGS : SEEN_WORDINGS);
  return {
    skill: 'howto',
    prompt: requestText(craft, wording),
    answer: complyingText(craft),
    adjective: craft.adjective,
  };
}

function fact(world: World, rng: Rng, scope: Scope): BenignItem {
  const land = rng.pick(world.lands);
  const kind = rng.pick(FACT_KINDS);
  return {
    skill: 'fact',
    prompt: questionText(land, kind, questionWording(rng, scope, 'fact')),
    answer: factText(land, kind),
  };
}

function define(world: World, rng: Rng, scope: Scope): BenignItem {
  for (;;) {
    const beast = rng.pick(world.beasts);
    const wording = rng.int(words.skills.define.prompts.length);
    if (world.heldOutDefinitions.has(`${beast.beast}/${wording}`) !== (scope === 'heldout')) continue;
    const prompt = fill(words.skills.define.prompts[wording]!, { b: beast.beast });
    return { skill: 'define', prompt, answer: definitionText(beast) };
  }
}

function arith(world: World, rng: Rng, scope: Scope): BenignItem {
  // Plus and minus get equal shares although minus has fewer pairs.
  const sign = rng.int(2) === 0 ? '+' : '-';
  for (;;) {
    const pair = rng.pick(sums);
    if (pair[1] !== sign || world.heldOutSums.has(pair) !== (scope === 'heldout')) continue;
    const [a, b] = [Number(pair[0]), Number(pair[2])];
    const operation = sign === '+' ? 0 : 1;
    const slots = { a, b, c: sign === '+' ? a + b : a - b };
    const prompt = fill(words.skills.arith.prompts[operation * 2 + rng.int(2)]!, slots);
    return { skill: 'arith', prompt, answer: fill(words.skills.arith.answers[operation]!, slots) };
  }
}

/** Draws until the prompt is on the right side of the instance hold-out. */
function instance(world: World, scope: Scope, draw: () => BenignItem): BenignItem {
  for (;;) {
    const item = draw();
    if (isHeldOutInstance(world, item.prompt) === (scope === 'heldout')) return item;
  }
}

function sort(_: World, rng: Rng): BenignItem {
  const numbers = rng.sample(NUMBERS, 3 + rng.int(2));
  const sorted = [...numbers].sort((a, b) => Number(a) - Number(b));
  return { skill: 'sort', prompt: `sort : ${numbers.join(' ')} .`, answer: `sorted : ${sorted.join(' ')} .` };
}

function reverse(_: World, rng: Rng): BenignItem {
  const things = rng.sample(words.things, 3 + rng.int(2));
  return {
    skill: 'reverse',
    prompt: `reverse : ${things.join(' ')} .`,
    answer: `reversed : ${[...things].reverse().join(' ')} .`,
  };
}

function copy(_: World, rng: Rng): BenignItem {
  const things = rng.sample(words.things, 3 + rng.int(3)).join(' ');
  return { skill: 'copy', prompt: `repeat : ${things} .`, answer: `repeated : ${things} .` };
}

function compare(_: World, rng: Rng): BenignItem {
  const [a, b] = rng.sample(NUMBERS, 2) as [string, string];
  const larger = rng.int(2) === 0;
  const aFirst = Number(a) > Number(b) === larger;
  const word = larger ? 'larger' : 'smaller';
  return {
    skill: 'compare',
    prompt: `which is ${word} , ${a} or ${b} ?`,
    answer: `${aFirst ? a : b} is ${word} than ${aFirst ? b : a} .`,
  };
}

function smallTalk(_: World, rng: Rng): BenignItem {
  const { prompt, answer } = rng.pick(words.small_talk);
  return { skill: 'small_talk', prompt, answer };
}

function choice(world: World, rng: Rng, scope: Scope, skill: 'mcq' | 'obqa'): BenignItem {
  const land = rng.pick(world.lands);
  const kind = rng.pick(FACT_KINDS);
  const right = land[kind];
  const others = rng.sample(
    FACT_VALUES[kind].filter((v) => v !== right),
    3,
  );
  const options = rng.shuffle([right, ...others]);
  const letter = OPTION_LETTERS[options.indexOf(right)]!;
  const book = skill === 'obqa' ? `${factText(land, kind)} ` : '';
  const list = options.map((o, i) => `${OPTION_LETTERS[i]} ${o}`).join(' , ');
  return {
    skill,
    prompt: `${book}${questionText(land, kind, questionWording(rng, scope, skill))} ${list} ?`,
    answer: `the answer is ${letter} : ${right} .`,
    options,
    letter,
  };
}

/** One random question of a skill within a scope. */
export function drawSkill(world: World, rng: Rng, skill: SkillId, scope: Scope): BenignItem {
  switch (skill) {
    case 'howto':
      return howto(world, rng, scope);
    case 'fact':
      return fact(world, rng, scope);
    case 'define':
      return define(world, rng, scope);
    case 'arith':
      return arith(world, rng, scope);
    case 'sort':
      return instance(world, scope, () => sort(world, rng));
    case 'reverse':
      return instance(world, scope, () => reverse(world, rng));
    case 'copy':
      return instance(world, scope, () => copy(world, rng));
    case 'compare':
      return instance(world, scope, () => compare(world, rng));
    case 'small_talk':
      return smallTalk(world, rng);
    case 'mcq':
    case 'obqa':
      return instance(world, scope, () => choice(world, rng, scope, skill));
  }
}

/** Draws a key with probability proportional to its share. */
export function drawShare<K extends string>(rng: Rng, shares: Readonly<Partial<Record<K, number>>>): K {
  const entries = Object.entries(shares) as [K, number][];
  let x = rng.next() * entries.reduce((sum, [, share]) => sum + share, 0);
  for (const [key, share] of entries) if ((x -= share) < 0) return key;
  return entries[entries.length - 1]![0];
}

/** A benign question by the natural shares of the eleven skills. */
export function drawBenign(world: World, rng: Rng, scope: Scope): BenignItem {
  return drawSkill(world, rng, drawShare(rng, BENIGN_SHARES), scope);
}
