/**
 * npm run insights -- conflict|landscape|map [--model chat --model chat+sdd] [--models DIR] [--json FILE] [--csv FILE]
 *
 * Looks behind the verdicts, on the models of the experiment (docs/insights.md):
 *   conflict   cosine of the attack's and the benign gradient by layer, against batches of one kind and against chance;
 *              [--batches 8] of [--rows 16] examples of each kind, before and [--after 50] steps of attack (0: before alone)
 *   landscape  harm, refusal and ability on the line from a model to itself after [--after 50] steps of attack, and along
 *              [--directions 5] shared random directions up to [--radius 0.5] row lengths; VISAGE with ability beside it
 *   map        learning rate x steps of an attack: [--rates 3e-5,1e-4,...] x [--steps 5,10,...]
 *
 * [--defence-seed 1] [--attack-seed 101] choose the runs. What is taken is stored at once: an interrupted command goes on where
 * it was; --fresh forgets. --json and --csv write the numbers of the tables.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import { checkAxes, MAP_RATES, MAP_STEPS } from '../insights/attack-map.ts';
import { InsightBench, specOf } from './insights/bench.ts';
import { attackMap } from './insights/map.ts';
import { mapCsv, mapTables } from './insights/tables.ts';
import { SHIPPED_DIR } from './pretrain.ts';

const KINDS = ['conflict', 'landscape', 'map'] as const;

/** A document with its text forms; `error`: why it is partial. */
interface Taken {
  document: unknown;
  text: string;
  csv: string;
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
  const rates = list('--rates', values.rates);
  const steps = list('--steps', values.steps);
  checkAxes(rates, steps);
  const seeds = {
    defence: whole('--defence-seed', values['defence-seed'], 0),
    attack: whole('--attack-seed', values['attack-seed'], 0),
  };
  const bench = await InsightBench.open({ models: values.models, seeds, fresh: values.fresh });
  const command = `npm run insights -- ${argv.filter((a, i) => !isOutput(a) && !/^--(json|csv)$/.test(argv[i - 1] ?? '')).join(' ')}`;

  let taken: Taken;
  if (kind === 'map') {
    const made = [];
    let error: unknown;
    for (const model of models) {
      const one = await attackMap(bench, model, { rates, steps, seed: seeds.attack, command });
      made.push(one.map);
      error = one.error;
      if (error !== undefined) break;
    }
    taken = {
      document: made.length === 1 ? made[0] : made,
      text: made.map(mapTables).join('\n\n'),
      csv: made.map(mapCsv).join(''),
      error,
    };
  } else throw new Error('to come');
  process.stdout.write(`${taken.text}\n`);
  if (values.json) writeFileSync(values.json, `${JSON.stringify(taken.document, null, 1)}\n`);
  if (values.csv) writeFileSync(values.csv, taken.csv);
  if (taken.error !== undefined) throw taken.error;
  return 0;
}

/** Options that say where results go: no part of what is measured. */
const isOutput = (arg: string): boolean => /^--(json|csv|fresh)(=|$)/.test(arg);

function list(name: string, text: string): number[] {
  const values = text.split(',').map(Number);
  if (text.trim() !== '' && values.every(Number.isFinite)) return values;
  throw new LabError('bad-input', `${name} wants numbers with commas between them, not "${text}".`);
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least)
    throw new LabError('bad-input', `${name} wants a whole number from ${least}, not "${text}".`);
  return value;
}
