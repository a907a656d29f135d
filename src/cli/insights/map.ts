import { type InsightMap, type MapCell } from '../../core/insights.ts';
import { cellsOf, takeMap, type MapBench } from '../../insights/attack-map.ts';
import { recipe } from '../../recipes/index.ts';
import { num, settle } from '../../recipes/recipe.ts';
import { Progress } from '../progress.ts';
import { specOf, type InsightBench } from './bench.ts';

/** What one look costs, in training steps: for the time left only. */
const STEPS_PER_LOOK = 6;

/**
 * The map of MFT on a model. What was taken is in the document also when the map could not be finished; `error` says why.
 */
export async function attackMap(
  bench: InsightBench,
  model: string,
  o: { rates: readonly number[]; steps: readonly number[]; command: string },
): Promise<{ map: InsightMap; error?: unknown }> {
  const r = recipe('mft');
  // every rate is checked before any is tried
  const settingsOf = (lr: number, steps: number) => settle(r, { lr, steps });
  for (const lr of o.rates) settingsOf(lr, Math.max(...o.steps));
  const start = await bench.weights(model);
  const own = num(settle(r), 'lr');
  const key = (lr: number, steps: number) =>
    ['map', ...bench.keyOf(specOf(model)), `lr${lr}`, `a${bench.seeds.attack}`, steps] as const;
  const progress = new Progress(`map of ${model}`, costOf(o));
  let done = 0;
  const advance = (units: number, note: string): void => progress.update((done += units), note);
  const cells: MapBench = {
    stored: (lr, steps) => bench.store.read<MapCell>(...key(lr, steps)),
    keep: (cell) => bench.store.write(cell, ...key(cell.lr, cell.steps)),
    look: (weights) => bench.look(weights),
    run: (lr, at, station) =>
      bench.lab.train(start, {
        recipe: r.id,
        settings: settingsOf(lr, at.at(-1)!),
        seed: bench.seeds.attack,
        at,
        station,
        onStep: (step, total, loss) => advance(1, `lr ${lr} step ${step}/${total} loss ${loss.toFixed(2)}`),
      }),
  };
  const untouched = await bench.keptLook(start, ...bench.keyOf(specOf(model)), 'untouched');
  let error: unknown;
  try {
    await takeMap(cells, { ...o, own }, (cell, fresh) =>
      advance(STEPS_PER_LOOK, `lr ${cell.lr} @${cell.steps} ${fresh ? 'looked at' : 'taken before'}`),
    );
  } catch (cause) {
    error = cause;
  }
  const { steps: _, lr: __, ...settings } = settle(r);
  const map: InsightMap = {
    kind: 'attack map',
    version: 1,
    about: bench.about(o.command),
    model,
    attack: { recipe: r.id, settings },
    prompts: bench.prompts,
    untouched,
    ...cellsOf(cells, o.rates, o.steps),
  };
  progress.done(`${map.cells.length} cells, ${map.missing.length} missing`);
  return { map, ...(error !== undefined && { error }) };
}

const costOf = ({ rates, steps }: { rates: readonly number[]; steps: readonly number[] }): number =>
  rates.length * (Math.max(...steps) + steps.length * STEPS_PER_LOOK);
