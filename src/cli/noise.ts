/**
 * npm run noise -- [--seeds N] [--parent chat|base] [--models DIR] [--out FILE.json]
 *
 * Measures how far SDD moves each layer of an embedded model, with its defaults, on all weights and on an adapter: the lengths of
 * the noise control. Mean over the seeds (3) of ||after - before|| / ||before||. Without --out they are only printed;
 * `--out src/recipes/noise-norms.json` writes them where the recipe reads them.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { mean } from '../core/stats.ts';
import { partsOf, relativeChanges } from '../insights/param-ops.ts';
import { paramLayout } from '../model/params.ts';
import { recipe } from '../recipes/index.ts';
import { settle } from '../recipes/recipe.ts';
import { createWorld } from '../world/world.ts';
import { ExperimentLab } from './experiment/lab.ts';
import { readModelFolder } from './model-folder.ts';
import { openNodeGpu } from './node-gpu.ts';
import { whole } from './options.ts';
import { SHIPPED_DIR } from './pretrain.ts';
import { Progress } from './progress.ts';

const METHODS = ['full', 'lora'] as const;

export async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      seeds: { type: 'string', default: '3' },
      parent: { type: 'string', default: 'chat' },
      models: { type: 'string', default: SHIPPED_DIR },
      out: { type: 'string' },
    },
  });
  const seeds = whole('--seeds', values.seeds, 1);
  const dir = join(values.models, `tiny-${values.parent}`);
  const folder = readModelFolder(dir);
  const gpu = await openNodeGpu();
  const lab = await ExperimentLab.open(gpu, createWorld(folder.record.worldSeed), folder);
  const before = lab.flatten(folder);
  const parts = partsOf(paramLayout(folder.config)).filter(({ part }) => part !== 'all');
  const progress = new Progress('SDD runs', METHODS.length * seeds);
  let done = 0;
  const lengths = async (method: (typeof METHODS)[number]): Promise<Record<string, number>> => {
    const runs: number[][] = [];
    for (let seed = 1; seed <= seeds; seed++) {
      const settings = { method };
      const { steps } = recipe('sdd').plan(settle(recipe('sdd'), settings));
      await lab.train(before, {
        recipe: 'sdd',
        settings,
        seed,
        at: [steps],
        station: (_, after) => {
          runs.push(relativeChanges(parts, before, after));
          return Promise.resolve();
        },
      });
      progress.update(++done, method);
    }
    const means = parts.map(({ part }, i) => [part, Number(mean(runs.map((r) => r[i]!)).toPrecision(4))]);
    return Object.fromEntries(means.filter(([, length]) => length !== 0)) as Record<string, number>;
  };
  const found = {
    command: `npm run noise -- --seeds ${seeds} --parent ${values.parent}`,
    adapter: gpu.info.description,
    weights: createHash('sha256')
      .update(readFileSync(join(dir, 'model.safetensors')))
      .digest('hex'),
    full: await lengths('full'),
    lora: await lengths('lora'),
  };
  progress.done(`${done} runs of SDD`);
  const text = `${JSON.stringify(found, null, 2)}\n`;
  process.stdout.write(text);
  if (values.out) writeFileSync(values.out, text);
  lab.destroy();
  return 0;
}
