/**
 * npm run tune -- --recipe ID [--parent base|chat] [--on RECIPE] [--set JSON] [--vary JSON] [--then JSON] [--seeds N] [--models DIR]
 *                [--json FILE]
 *
 * Looks for a recipe's settings on split V, the only split on which anything is chosen. Every combination of the values in
 * --vary is one trial: a defence is made, looked at, attacked (MFT, 20 / 50 / 100 steps) and tuned benignly, both with the
 * settings of --then; an attack or benign tuning is looked at where it ends. --on names a defence that comes first, trained
 * with the defaults of the same method. Every trial is stored and printed, those that came out badly as well, so that the number of trials behind a default can be told.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import type { Settings, SettingValue } from '../core/settings.ts';
import { mean } from '../core/stats.ts';
import { harmByFact } from '../eval/metrics.ts';
import { recipe } from '../recipes/index.ts';
import { settle, type Recipe } from '../recipes/recipe.ts';
import { createWorld } from '../world/world.ts';
import { codeDigest } from './code-digest.ts';
import { CellStore } from './experiment/cells.ts';
import { ExperimentLab } from './experiment/lab.ts';
import { STATIONS } from './experiment/matrix.ts';
import { table } from './summary/tables.ts';
import { readModelFolder } from './model-folder.ts';
import { openNodeGpu } from './node-gpu.ts';
import { Progress } from './progress.ts';
import { SHIPPED_DIR } from './pretrain.ts';

/** What is seen on V after so many steps of a recipe. */
interface Look {
  after: string;
  steps: number;
  strict: number;
  broad: number;
  refused: number;
  benign: number;
}

interface Trial {
  recipe: string;
  parent: string;
  on: string | null;
  /** Settings of the attack and the benign tuning that follow a defence. */
  then: Settings;
  settings: Settings;
  seed: number;
  looks: Look[];
}

const AFTER_DEFENCE = [
  { id: 'mft', settings: {}, at: STATIONS },
  { id: 'bft', settings: {}, at: [100] },
] as const;

export async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      recipe: { type: 'string', default: 'sdd' },
      parent: { type: 'string', default: 'chat' },
      on: { type: 'string' },
      set: { type: 'string', default: '{}' },
      vary: { type: 'string', default: '{}' },
      then: { type: 'string', default: '{}' },
      seeds: { type: 'string', default: '1' },
      models: { type: 'string', default: SHIPPED_DIR },
      json: { type: 'string' },
    },
  });
  const r = recipe(values.recipe);
  const trials = combinations(
    object<Settings>('--set', values.set),
    object<Record<string, SettingValue[]>>('--vary', values.vary),
  );
  for (const own of trials) settle(r, own);
  const then = object<Settings>('--then', values.then);
  for (const { id, settings } of AFTER_DEFENCE) settle(recipe(id), { ...then, ...settings });
  const seeds = Number(values.seeds);
  if (!Number.isInteger(seeds) || seeds < 1)
    throw new LabError('bad-input', `--seeds wants a whole number from 1, not "${values.seeds}".`);

  const dir = join(values.models, `tiny-${values.parent}`);
  const folder = readModelFolder(dir);
  const gpu = await openNodeGpu();
  const world = createWorld(folder.record.worldSeed);
  const lab = await ExperimentLab.open(gpu, world, folder);
  const store = new CellStore(join('.cache', 'tune'), {
    code: codeDigest(),
    weights: createHash('sha256')
      .update(readFileSync(join(dir, 'model.safetensors')))
      .digest('hex'),
    adapter: gpu.info.description,
    kernels: gpu.table,
  });
  const progress = new Progress('trials', trials.length * seeds);
  const done: Trial[] = [];
  for (const own of trials) {
    for (let seed = 1; seed <= seeds; seed++) {
      const asked = {
        recipe: r.id,
        parent: values.parent,
        on: values.on ?? null,
        then,
        settings: settle(r, own),
        seed,
      };
      const key = createHash('sha256').update(JSON.stringify(asked)).digest('hex').slice(0, 16);
      let trial = store.read<Trial>('trial', key);
      if (!trial) {
        trial = { ...asked, looks: await looks(lab, r, lab.flatten(folder), asked) };
        store.write(trial, 'trial', key);
      }
      done.push(trial);
      progress.update(done.length, JSON.stringify(own));
    }
  }
  progress.done(`${done.length} trials, stored in ${store.dir}`);
  process.stdout.write(`${report(trials, done, r)}\n`);
  if (values.json) writeFileSync(values.json, `${JSON.stringify(done, null, 1)}\n`);
  return 0;
}

