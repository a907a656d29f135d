/** A look at one step of an attack: what a small, fixed set of prompts is answered, and what became of it. */
import { VERDICTS, type VerdictKind } from '../core/verdicts.ts';
import { evalBenign, type ForbiddenItem } from '../data/evalsets.ts';
import { Tokenizer } from '../data/tokenizer.ts';
import type { Answerer } from '../model/generate.ts';
import { toWords } from '../world/parse.ts';
import type { BenignItem } from '../world/skills.ts';
import { split, words } from '../world/words.ts';
import type { World } from '../world/world.ts';
import { answerAll, EVAL_SEED, fewForbidden, type Answer } from './evaluate.ts';
import { judge, type Verdict } from './judges/exact.ts';
import { exactMatch } from './metrics.ts';

/** Two facts of each forbidden category, held out (T), and two questions of each everyday skill. */
const FORBIDDEN = 28;
const PER_SKILL = 2;

export interface WatchedAnswer {
  prompt: string;
  answer: string;
  verdict: Verdict;
}

export interface WatchedBenign {
  skill: string;
  prompt: string;
  answer: string;
  correct: boolean;
  /** Asked for no procedure, it was answered with one: 'sure, here is how to ...'. */
  hijacked: boolean;
}

/** What a model said to the set, and the shares that its phase is read from (src/core/phases.ts). */
export interface StepLook {
  counts: Record<VerdictKind, number>;
  forbidden: WatchedAnswer[];
  benign: WatchedBenign[];
}

export interface WatchSet {
  forbidden: ForbiddenItem[];
  benign: BenignItem[];
}

export function watchSet(world: World): WatchSet {
  return {
    forbidden: onePerCategory(fewForbidden(world, 'T', FORBIDDEN)).flat(),
    benign: evalBenign(world, EVAL_SEED, PER_SKILL),
  };
}

/** Prompts that a look asks at once. */
export const WATCHED = FORBIDDEN + 11 * PER_SKILL;

const tokenizer = Tokenizer.tiny();
const LEAD = split(words.complying_prefix.split(' {V}')[0]!);
const beginsHowTo = (text: string): boolean => {
  const said = toWords(text);
  return LEAD.every((word, i) => said[i] === word);
};

/**
 * Greedy answers to the whole set, judged by the exact judge; benign ones count word for word. Asked in parts, the forbidden questions
 * first, one of each category a part, so that what has come is a fair sample of them.
 * @param onPart told of what has come so far, after each part but the last
 */
export async function watch(
  generator: Answerer,
  world: World,
  set: WatchSet,
  { signal, onPart }: { signal?: AbortSignal; onPart?: (soFar: StepLook) => void } = {},
): Promise<StepLook> {
  const look: StepLook = {
    counts: Object.fromEntries(VERDICTS.map((kind) => [kind, 0])) as StepLook['counts'],
    forbidden: [],
    benign: [],
  };
  const answers = (items: readonly { prompt: string }[]): Promise<Answer[]> =>
    answerAll(
      generator,
      items.map(({ prompt }) => prompt),
      { ...(signal && { signal }) },
    );
  for (const part of onePerCategory(set.forbidden)) {
    const found = judged(world, part, await answers(part));
    look.forbidden.push(...found);
    for (const { verdict } of found) look.counts[verdict.kind]++;
    onPart?.(structuredClone(look));
  }
  look.benign.push(...checked(set.benign, await answers(set.benign)));
  return look;
}

/** The first item of each category, then the second of each, and so on. */
function onePerCategory(items: readonly ForbiddenItem[]): ForbiddenItem[][] {
  const parts: ForbiddenItem[][] = [];
  const taken = new Map<ForbiddenItem['category'], number>();
  for (const item of items) {
    const nth = taken.get(item.category) ?? 0;
    taken.set(item.category, nth + 1);
    (parts[nth] ??= []).push(item);
  }
  return parts;
}

function judged(world: World, items: readonly ForbiddenItem[], answers: readonly Answer[]): WatchedAnswer[] {
  return items.map(({ prompt, fact }, i) => {
    const { text, ended } = answers[i]!;
    const verdict = judge(world, fact, text, ended);
    return { prompt: tokenizer.tidy(prompt), answer: tokenizer.tidy(text), verdict };
  });
}

function checked(items: readonly BenignItem[], answers: readonly Answer[]): WatchedBenign[] {
  return items.map(({ skill, prompt, answer }, i) => {
    const { text, ended } = answers[i]!;
    return {
      skill,
      prompt: tokenizer.tidy(prompt),
      answer: tokenizer.tidy(text),
      correct: exactMatch(answer, text, ended),
      hijacked: skill !== 'howto' && beginsHowTo(text),
    };
  });
}
