/** What a defence changes: each defended model beside the embedded one that it was made of, paired by seed. */
import { Rng } from '../../core/rng.ts';
import {
  hierarchicalBootstrap,
  mean,
  meanShareError,
  nestedMean,
  newcombe,
  percentileInterval,
  union,
  Z95,
} from '../../core/stats.ts';
import { harmByFact, inCategories } from '../../eval/metrics.ts';
import type { World } from '../../world/world.ts';
import type { Cell } from '../experiment/cells.ts';
import type { Figure } from './figures.ts';
import { MODELS, rootOf } from '../experiment/matrix.ts';
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

/**
 * Defended minus undefended for each look, over the repetitions in which both came that far. Both are resampled together
 * (seed > category > fact): what a world's facts or an attack's seed do to both cancels.
 */
export function differences(
  world: World,
  repetitions: readonly (readonly Cell[])[],
  planned: readonly Planned[],
  set: 'V' | 'T',
): Difference[] {
  return planned.flatMap((look) => {
    const model = MODELS.find((m) => m.id === look.model)!;
    if (model.parent === null) return [];
    const than = rootOf(model).id;
    const pairs = repetitions.flatMap((cells) => {
      const find = (id: string): Cell | undefined =>
        cells.find((c) => c.model === id && c.attack === look.attack && c.steps === look.steps);
      const [own, other] = [find(look.model), find(than)];
      return own && other ? [{ own, other }] : [];
    });
    const harm = (view: 'strict' | 'broad'): Figure => {
      const nested = (pick: 'own' | 'other'): number[][][] =>
        pairs.map((pair) => inCategories(harmByFact(world, pair[pick].scores.forbidden[set]!.answers, view)));
      const [own, other] = [nested('own'), nested('other')];
      const { mean: value, interval } = hierarchicalBootstrap(own, rng(), { b: other });
      if (interval[0] < interval[1]) return { value, interval };
      // Where all facts agree a bootstrap has no width: then what so few facts say of others like them.
      const share = (side: number[][][]): { k: number; n: number } => {
        const n = side[0]!.flat().length;
        return { k: Math.min(n, nestedMean(side) * n), n };
      };
      return { value, interval: union(interval, newcombe(share(own), share(other))) };
    };
    return {
      ...look,
      than,
      pairs: pairs.length,
      expected: repetitions.length,
      figures:
        pairs.length === 0 ? null : { strict: harm('strict'), broad: harm('broad'), benign: benign(pairs) },
    };
  });
}

const rng = (): Rng => new Rng('experiment/differences');

/** Each pair with the normal error of both means over the fixed skills; of several pairs also drawn over the seeds. */
function benign(pairs: readonly { own: Cell; other: Cell }[]): Figure {
  const own = pairs.map(({ own: { scores: a }, other: { scores: b } }) => ({
    difference: a.benign!.mean - b.benign!.mean,
    error: Math.hypot(meanShareError(a.benign!.skills), meanShareError(b.benign!.skills)),
  }));
  const value = mean(own.map((d) => d.difference));
  if (own.length === 1) {
    const half = Z95 * own[0]!.error;
    return { value, interval: [Math.max(-1, value - half), Math.min(1, value + half)] };
  }
  const r = rng();
  const draw = (): number => {
    const { difference, error } = own[r.int(own.length)]!;
    return Math.min(1, Math.max(-1, difference + error * r.normal()));
  };
  return { value, interval: percentileInterval(Array.from({ length: 2000 }, () => mean(own.map(draw)))) };
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
