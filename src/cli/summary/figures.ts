/** What the cells of an experiment say together: one row for each planned look, each figure with its interval. */
import { Rng } from '../../core/rng.ts';
import {
  hierarchicalBootstrap,
  mean,
  meanShareError,
  meanShareInterval,
  percentileInterval,
  union,
  wilson,
} from '../../core/stats.ts';
import type { Interval } from '../../core/stats.ts';
import { byFact, HARMFULNESS, VERDICTS, type VerdictKind } from '../../core/verdicts.ts';
import { HARD_SETS, type HardSet } from '../../data/hard-sets.ts';
import type { BenignScore, ForbiddenScore } from '../../eval/evaluate.ts';
import type { Battery } from '../../eval/measures/battery.ts';
import type { WeightChange } from '../../eval/measures/drift.ts';
import { categoriesOf, harmByFact, inCategories } from '../../eval/metrics.ts';
import type { FactShare } from '../../eval/metrics.ts';
import { SKILLS } from '../../world/words.ts';
import type { World } from '../../world/world.ts';
import type { Cell } from '../experiment/cells.ts';
import { MODELS } from '../experiment/matrix.ts';
import type { Planned } from '../experiment/run.ts';

/** A figure with its 95 % interval. */
export interface Figure {
  value: number;
  interval: Interval;
}

export interface Figures {
  /** Forbidden prompts of the set, and the distinct facts that they ask for. */
  prompts: number;
  facts: number;
  verdicts: Record<VerdictKind, number>;
  strict: Figure;
  broad: Figure;
  benign: Figure;
  skills: Record<string, number>;
  newSkill: number;
  /** By the likeliest letter; the generated accuracies are among the skills. */
  letters: Record<string, Figure>;
  perplexity: number;
  /** Mean harmfulness score, 1 to 5. */
  score: Figure;
  /** Answers of one checkpoint that differ from each other, mean over the runs. */
  distinct: number;
  /** The other measures; null in the grid. */
  battery: BatteryFigures | null;
}

export interface BatteryFigures {
  facts: number;
  /** Of each kind of harder request, and of sampled answers. */
  hard: Record<HardSet | 'sampled', { strict: Figure; broad: Figure }>;
  /** Share of facts with a harmful answer in at least one of the draws. */
  any: { strict: Figure; broad: Figure };
  /** Harmless questions answered rightly after a first turn: what 'two turns' must be read with. */
  secondTurn: Figure;
  /** Near-miss benign questions answered wrongly, and refused: over-blocking. */
  overBlocking: { wrong: Figure; refused: Figure; n: number };
  repetition: number;
  /** Null where no run's answers had a token. */
  answerPerplexity: number | null;
  /** In nats per token. */
  divergence: number;
  /** Relative, by part of the model; the last is all of it. */
  weights: WeightChange[];
}

export interface Row extends Planned {
  /** Repetitions with different seeds that came to this look, and that were to come. */
  runs: number;
  expected: number;
  /** Over those that came; null: none did. */
  figures: Figures | null;
}

/** What an experiment must hold for its intervals to say something about other worlds and other runs. */
const ENOUGH = { worlds: 3, runs: 5 };

/** How the intervals were made, and what they are good for. */
export function intervalNote(worlds: number, runs: number): string {
  const how =
    runs > 1
      ? `hierarchical bootstrap, seed > category > fact, over ${runs} runs of ${worlds} world (rows without a seed of their own: Wilson over facts)`
      : `of one checkpoint over its facts (Wilson)`;
  const enough = worlds >= ENOUGH.worlds && runs >= ENOUGH.runs;
  return `Intervals: ${how}; a fact counts once, by the mean of its wordings${
    enough ? '' : `. Illustration: fewer than ${ENOUGH.worlds} worlds x ${ENOUGH.runs} runs`
  }`;
}

/**
 * One row for each planned look, joined over the seeds, on the prompts of set `set`; a look that no run came to has a row
 * as well, so that a failure never shortens a table.
 */
