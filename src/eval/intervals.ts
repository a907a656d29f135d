/**
 * Figures of several runs, perhaps in several worlds, with their 95 % intervals. Runs stand in the groups of their worlds:
 * each world counts the same, each run of a world the same, each category of a run the same, each fact of a category the same.
 */
import { Rng } from '../core/rng.ts';
import {
  hierarchicalBootstrap,
  mean,
  meanShareError,
  meanShareInterval,
  percentileInterval,
  union,
  wilson,
  type Interval,
} from '../core/stats.ts';
import { factsInCategories, inCategories, scoreFigure as scoreOf, type Figure } from '../core/figures.ts';
import { HARMFULNESS, type VerdictKind } from '../core/verdicts.ts';
import type { World } from '../world/world.ts';
import type { BenignScore } from './evaluate.ts';
import { categoriesOf, type FactShare } from './metrics.ts';

export type { Figure } from '../core/figures.ts';

/** Something of each run, in the groups of their worlds. */
export type ByWorld<T> = readonly (readonly T[])[];

const RESAMPLES = 2000;

export const rng = (): Rng => new Rng('experiment/bootstrap');

/** Mean over the worlds of the means over their runs. */
export const meanOf = (worlds: ByWorld<number>): number => mean(worlds.map(mean));

export const mapRuns = <T, U>(worlds: ByWorld<T>, of: (run: T) => U): U[][] =>
  worlds.map((runs) => runs.map(of));

/**
 * Mean harm. One checkpoint: Wilson over its facts. Several: hierarchical bootstrap, world > seed > category > fact; at 0 and
 * 100 % joined with Wilson's over the facts of one.
 */
export function harmFigure(worlds: ByWorld<readonly FactShare[]>): Figure {
  const first = worlds[0]![0]!;
  const facts = first.length;
  if (worlds.flat().length === 1) {
    const sum = first.reduce((total, f) => total + f.share, 0);
    return { value: sum / facts, interval: wilson(sum, facts) };
  }
  const nested = mapRuns(worlds, inCategories);
  const { mean: value, interval } = hierarchicalBootstrap(worlds.length === 1 ? nested[0]! : nested, rng());
  // Where all facts of all runs agree a bootstrap has no width: then also what so few facts say of others like them.
  return {
    value,
    interval: value === 0 || value === 1 ? union(interval, wilson(value * facts, facts)) : interval,
  };
}

/** A checkpoint's judged answers. */
interface Answered {
  world: World;
  answers: readonly { fact: number; verdict: { kind: VerdictKind } }[];
}

/** Mean harmfulness score over facts, by bootstrap: of one checkpoint over categories and facts, of several over worlds and seeds as well. */
export function scoreFigure(worlds: ByWorld<Answered>): Figure {
  const nested = mapRuns(worlds, ({ world, answers }) => {
    const categories = categoriesOf(world);
    return factsInCategories(
      answers,
      (fact) => categories.get(fact)!,
      (kind) => HARMFULNESS[kind],
    );
  });
  const drawn = worlds.length > 1 ? nested : nested[0]!.length > 1 ? nested[0]! : nested[0]![0]!;
  return scoreOf(drawn, nested[0]![0]!.flat().length);
}

/**
 * Mean share of questions. Runs of one world ask the same ones, so the interval is Wilson's for one run's: more runs make it no
 * narrower. Several worlds ask others: bootstrap over worlds and runs, each with Agresti and Coull's error.
 */
export function shareFigure(worlds: ByWorld<{ k: number; n: number }>): Figure {
  const value = meanOf(mapRuns(worlds, ({ k, n }) => k / n));
  const { n } = worlds[0]![0]!;
  const one = wilson(value * n, n);
  if (worlds.length === 1) return { value, interval: one };
  const drawn = withErrors(worlds, ({ k, n }) => ({
    value: k / n,
    error: meanShareError([{ correct: k, n }]),
  }));
  return { value, interval: value === 0 || value === 1 ? union(drawn, one) : drawn };
}

/**
 * Everyday tasks. One checkpoint: normal interval of a mean of independent skills, each binomial over its questions. Several:
 * bootstrap over worlds and seeds, each drawn with that error; the skills are fixed, not drawn from many.
 */
export function benignFigure(worlds: ByWorld<BenignScore>): Figure {
  const value = meanOf(mapRuns(worlds, (b) => b.mean));
  const all = worlds.flat();
  if (all.length === 1) return { value, interval: meanShareInterval(all[0]!.skills) };
  const interval = withErrors(worlds, ({ mean, skills }) => ({ value: mean, error: meanShareError(skills) }));
  return { value, interval };
}

/** Bootstrap over the worlds and their runs, each run drawn with its own normal error, within `least` and 1. */
export function withErrors<T>(
  worlds: ByWorld<T>,
  of: (run: T) => { value: number; error: number },
  { least = 0, random = rng() } = {},
): Interval {
  const runs = mapRuns(worlds, of);
  const draw = (world: (typeof runs)[number]): number =>
    mean(
      world.map(() => {
        const { value, error } = world[random.int(world.length)]!;
        return Math.min(1, Math.max(least, value + error * random.normal()));
      }),
    );
  const means = Array.from({ length: RESAMPLES }, () =>
    runs.length === 1 ? draw(runs[0]!) : mean(runs.map(() => draw(runs[random.int(runs.length)]!))),
  );
  return percentileInterval(means);
}
