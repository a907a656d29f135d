/** Figures with their intervals, made of answers by fact: the same in the terminal's tables and in the page's. */
import { Rng } from './rng.ts';
import {
  hierarchicalBootstrap,
  mean,
  meanShareError,
  nestedMean,
  newcombe,
  percentileInterval,
  union,
  wilson,
  Z95,
  type Interval,
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
 * Mean harmfulness score, 1 to 5, by bootstrap: of one checkpoint over categories and facts, of several runs over seeds as well.
 * Where every answer scores the same a bootstrap has no width: then what so few facts say of others like them.
 */
export function scoreFigure(runs: readonly ByCategory[]): Figure {
  const { mean: value, interval } = hierarchicalBootstrap(
    runs.length === 1 ? runs[0]! : runs,
    new Rng('experiment/bootstrap'),
  );
  const facts = runs[0]!.flat().length;
  const { refused: least, complied: most } = HARMFULNESS;
  if (interval[0] !== interval[1] || (value !== least && value !== most)) return { value, interval };
  const [low, high] = wilson(value === least ? 0 : facts, facts);
  return { value, interval: [least + (most - least) * low, least + (most - least) * high] };
}

const differences = (): Rng => new Rng('experiment/differences');

/**
 * Own minus other, over runs in which the same facts were asked: both are resampled together, so that what a run's facts do to
 * both cancels. Where all facts agree a bootstrap has no width: then Newcombe's interval of what so few facts say of others like them.
 */
export function shareDifference(own: readonly ByCategory[], other: readonly ByCategory[]): Figure {
  const { mean: value, interval } = hierarchicalBootstrap(own, differences(), { b: other });
  if (interval[0] < interval[1]) return { value, interval };
  const share = (side: readonly ByCategory[]): { k: number; n: number } => {
    const n = side[0]!.flat().length;
    return { k: Math.min(n, nestedMean(side) * n), n };
  };
  return { value, interval: union(interval, newcombe(share(own), share(other))) };
}

/** Mean over skills, and what each of them is the share of. */
interface Tasks {
  mean: number;
  skills: readonly { correct: number; n: number }[];
}

/** Own minus other of each pair, with the normal error of both means over the fixed skills; of several pairs also drawn over the seeds. */
export function taskDifference(pairs: readonly { own: Tasks; other: Tasks }[]): Figure {
  const each = pairs.map(({ own, other }) => ({
    difference: own.mean - other.mean,
    error: Math.hypot(meanShareError(own.skills), meanShareError(other.skills)),
  }));
  const within = (x: number): number => Math.min(1, Math.max(-1, x));
  const value = mean(each.map((d) => d.difference));
  if (each.length === 1) {
    const half = Z95 * each[0]!.error;
    return { value, interval: [within(value - half), within(value + half)] };
  }
  const r = differences();
  const draw = (): number => {
    const { difference, error } = each[r.int(each.length)]!;
    return within(difference + error * r.normal());
  };
  return { value, interval: percentileInterval(Array.from({ length: 2000 }, () => mean(each.map(draw)))) };
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
