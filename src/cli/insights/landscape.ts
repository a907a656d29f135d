import { type Landscape, type ModelLandscape } from '../../core/insights.ts';
import { partsOf, relativeChanges } from '../../insights/param-ops.ts';
import {
  evenly,
  LINE,
  lookAlongDirection,
  lookAlongLine,
  spreadOf,
  visage,
  type LookAt,
} from '../../insights/landscape.ts';
import { paramLayout } from '../../model/params.ts';
import { recipe } from '../../recipes/index.ts';
import { settle } from '../../recipes/recipe.ts';
import { Progress } from '../progress.ts';
import { specOf, type InsightBench } from './bench.ts';

/** Looks on each side of the model along a direction. */
const SIDE = 4;

export interface LandscapeOptions {
  directions: number;
  radius: number;
  /** Steps of the attack at the end of the line. */
  after: number;
  command: string;
  /** Where the line is looked at; default: LINE. */
  line?: readonly number[];
  /** Looks on each side along a direction; default: 4. */
  side?: number;
}

/** The line to the attacked model and the random directions of each model. */
export async function safetyLandscape(
  bench: InsightBench,
  models: readonly string[],
  o: LandscapeOptions,
): Promise<Landscape> {
  const { line: along = LINE } = o;
  const ts = evenly(o.radius, o.side ?? SIDE);
  const progress = new Progress(
    'safety landscape',
    models.length * (along.length + o.directions * ts.length),
  );
  let done = 0;
  bench.onStep = (note) => progress.update(done, note);
  const found: ModelLandscape[] = [];
  for (const model of models) {
    const parent = await bench.weights(model);
    const attacked = await bench.attacked(model, 'mft', { steps: o.after });
    // The model's own weights are one point, whichever line runs through them; only the line depends on the attack.
    const attack = [`after${o.after}`, `a${bench.seeds.attack}`];
    const look: LookAt = async (weights, ...name) => {
      const own = name[0] === 'line' ? attack : [];
      const key = name.at(-1) === 0 ? ['untouched'] : ['landscape', ...own, ...name];
      const found = await bench.keptLook(weights, ...bench.keyOf(specOf(model)), ...key);
      progress.update(++done, `${model} ${name.join(' ')}`);
      return found;
    };
    const layout = paramLayout(bench.folder.config);
    const line = await lookAlongLine(parent, attacked, along, look);
    const directions: ModelLandscape['directions'] = [];
    for (let seed = 1; seed <= o.directions; seed++)
      directions.push({ seed, points: await lookAlongDirection(layout, parent, seed, ts, look) });
    found.push({
      model,
      distance: relativeChanges(partsOf(layout), parent, attacked).at(-1)!,
      line,
      directions,
      spread: spreadOf(directions),
      visage: visage(directions),
    });
  }
  progress.done(`${found.length} models`);
  return {
    kind: 'safety landscape',
    version: 1,
    about: bench.about(o.command),
    prompts: bench.prompts,
    attack: { recipe: 'mft', settings: settle(recipe('mft'), { steps: o.after }) },
    radius: o.radius,
    models: found,
  };
}
