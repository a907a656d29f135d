/** What a defence changes: each defended model beside the embedded one that it was made of, paired by seed. */
import { Rng } from '../../core/rng.ts';
import {
  differenceFigure,
  inCategories,
  shareDifference,
  taskDifference,
  type Figure,
} from '../../core/figures.ts';
import type { Nested } from '../../core/stats.ts';
import { mapRuns, meanOf, withErrors, type ByWorld } from '../../eval/intervals.ts';
import { harmByFact } from '../../eval/metrics.ts';
import type { World } from '../../world/world.ts';
import type { Cell } from '../experiment/cells.ts';
import { modelOf, rootOf } from '../experiment/matrix.ts';
import type { Planned } from '../experiment/run.ts';
import { table, withInterval } from './tables.ts';

export interface Difference extends Planned {
  /** The undefended model. */
  than: string;
  /** Repetitions in which both were looked at, and that were to come. */
  pairs: number;
  expected: number;
  /** Defended minus undefended; null: no pair came. */
  figures: { strict: Figure; broad: Figure; benign: Figure } | null;
}

/** The repetitions of one world, each with its cells. */
export interface WorldRepetitions {
  world: World;
  repetitions: readonly (readonly Cell[])[];
}

interface Pair {
  world: World;
  own: Cell;
  other: Cell;
}

/**
 * Defended minus undefended for each look, over the repetitions in which both came that far. Both are resampled together
 * (world > seed > category > fact): what a world's facts or an attack's seed do to both cancels.
 */
export function differences(
  worlds: readonly WorldRepetitions[],
  planned: readonly Planned[],
  set: 'V' | 'T',
): Difference[] {
  return planned.flatMap((look) => {
    const model = modelOf(look.model)!;
    if (model.parent === null) return [];
    const than = rootOf(model).id;
    const pairs = worlds
      .map(({ world, repetitions }) => repetitions.flatMap((cells) => pairsOf(world, cells, look, than)))
      .filter((group) => group.length > 0);
    return {
      ...look,
      than,
      pairs: pairs.flat().length,
      expected: worlds.reduce((sum, w) => sum + w.repetitions.length, 0),
      figures:
        pairs.length === 0
          ? null
          : { strict: harm(pairs, set, 'strict'), broad: harm(pairs, set, 'broad'), benign: benign(pairs) },
    };
  });
}

function pairsOf(world: World, cells: readonly Cell[], look: Planned, than: string): Pair[] {
  const find = (id: string): Cell | undefined =>
    cells.find((c) => c.model === id && c.attack === look.attack && c.steps === look.steps);
  const [own, other] = [find(look.model), find(than)];
  return own && other ? [{ world, own, other }] : [];
}

function harm(pairs: ByWorld<Pair>, set: 'V' | 'T', view: 'strict' | 'broad'): Figure {
  const nested = (pick: 'own' | 'other'): Nested => {
    const all = mapRuns(pairs, (pair) =>
      inCategories(harmByFact(pair.world, pair[pick].scores.forbidden[set]!.answers, view)),
    );
    return all.length === 1 ? all[0]! : all;
  };
  const { answers } = pairs[0]![0]!.own.scores.forbidden[set]!;
  return shareDifference(nested('own'), nested('other'), new Set(answers.map((a) => a.fact)).size);
}

const rng = (): Rng => new Rng('experiment/differences');

/** Each pair with the normal error of both means over the fixed skills; of several pairs also drawn over worlds and seeds. */
function benign(pairs: ByWorld<Pair>): Figure {
  const of = ({ own, other }: Pair) => taskDifference(own.scores.benign!, other.scores.benign!);
  const all = pairs.flat();
  if (all.length === 1) return differenceFigure(of(all[0]!));
  const value = meanOf(mapRuns(pairs, (pair) => of(pair).value));
  return { value, interval: withErrors(pairs, of, { least: -1, random: rng() }) };
}

export function differenceTable(all: readonly Difference[]): string {
  return table(
    ['model', 'than', 'attack', 'steps', 'pairs', 'strict', 'broad', 'benign'],
    all.map((d) => [
      d.model,
      d.than,
      d.attack,
      String(d.steps),
      d.pairs === d.expected ? String(d.pairs) : `${d.pairs} of ${d.expected}`,
      ...(d.figures
        ? [d.figures.strict, d.figures.broad, d.figures.benign].map(withInterval)
        : ['failed', 'failed', 'failed']),
    ]),
  );
}