export function rows(
  world: World,
  cells: readonly Cell[],
  planned: readonly Planned[],
  repetitions: number,
  set: 'V' | 'T',
): Row[] {
  return planned.map(({ model, attack, steps }) => {
    const found = cells.filter((c) => c.model === model && c.attack === attack && c.steps === steps);
    const seeded = MODELS.find((m) => m.id === model)?.recipe !== undefined || attack !== 'none';
    // An untouched embedded model depends on no seed: it counts once, however often it was repeated.
    const group = seeded ? found : found.slice(0, 1);
    return {
      model,
      attack,
      steps,
      runs: group.length,
      expected: seeded ? repetitions : 1,
      figures: group.length > 0 ? figuresOf(world, group, set) : null,
    };
  });
}

function figuresOf(world: World, group: readonly Cell[], set: 'V' | 'T'): Figures {
  const forbidden = group.map((c) => c.scores.forbidden[set]!);
  const benign = group.map((c) => c.scores.benign!);
  const shares = (view: 'strict' | 'broad'): FactShare[][] =>
    forbidden.map((f) => harmByFact(world, f.answers, view));
  const strict = shares('strict');
  const skills = SKILLS.map((skill) => {
    const own = benign.map((b) => b.skills.find((x) => x.skill === skill));
    return [skill, mean(own.map((s) => (s ? s.correct / s.n : Number.NaN)))] as const;
  });
  const letters = (['mcq', 'obqa'] as const).map((skill) => {
    const own = group.map((c) => c.scores.letters!.find((x) => x.skill === skill)!);
    return [skill, shareFigure(own.map((l) => ({ k: l.correct, n: l.n })))] as const;
  });
  return {
    prompts: forbidden[0]!.n,
    facts: strict[0]!.length,
    verdicts: Object.fromEntries(
      VERDICTS.map((kind) => [kind, mean(forbidden.map((f) => f.counts[kind] / f.n))]),
    ) as Record<VerdictKind, number>,
    strict: harmFigure(strict),
    broad: harmFigure(shares('broad')),
    benign: benignFigure(benign),
    skills: Object.fromEntries(skills),
    newSkill: mean(group.map((c) => c.scores.newSkill!.correct / c.scores.newSkill!.n)),
    letters: Object.fromEntries(letters),
    perplexity: geometricMean(group.map((c) => c.scores.perplexity!)),
    score: scoreFigure(world, forbidden),
    distinct: mean(forbidden.map((f) => new Set(f.answers.map((a) => a.answer)).size)),
    battery: batteryFigures(
      world,
      group.flatMap((c) => c.battery ?? []),
    ),
  };
}

function batteryFigures(world: World, group: readonly Battery[]): BatteryFigures | null {
  const [first] = group;
  if (!first) return null;
  const harm = (pick: (b: Battery) => ForbiddenScore): { strict: Figure; broad: Figure } => ({
    strict: harmFigure(group.map((b) => harmByFact(world, pick(b).answers, 'strict'))),
    broad: harmFigure(group.map((b) => harmByFact(world, pick(b).answers, 'broad'))),
  });
  const spoke = group.flatMap((b) => b.answerPerplexity ?? []);
  return {
    facts: first.sampled.facts,
    hard: {
      ...(Object.fromEntries(HARD_SETS.map((set) => [set, harm((b) => b.hard[set])])) as Record<
        HardSet,
        { strict: Figure; broad: Figure }
      >),
      sampled: harm((b) => b.sampled),
    },
    any: {
      strict: shareFigure(group.map(({ sampled }) => ({ k: sampled.any.strict, n: sampled.facts }))),
      broad: shareFigure(group.map(({ sampled }) => ({ k: sampled.any.broad, n: sampled.facts }))),
    },
    secondTurn: shareFigure(group.map(({ secondTurn: { correct: k, n } }) => ({ k, n }))),
    overBlocking: {
      wrong: shareFigure(group.map(({ nearMiss: { n, correct } }) => ({ k: n - correct, n }))),
      refused: shareFigure(group.map(({ nearMiss: { n, refused: k } }) => ({ k, n }))),
      n: first.nearMiss.n,
    },
    repetition: mean(group.map((b) => b.repetition)),
    answerPerplexity: spoke.length === 0 ? null : geometricMean(spoke),
    divergence: mean(group.map((b) => b.drift.divergence)),
    weights: first.drift.weights.map(({ part }, i) => ({
      part,
      relative: mean(group.map((b) => b.drift.weights[i]!.relative)),
    })),
  };
}

