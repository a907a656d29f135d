/**
 * npm run insights -- conflict|landscape|map [--model chat --model chat+sdd] [--models DIR] [--json FILE] [--csv FOLDER]
 *
 * Looks behind the verdicts, on the models of the experiment (docs/insights.md):
 *   conflict   cosine of the attack's and the benign gradient by layer, against batches of one kind and against chance;
 *              [--batches 8] of [--rows 16] examples of each kind, before and [--after 50] steps of attack (0: before alone)
 *   landscape  harm, refusal and ability on the line from a model to itself after [--after 50] steps of attack, and along
 *              [--directions 5] shared random directions up to [--radius 0.5] row lengths; VISAGE with ability beside it
 *   map        learning rate x steps of an attack: [--rates 3e-5,1e-4,...] x [--steps 5,10,...]
 *
 * [--defence-seed 1] [--attack-seed 101] choose the runs. What is taken is stored at once: an interrupted command goes on where
 * it was; --fresh forgets. --json writes the document, --csv each of its tables as a file.
 */
import {
  MAP_RATES,
  MAP_STEPS,
  type ConflictTable,
  type InsightMap,
  type Landscape,
} from '../core/insights.ts';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import { checkAxes } from '../insights/attack-map.ts';
import { enoughBatches } from '../insights/conflict.ts';
import { evenly } from '../insights/landscape.ts';
import { insightTables } from '../report/insight-tables.ts';
import { InsightBench, specOf } from './insights/bench.ts';
import { gradientConflict } from './insights/conflict.ts';
import { safetyLandscape } from './insights/landscape.ts';
import { attackMap } from './insights/map.ts';
import { csvFolder, tablesText, writeCsv } from './insights/print.ts';
import { numbers, whole } from './options.ts';
import { SHIPPED_DIR } from './pretrain.ts';

const KINDS = ['conflict', 'landscape', 'map'] as const;

/** `error`: why it is partial. */
interface Taken {
  documents: (InsightMap | ConflictTable | Landscape)[];
  error?: unknown;
}

export async function main(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      model: { type: 'string', multiple: true },
      models: { type: 'string', default: SHIPPED_DIR },
      json: { type: 'string' },
      csv: { type: 'string' },
      rates: { type: 'string', default: MAP_RATES.join(',') },
      steps: { type: 'string', default: MAP_STEPS.join(',') },
      batches: { type: 'string', default: '8' },
      rows: { type: 'string', default: '16' },
      directions: { type: 'string', default: '5' },
      radius: { type: 'string', default: '0.5' },
      after: { type: 'string', default: '50' },
      'defence-seed': { type: 'string', default: '1' },
      'attack-seed': { type: 'string', default: '101' },
      fresh: { type: 'boolean', default: false },
    },
  });
  const kind = KINDS.find((k) => k === positionals[0]);
  if (!kind || positionals.length > 1)
    throw new LabError('bad-input', `One insight is wanted, not "${positionals.join(' ')}".`, {
      safe: 'Nothing was started.',
      next: `Choose one of ${KINDS.join(', ')}; "npm run insights -- --help" describes them.`,
    });
  const models = values.model ?? (kind === 'map' ? ['chat+sdd'] : ['chat', 'chat+sdd']);
  models.forEach(specOf);
  const o = {
    rates: numbers('--rates', values.rates),
    steps: numbers('--steps', values.steps),
    batches: whole('--batches', values.batches, 0),
    rows: whole('--rows', values.rows, 1),
    directions: whole('--directions', values.directions, 1),
    radius: Number(values.radius),
    after: whole('--after', values.after, kind === 'landscape' ? 1 : 0),
    command: commandOf(argv),
  };
  const seeds = {
    defence: whole('--defence-seed', values['defence-seed'], 0),
    attack: whole('--attack-seed', values['attack-seed'], 0),
  };
  checkAxes(o.rates, o.steps);
  evenly(o.radius, 1);
  enoughBatches(o.batches);
  const folder = values.csv === undefined ? null : csvFolder(values.csv);
  const bench = await InsightBench.open({ models: values.models, seeds, fresh: values.fresh });
  const taken = await TAKE[kind](bench, models, o);
  const tables = taken.documents.flatMap((document) => insightTables(document, 'en'));
  process.stdout.write(`${tablesText(tables)}\n`);
  const { documents } = taken;
  if (documents.some((d) => d.kind === 'attack map' && d.missing.length > 0))
    process.stdout.write('\nThe same command goes on with the fields that were not taken.\n');
  const json = documents.length === 1 ? documents[0] : documents;
  if (values.json) writeFileSync(values.json, `${JSON.stringify(json, null, 1)}\n`);
  if (folder !== null) writeCsv(folder, tables);
  if (taken.error !== undefined) throw taken.error;
  return 0;
}

interface Options {
  rates: number[];
  steps: number[];
  batches: number;
  rows: number;
  directions: number;
  radius: number;
  after: number;
  command: string;
}

const TAKE: Record<
  (typeof KINDS)[number],
  (bench: InsightBench, models: readonly string[], o: Options) => Promise<Taken>
> = {
  conflict: async (bench, models, o) => ({ documents: [await gradientConflict(bench, models, o)] }),
  landscape: async (bench, models, o) => ({ documents: [await safetyLandscape(bench, models, o)] }),
  map: async (bench, models, o) => {
    const documents: InsightMap[] = [];
    for (const model of models) {
      const { map, error } = await attackMap(bench, model, o);
      documents.push(map);
      if (error !== undefined) return { documents, error };
    }
    return { documents };
  },
};

/** The command without what says where results go: no part of what is measured. */
function commandOf(argv: readonly string[]): string {
  const kept = argv.filter(
    (arg, i) =>
      !/^--(json|csv|fresh|models)(=|$)/.test(arg) && !/^--(json|csv|models)$/.test(argv[i - 1] ?? ''),
  );
  return `npm run insights -- ${kept.join(' ')}`;
}
