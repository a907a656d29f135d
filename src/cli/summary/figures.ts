/** What the cells of an experiment say together: one row for each planned look, each figure with its interval. */
import { VERDICTS, type VerdictKind } from '../../core/verdicts.ts';
import { HARD_SETS, type HardSet } from '../../data/hard-sets.ts';
import type { ForbiddenScore } from '../../eval/evaluate.ts';
import {
  benignFigure,
  harmFigure,
  mapRuns,
  meanOf,
  scoreFigure,
  shareFigure,
  type ByWorld,
  type Figure,
} from '../../eval/intervals.ts';
import type { Battery } from '../../eval/measures/battery.ts';
import type { WeightChange } from '../../eval/measures/drift.ts';
import { harmByFact, type FactShare } from '../../eval/metrics.ts';
import { SKILLS } from '../../world/words.ts';
import type { World } from '../../world/world.ts';
import type { Cell } from '../experiment/cells.ts';
import { modelOf } from '../experiment/matrix.ts';
import type { Planned } from '../experiment/run.ts';

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
  /** From what the run started from; null: the untouched model itself. */
  parent: Battery['drift']['parent'];
}

export interface Row extends Planned {
  /** Repetitions with different seeds that came to this look, and that were to come. */
  runs: number;
  expected: number;
  /** Over those that came; null: none did. */
  figures: Figures | null;
}

/** The cells of one world, and how many repetitions were to come. */
export interface WorldCells {
  world: World;
  cells: readonly Cell[];
  repetitions: number;
  /** Different seeds of defences among them; default: as many. */
  defences?: number;
}

/** What an experiment must hold for its intervals to say something about other worlds and other runs. */
const ENOUGH = { worlds: 3, runs: 5 };

/**
 * How the intervals were made, and what they are good for.
 * @param runs in the world that has the fewest
 */
export function intervalNote(worlds: number, runs: number): string {
  const levels = worlds > 1 ? 'world > seed > category > fact' : 'seed > category > fact';
  const of = worlds > 1 ? `${worlds} worlds with ${runs} runs each, or more` : `${runs} runs of 1 world`;
  const how =
    worlds * runs > 1
      ? `hierarchical bootstrap, ${levels}, over ${of} (rows without a seed of their own: ${worlds > 1 ? 'one for each world' : 'Wilson over facts'})`
      : `of one checkpoint over its facts (Wilson)`;
  const enough = worlds >= ENOUGH.worlds && runs >= ENOUGH.runs;
  return `Intervals: ${how}; a fact counts once, by the mean of its wordings${
    enough ? '' : `. Illustration: fewer than ${ENOUGH.worlds} worlds x ${ENOUGH.runs} runs`
  }`;
}

/**
 * One row for each planned look, joined over worlds and seeds, on the prompts of set `set`; a look that no run came to has a
 * row as well, so that a failure never shortens a table.
 */
export function rows(worlds: readonly WorldCells[], planned: readonly Planned[], set: 'V' | 'T'): Row[] {
  return planned.map(({ model, attack, steps }) => {
    const seeded = modelOf(model)?.parent !== null || attack !== 'none';
    const groups = worlds.map(({ world, cells }) => {
      const found = cells.filter((c) => c.model === model && c.attack === attack && c.steps === steps);
      return independent(found, seeded, attack).map((cell): Look => ({ world, cell }));
    });
    const came = groups.filter((g) => g.length > 0);
    return {
      model,
      attack,
      steps,
      runs: came.flat().length,
      expected: worlds.reduce((sum, w) => {
        const defences = w.defences ?? w.repetitions;
        return sum + (!seeded ? 1 : attack === 'none' ? defences : w.repetitions);
      }, 0),
      figures: came.length > 0 ? figuresOf(came, set) : null,
    };
  });
}

/**
 * Those that are runs of their own: an untouched embedded model depends on no seed and counts once, however often it was repeated;
 * a defended one that nobody attacked depends on the defence's alone.
 */
function independent(found: readonly Cell[], seeded: boolean, attack: string): readonly Cell[] {
  if (!seeded) return found.slice(0, 1);
  if (attack !== 'none') return found;
  return [...new Map(found.map((cell) => [cell.seeds.defence, cell])).values()];
}

interface Look {
  world: World;
  cell: Cell;
}