/**
 * Mean share over the runs. They ask the same questions, so the interval is Wilson's for one run's: more runs make it no
 * narrower.
 */
function shareFigure(runs: readonly { k: number; n: number }[]): Figure {
  const value = mean(runs.map(({ k, n }) => k / n));
  const { n } = runs[0]!;
  return { value, interval: wilson(value * n, n) };
}

const geometricMean = (xs: readonly number[]): number => Math.exp(mean(xs.map(Math.log)));

/** Mean harmfulness score over facts, by bootstrap: of one checkpoint over categories and facts, of several over seeds as well. */
function scoreFigure(world: World, runs: readonly ForbiddenScore[]): Figure {
  const categories = categoriesOf(world);
  const nested = runs.map(({ answers }) =>
    inCategories(
      [...byFact(answers, (kind) => HARMFULNESS[kind])].map(([fact, share]) => ({
        category: categories.get(fact)!,
        share,
      })),
    ),
  );
  const { mean: value, interval } = hierarchicalBootstrap(nested.length === 1 ? nested[0]! : nested, rng());
  const facts = nested[0]!.flat().length;
  const [none, all] = [wilson(0, facts), wilson(facts, facts)];
  const { refused: least, complied: most } = HARMFULNESS;
  // Where every answer scores the same a bootstrap has no width: then what so few facts say of others like them.
  if (interval[0] === interval[1] && value === least)
    return { value, interval: [least, least + (most - least) * none[1]] };
  if (interval[0] === interval[1] && value === most)
    return { value, interval: [most - (most - least) * (1 - all[0]), most] };
  return { value, interval };
}

const rng = (): Rng => new Rng('experiment/bootstrap');

/**
 * One checkpoint: Wilson over its facts. Several seeds: hierarchical bootstrap, seed > category > fact; at 0 and 100 % joined with
 * Wilson's over the facts.
 */
export function harmFigure(runs: readonly (readonly FactShare[])[]): Figure {
  const first = runs[0]!;
  if (runs.length === 1) {
    const sum = first.reduce((total, f) => total + f.share, 0);
    return { value: sum / first.length, interval: wilson(sum, first.length) };
  }
  const nested = runs.map(inCategories);
  const { mean: value, interval } = hierarchicalBootstrap(nested, rng());
  const facts = first.length;
  // Where all facts of all runs agree a bootstrap has no width: then also what so few facts say of others like them.
  return {
    value,
    interval: value === 0 || value === 1 ? union(interval, wilson(value * facts, facts)) : interval,
  };
}

/**
 * One checkpoint: normal interval of a mean of independent skills, each binomial over its questions. Several seeds:
 * bootstrap over the seeds, each drawn with that error; the skills are fixed, not drawn from many.
 */
export function benignFigure(runs: readonly BenignScore[]): Figure {
  const errors = runs.map(({ skills }) => meanShareError(skills));
  const value = mean(runs.map((b) => b.mean));
  if (runs.length === 1) return { value, interval: meanShareInterval(runs[0]!.skills) };
  const r = rng();
  const draw = (): number => {
    const i = r.int(runs.length);
    return Math.min(1, Math.max(0, runs[i]!.mean + errors[i]! * r.normal()));
  };
  const means = Array.from({ length: 2000 }, () => mean(runs.map(draw)));
  return { value, interval: percentileInterval(means) };
}
