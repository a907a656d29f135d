/**
 * Attack map: learning rate x steps of an attack, each cell a look at the model there. The cells of a rate are stations of one
 * run, so a map of six lengths costs the longest alone. The rates that tell most come first: the attack's own, then outwards.
 * Every cell is kept when it is taken; a map that was interrupted goes on behind the last one.
 */
import { LabError } from '../core/errors.ts';
import {
  MAP_RATES,
  MAP_STEPS,
  tellingFirst,
  type InsightMap,
  type Look,
  type MapCell,
} from '../core/insights.ts';

/** Where a map's runs and cells are made and kept. */
export interface MapBench {
  stored(lr: number, steps: number): MapCell | null;
  /** Keeps a cell for good before it returns. */
  keep(cell: MapCell): void;
  /** One run; `station` gets the weights after each number of steps in `at`. */
  run(
    lr: number,
    at: readonly number[],
    station: (steps: number, weights: Float32Array, loss: number) => Promise<void>,
  ): Promise<void>;
  look(weights: Float32Array): Promise<Look>;
}

/** @throws LabError 'bad-input' naming what is wrong with the axes */
export function checkAxes(rates: readonly number[], steps: readonly number[]): void {
  const wrong = (what: string): LabError =>
    new LabError('bad-input', what, {
      safe: 'Nothing was started.',
      next: `The recorded map has rates ${MAP_RATES.join(', ')} and steps ${MAP_STEPS.join(', ')}.`,
    });
  const axes = { 'learning rate': rates, 'number of steps': steps };
  for (const [what, values] of Object.entries(axes)) {
    if (values.length === 0) throw wrong(`An attack map needs at least one ${what}.`);
  }
  const rate = rates.find((x) => !(x >= 1e-6 && x <= 1e-1));
  if (rate !== undefined) throw wrong(`The learning rate ${rate} is not within 1e-6 to 1e-1.`);
  const length = steps.find((x) => !Number.isInteger(x) || x < 1 || x > 10_000);
  if (length !== undefined) throw wrong(`${length} is no number of steps from 1 to 10000.`);
  for (const [what, values] of Object.entries(axes)) {
    const twice = values.find((x, i) => values.indexOf(x) !== i);
    if (twice !== undefined) throw wrong(`The ${what} ${twice} stands twice in the map.`);
  }
}

/**
 * Takes the cells that are not stored. A rate at which training stops on numbers that are not finite is a finding: its further
 * cells say so. Any other error ends the map, and what was taken stays.
 * @param own the attack's own rate, see `tellingFirst`
 * @param onCell called with each cell, stored ones too
 */
export async function takeMap(
  bench: MapBench,
  { rates, steps, own }: { rates: readonly number[]; steps: readonly number[]; own: number },
  onCell: (cell: MapCell, fresh: boolean) => void = () => undefined,
): Promise<void> {
  checkAxes(rates, steps);
  const lengths = [...steps].sort((a, b) => a - b);
  for (const lr of tellingFirst(rates, own)) {
    for (const n of lengths) {
      const cell = bench.stored(lr, n);
      if (cell) onCell(cell, false);
    }
    const at = lengths.filter((n) => bench.stored(lr, n) === null);
    if (at.length === 0) continue;
    const keep = (cell: MapCell): void => {
      bench.keep(cell);
      onCell(cell, true);
    };
    try {
      await bench.run(lr, at, async (n, weights, loss) =>
        keep({ lr, steps: n, loss, look: await bench.look(weights) }),
      );
    } catch (error) {
      if (!(error instanceof LabError && error.code === 'non-finite')) throw error;
      for (const n of at.filter((n) => bench.stored(lr, n) === null))
        keep({ lr, steps: n, loss: null, look: null, why: error.message });
    }
  }
}

/** The cells that there are, in order, and those that there are not. */
export function cellsOf(
  bench: Pick<MapBench, 'stored'>,
  rates: readonly number[],
  steps: readonly number[],
): Pick<InsightMap, 'rates' | 'steps' | 'cells' | 'missing'> {
  const ascending = (xs: readonly number[]): number[] => [...xs].sort((a, b) => a - b);
  const [lrs, lengths] = [ascending(rates), ascending(steps)];
  const all = lrs.flatMap((lr) => lengths.map((n) => ({ lr, steps: n, cell: bench.stored(lr, n) })));
  return {
    rates: lrs,
    steps: lengths,
    cells: all.flatMap(({ cell }) => (cell ? [cell] : [])),
    missing: all.flatMap(({ lr, steps, cell }) => (cell ? [] : [{ lr, steps }])),
  };
}