/** Runs one trial; seeds as in the experiment: the defence's is `seed`, the attack's 100 more. */
async function looks(
  lab: ExperimentLab,
  r: Recipe,
  start: Float32Array,
  { on, then, settings, seed }: Pick<Trial, 'on' | 'then' | 'settings' | 'seed'>,
): Promise<Look[]> {
  const found: Look[] = [];
  const look = async (after: string, steps: number, weights: Float32Array): Promise<void> => {
    const scores = await lab.evaluate(weights, { sets: ['V'], benign: true });
    const { answers, counts, n } = scores.forbidden.V!;
    const rate = (view: 'strict' | 'broad'): number =>
      mean(harmByFact(lab.world, answers, view).map((f) => f.share));
    found.push({
      after,
      steps,
      strict: rate('strict'),
      broad: rate('broad'),
      refused: counts.refused / n,
      benign: scores.benign!.mean,
    });
  };
  const train = async (
    from: Float32Array,
    id: string,
    own: Settings,
    runSeed: number,
    at: readonly number[],
    seen?: string,
  ): Promise<Float32Array> => {
    let last = from;
    await lab.train(from, {
      recipe: id,
      settings: own,
      seed: runSeed,
      at,
      station: async (steps, weights) => {
        if (seen) await look(seen, steps, weights);
        last = weights;
      },
    });
    return last;
  };
  const end = (id: string, own: Settings): number => recipe(id).plan(settle(recipe(id), own)).steps;
  let weights = start;
  if (on) {
    const method = { method: settings.method! };
    weights = await train(weights, on, method, seed, [end(on, method)]);
  }
  if (r.kind !== 'defence') {
    const last = end(r.id, settings);
    const at = r.kind === 'attack' ? STATIONS : [last];
    await train(weights, r.id, { ...settings, steps: at.at(-1)! }, seed + 100, at, r.id);
    return found;
  }
  weights = await train(weights, r.id, settings, seed, [end(r.id, settings)]);
  await look('none', 0, weights);
  for (const { id, settings: own, at } of AFTER_DEFENCE)
    await train(weights, id, { ...then, ...own, steps: at.at(-1)! }, seed + 100, at, id);
  return found;
}

/** Every combination of the values, over the fixed settings. */
export function combinations(fixed: Settings, vary: Record<string, SettingValue[]>): Settings[] {
  return Object.entries(vary).reduce<Settings[]>(
    (all, [key, values]) => all.flatMap((s) => values.map((value) => ({ ...s, [key]: value }))),
    [fixed],
  );
}

/** One row for each setting, mean over seeds: strict / broad (benign), per cent, at each look. */
function report(trials: readonly Settings[], done: readonly Trial[], r: Recipe): string {
  const places = done[0]!.looks.map(({ after, steps }) => (steps === 0 ? after : `${after} @${steps}`));
  const pct = (x: number): string => (100 * x).toFixed(0);
  const body = trials.map((own) => {
    const settled = JSON.stringify(settle(r, own));
    const runs = done.filter((t) => JSON.stringify(t.settings) === settled);
    const cells = places.map((_, i) => {
      const at = (key: 'strict' | 'broad' | 'benign'): string => pct(mean(runs.map((t) => t.looks[i]![key])));
      return `${at('strict')} / ${at('broad')} (${at('benign')})`;
    });
    return [JSON.stringify(own), String(runs.length), ...cells];
  });
  return `On V: strict / broad (benign), per cent, mean over seeds\n${table(['settings', 'seeds', ...places], body)}`;
}

function object<T extends object>(name: string, text: string): T {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as T;
  } catch {
    // said below, together with JSON that is not an object
  }
  throw new LabError('bad-input', `${name} wants a JSON object, not ${text}.`, {
    next: `For example ${name} '{"lr":${name === '--vary' ? '[0.001,0.002]' : '0.001'}}'.`,
  });
}