function figuresOf(looks: ByWorld<Look>, set: 'V' | 'T'): Figures {
  const forbidden = mapRuns(looks, ({ cell }) => cell.scores.forbidden[set]!);
  const benign = mapRuns(looks, ({ cell }) => cell.scores.benign!);
  const shares = (view: 'strict' | 'broad'): FactShare[][][] =>
    mapRuns(looks, ({ world, cell }) => harmByFact(world, cell.scores.forbidden[set]!.answers, view));
  const strict = shares('strict');
  const skills = SKILLS.map((skill) => {
    const own = mapRuns(benign, (b) => {
      const s = b.skills.find((x) => x.skill === skill);
      return s ? s.correct / s.n : Number.NaN;
    });
    return [skill, meanOf(own)] as const;
  });
  const letters = (['mcq', 'obqa'] as const).map((skill) => {
    const own = mapRuns(looks, ({ cell }) => cell.scores.letters!.find((x) => x.skill === skill)!);
    return [skill, shareFigure(mapRuns(own, (l) => ({ k: l.correct, n: l.n })))] as const;
  });
  const newSkill = mapRuns(looks, ({ cell: { scores } }) => scores.newSkill!.correct / scores.newSkill!.n);
  const batteries = looks.map((runs) =>
    runs.flatMap(({ world, cell }) => (cell.battery ? [{ world, battery: cell.battery }] : [])),
  );
  return {
    prompts: forbidden[0]![0]!.n,
    facts: strict[0]![0]!.length,
    verdicts: Object.fromEntries(
      VERDICTS.map((kind) => [kind, meanOf(mapRuns(forbidden, (f) => f.counts[kind] / f.n))]),
    ) as Record<VerdictKind, number>,
    strict: harmFigure(strict),
    broad: harmFigure(shares('broad')),
    benign: benignFigure(benign),
    skills: Object.fromEntries(skills),
    newSkill: meanOf(newSkill),
    letters: Object.fromEntries(letters),
    perplexity: geometricMean(mapRuns(looks, ({ cell }) => cell.scores.perplexity!)),
    score: scoreFigure(
      mapRuns(looks, ({ world, cell }) => ({ world, answers: cell.scores.forbidden[set]!.answers })),
    ),
    distinct: meanOf(mapRuns(forbidden, (f) => new Set(f.answers.map((a) => a.answer)).size)),
    battery: batteryFigures(batteries.filter((runs) => runs.length > 0)),
  };
}

function batteryFigures(group: ByWorld<{ world: World; battery: Battery }>): BatteryFigures | null {
  const first = group[0]?.[0]?.battery;
  if (!first) return null;
  const of = <T>(pick: (b: Battery) => T): T[][] => mapRuns(group, ({ battery }) => pick(battery));
  const harm = (pick: (b: Battery) => ForbiddenScore): { strict: Figure; broad: Figure } => {
    const view = (name: 'strict' | 'broad'): Figure =>
      harmFigure(mapRuns(group, ({ world, battery }) => harmByFact(world, pick(battery).answers, name)));
    return { strict: view('strict'), broad: view('broad') };
  };
  const spoke = group
    .map((runs) => runs.flatMap(({ battery }) => battery.answerPerplexity ?? []))
    .filter((runs) => runs.length > 0);
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
      strict: shareFigure(of(({ sampled }) => ({ k: sampled.any.strict, n: sampled.facts }))),
      broad: shareFigure(of(({ sampled }) => ({ k: sampled.any.broad, n: sampled.facts }))),
    },
    secondTurn: shareFigure(of(({ secondTurn: { correct: k, n } }) => ({ k, n }))),
    overBlocking: {
      wrong: shareFigure(of(({ nearMiss: { n, correct } }) => ({ k: n - correct, n }))),
      refused: shareFigure(of(({ nearMiss: { n, refused: k } }) => ({ k, n }))),
      n: first.nearMiss.n,
    },
    repetition: meanOf(of((b) => b.repetition)),
    answerPerplexity: spoke.length === 0 ? null : geometricMean(spoke),
    divergence: meanOf(of((b) => b.drift.divergence)),
    weights: first.drift.weights.map(({ part }, i) => ({
      part,
      relative: meanOf(of((b) => b.drift.weights[i]!.relative)),
    })),
    parent: first.drift.parent && {
      divergence: meanOf(of((b) => b.drift.parent?.divergence ?? Number.NaN)),
      relative: meanOf(of((b) => b.drift.parent?.relative ?? Number.NaN)),
    },
  };
}

const geometricMean = (worlds: ByWorld<number>): number => Math.exp(meanOf(mapRuns(worlds, Math.log)));
