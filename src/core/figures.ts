/** Figures with their intervals, made of answers by fact: the same in the terminal's tables and in the page's. */
import { Rng } from './rng.ts';
import {
  hierarchicalBootstrap,
  meanShareError,
  nestedMean,
  newcombe,
  union,
  wilson,
  Z95,
  type Interval,
  type Nested,
} from './stats.ts';
import { byFact, HARMFULNESS, type VerdictKind } from './verdicts.ts';

/** A figure with its 95 % interval. */
export interface Figure {
  value: number;
  interval: Interval;
}

/** Figures of one run's facts, in the groups of their categories. */
export type ByCategory = number[][];

/** Figures of facts in the groups of their categories, in the order of the categories, for resampling. */
export function inCategories(facts: readonly { category: number; share: number }[]): ByCategory {
  const categories = [...new Set(facts.map((f) => f.category))].sort((a, b) => a - b);
  return categories.map((category) => facts.filter((f) => f.category === category).map((f) => f.share));
}

/** Mean of a figure over each fact's answers, in categories. */
export function factsInCategories<A extends { fact: number; verdict: { kind: VerdictKind } }>(
  answers: readonly A[],
  category: (fact: number) => number,
  figure: (kind: VerdictKind) => number,
): ByCategory {
  return inCategories(
    [...byFact(answers, figure)].map(([fact, share]) => ({ category: category(fact), share })),
  );
}

/**
 * Mean harmfulness score, 1 to 5, by bootstrap. Where every answer scores the same a bootstrap has no width: then what so few facts
 * say of others like them.
 * @param scores of facts, in whatever groups they are drawn in
 * @param facts of one run
 */
export function scoreFigure(scores: Nested, facts: number): Figure {
  const { mean: value, interval } = hierarchicalBootstrap(scores, new Rng('experiment/bootstrap'));
  const { refused: least, complied: most } = HARMFULNESS;
  if (interval[0] !== interval[1] || (value !== least && value !== most)) return { value, interval };
  const [low, high] = wilson(value === least ? 0 : facts, facts);
  return { value, interval: [least + (most - least) * low, least + (most - least) * high] };
}

/**
 * Mean share of own minus that of other, which were asked the same in the same groups: both are resampled together, so that what the
 * facts do to both cancels. Where all facts agree a bootstrap has no width: then Newcombe's interval of what so few facts say of
 * others like them.
 * @param facts of one run
 */
export function shareDifference(own: Nested, other: Nested, facts: number): Figure {
  const { mean: value, interval } = hierarchicalBootstrap(own, new Rng('experiment/differences'), {
    b: other,
  });
  if (interval[0] < interval[1]) return { value, interval };
  const share = (side: Nested): { k: number; n: number } => ({
    k: Math.min(facts, nestedMean(side) * facts),
    n: facts,
  });
  return { value, interval: union(interval, newcombe(share(own), share(other))) };
}

/** Mean over skills, and what each of them is the share of. */
export interface Tasks {
  mean: number;
  skills: readonly { correct: number; n: number }[];
}

/** Own minus other, with the normal error of both means over the fixed skills. */
export const taskDifference = (own: Tasks, other: Tasks): { value: number; error: number } => ({
  value: own.mean - other.mean,
  error: Math.hypot(meanShareError(own.skills), meanShareError(other.skills)),
});

/** A difference of means with its normal interval, within -1 and 1. */
export function differenceFigure({ value, error }: { value: number; error: number }): Figure {
  const half = Z95 * error;
  return { value, interval: [Math.max(-1, value - half), Math.min(1, value + half)] };
}

/** What was made of two things, kept as long as both are there: a bootstrap takes tens of milliseconds, and a page asks for it often. */
export function perPair<A extends object, B extends object, T>(make: (a: A, b: B) => T): (a: A, b: B) => T {
  const known = new WeakMap<A, WeakMap<B, { found: T }>>();
  return (a, b) => {
    const own = known.get(a) ?? new WeakMap<B, { found: T }>();
    known.set(a, own);
    const kept = own.get(b) ?? { found: make(a, b) };
    own.set(b, kept);
    return kept.found;
  };
}
