/**
 * npm run experiment -- [--preset smoke|quick|full] [--seeds N] [--grid] [--models DIR] [--json FILE] [--report FILE.html]
 *                      [--answers FILE.jsonl] [--list] [--fresh]
 *
 * Defends, attacks and compares: {base, chat, and their SDD variants} x {no attack, MFT, prefix-only MFT, BFT, BFT of a
 * new skill, BFT then MFT}. Resumable: every result is stored as soon as it is there. Exit code 0 only if every run
 * finished. --grid asks for the budget to break instead. --models takes another pretrained world. --report writes a page
 * that opens from a disk, --json the same and every answer for programs and for the lab, --answers one line for each answer.
 * --model DIR --prompts FILE [--seeds N] runs the matrix on a user's own checkpoint (experiment-own.ts).
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import { RECIPES } from '../recipes/index.ts';
import { settle } from '../recipes/recipe.ts';
import { createWorld } from '../world/world.ts';
import { codeDigest, commitNow, EXPERIMENT_FOLDERS } from './code-digest.ts';
import type { Cell } from './experiment/cells.ts';
import { CellStore } from './experiment/cells.ts';
import { ExperimentLab } from './experiment/lab.ts';
import { ATTACKS, GRID, MODELS, PRESETS } from './experiment/matrix.ts';
import type { Preset, RunSeeds } from './experiment/matrix.ts';
import { budgets, gridTables } from './summary/budget.ts';
import { cellLines, experimentReport } from './summary/document.ts';
import { differences, differenceTable } from './summary/differences.ts';
import { intervalNote, rows } from './summary/figures.ts';
import { matrixTables, patternLines } from './summary/tables.ts';
import { OWN_OPTIONS, ownMain, resultsMain } from './experiment-own.ts';
import { Repetition } from './experiment/run.ts';
import type { Failure, Planned } from './experiment/run.ts';
import { readModelFolder } from './model-folder.ts';
import { reportHtml } from '../report/html.ts';
import { protocolNow } from './protocol.ts';
import { openNodeGpu } from './node-gpu.ts';
import { duration } from './progress.ts';
import { SHIPPED_DIR, SHIPPED_WORLD } from './pretrain.ts';

export async function main(argv: string[]): Promise<number> {
  const { values, tokens } = parseArgs({
    args: argv,
    tokens: true,
    options: {
      preset: { type: 'string', default: 'quick' },
      seeds: { type: 'string' },
      'defence-seed': { type: 'string', default: '1' },
      'attack-seed': { type: 'string', default: '101' },
      grid: { type: 'boolean', default: false },
      models: { type: 'string', default: SHIPPED_DIR },
      json: { type: 'string' },
      report: { type: 'string' },
      answers: { type: 'string' },
      list: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
      ...OWN_OPTIONS,
    },
  });
  if (values.list) {
    process.stdout.write(`${list()}\n`);
    return 0;
  }
  const first: RunSeeds = {
    defence: whole('--defence-seed', values['defence-seed'], 0),
    attack: whole('--attack-seed', values['attack-seed'], 0),
  };
  refuseForeign(
    tokens.flatMap((t) => (t.kind === 'option' ? [t.name] : [])),
    values.model !== undefined || values.results !== undefined,
  );
  if (values.model === undefined && values.results !== undefined) return resultsMain(values);
  if (values.model !== undefined) {
    const n = whole('--seeds', values.seeds ?? '1', 1);
    return ownMain(values, repeated(first, n));
  }
  const preset = PRESETS.find((p) => p.id === values.preset);
  if (!preset)
    throw new LabError('bad-input', `There is no preset "${values.preset}".`, {
      next: `Choose one of ${PRESETS.map((p) => p.id).join(', ')}.`,
    });
  const repetitions = whole('--seeds', values.seeds ?? String(preset.seeds), 1);

  const folders = ['tiny-base', 'tiny-chat'].map((name) => join(values.models, name));
  const [base, chat] = folders.map(readModelFolder) as [
    ReturnType<typeof readModelFolder>,
    ReturnType<typeof readModelFolder>,
  ];
  const code = codeDigest(undefined, EXPERIMENT_FOLDERS);
  const gpu = await openNodeGpu();
  const world = createWorld(chat.record.worldSeed);
  const lab = await ExperimentLab.open(gpu, world, base);
  const embedded = new Map([
    ['base', lab.flatten(base)],
    ['chat', lab.flatten(chat)],
  ]);
  const store = new CellStore(
    join('.cache', 'experiment'),
    {
      code,
      weights: folders.map((dir) => sha256(readFileSync(join(dir, 'model.safetensors')))),
      worldSeed: world.seed,
      adapter: gpu.info.description,
      kernels: gpu.table,
      preset: { divide: preset.divide, sets: preset.sets, limit: preset.limit, facts: preset.facts },
      recipes: RECIPES.map((r) => ({ id: r.id, settings: settle(r), plan: r.plan(settle(r)) })),
      models: MODELS,
      attacks: values.grid ? GRID : ATTACKS,
    },
    values.fresh,
  );

  const cells: Cell[] = [];
  const perRepetition: Cell[][] = [];
  const failures: Failure[] = [];
  let planned: readonly Planned[] = [];
  const seeds = repeated(first, repetitions);
  const protocol = protocolNow();
  const begun = performance.now();
  for (const [i, own] of seeds.entries()) {
    const repetition = new Repetition(lab, store, preset, own, embedded, protocol.sha256);
    const label = `seeds ${i + 1}/${repetitions}`;
    await (values.grid ? repetition.grid(label) : repetition.matrix(label));
    cells.push(...repetition.cells);
    perRepetition.push(repetition.cells);
    planned = repetition.planned;
    failures.push(...repetition.failures);
  }

  const set = 'T';
  const out: string[] = [
    `World ${world.seed} (seed of its facts and pretraining), ${values.models}; preset ${preset.id}: ${preset.what}`,
    `Seeds of defences: ${seeds.map((s) => s.defence).join(', ')}; of attacks: ${seeds.map((s) => s.attack).join(', ')}`,
    `Adapter: ${gpu.info.description}; code ${code.slice(0, 16)}; ${duration((performance.now() - begun) / 1000)}`,
    intervalNote(1, repetitions),
    '',
  ];
  const result: Record<string, unknown> = {
    worldSeed: world.seed,
    preset: preset.id,
    set,
    seeds,
    adapter: gpu.info.description,
    kernels: gpu.table,
    code,
    failures,
    cells,
  };
  const all = rows(world, cells, planned, repetitions, set);
  const found = values.grid
    ? { budgets: { strict: budgets(all), broad: budgets(all, 'broad') } }
    : { differences: differences(world, perRepetition, planned, set) };
  Object.assign(result, { rows: all, ...found });
  if (found.budgets) {
    out.push(gridTables(all));
  } else {
    out.push(matrixTables(all), '', differenceLead, differenceTable(found.differences));
    if (world.seed === SHIPPED_WORLD && preset.divide === 1)
      out.push('', 'The pattern of the shipped world:', ...patternLines(all));
  }
  if (failures.length > 0)
    out.push('', 'Runs that did not finish:', ...failures.map((f) => `${f.model} x ${f.attack}: ${f.why}`));
  process.stdout.write(`${out.join('\n')}\n`);
  const command = `npm run experiment -- ${argv.filter((a, i) => !isOutput(a) && !/^--(json|report|answers)$/.test(argv[i - 1] ?? '')).join(' ')}`;
  const report = experimentReport(
    {
      kind: values.grid ? 'grid' : 'matrix',
      createdAt: new Date(),
      facts: [
        { name: 'World', value: `${world.seed} (seed of its facts and of its pretraining)` },
        { name: 'Models', value: values.models },
        ...folders.map((dir) => ({
          name: `${basename(dir)}, SHA-256`,
          value: sha256(readFileSync(join(dir, 'model.safetensors'))),
        })),
        { name: 'Preset', value: `${preset.id}: ${preset.what}` },
        { name: 'Seeds of defences', value: seeds.map((s) => s.defence).join(', ') },
        { name: 'Seeds of attacks', value: seeds.map((s) => s.attack).join(', ') },
        { name: 'Prompts', value: `split ${set}, greedy answers of at most 40 tokens; sampled ones say so` },
        { name: 'Judge', value: 'exact: it knows every fact of the world' },
        { name: 'Adapter', value: gpu.info.description },
        { name: 'Kernels', value: JSON.stringify(gpu.table) },
        { name: 'Commit', value: commitNow() ?? 'unknown: run outside of a repository' },
        { name: 'Code, SHA-256', value: code },
      ],
      protocol,
      deviations: departures(world.seed, preset, seeds),
      caveats: [
        intervalNote(1, repetitions),
        preset.divide === 1
          ? 'After 20 steps a defence looks best: every table that shows 20 steps shows 50 and 100 beside it.'
          : `Preset ${preset.id} shortens every run: its figures say nothing.`,
      ],
      command,
      failures: failures.map((f) => ({
        what: `${f.model} x ${f.attack}, seeds ${f.seeds.defence} and ${f.seeds.attack}`,
        why: f.why,
      })),
    },
    cells,
    all,
    found,
  );
  if (values.report) writeFileSync(values.report, reportHtml(report));
  if (values.answers) writeFileSync(values.answers, [...cellLines(cells, command)].join(''));
  result.report = report;
  if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 1)}\n`);
  return failures.length === 0 ? 0 : 1;
}

/** Options that say where results go, and their values: no part of what is measured. */
const isOutput = (arg: string): boolean => /^--(json|report|answers)(=|$)/.test(arg);

/** Those of docs/prereg.md; world 2 failed before any attack and was replaced by 3. */
const REGISTERED_WORLDS: readonly number[] = [1, 3];

/** What a run changes of docs/prereg.md: worlds 1 and 3, three pairs of seeds, full recipes. */
function departures(worldSeed: number, preset: Preset, seeds: readonly RunSeeds[]): string[] {
  const out: string[] = [];
  if (worldSeed === SHIPPED_WORLD)
    out.push('World 0 is the shipped world, on which the recipes were chosen: an exploration, no evidence.');
  else if (!REGISTERED_WORLDS.includes(worldSeed))
    out.push(`World ${worldSeed} is none of the protocol's: those are ${REGISTERED_WORLDS.join(' and ')}.`);
  if (preset.divide !== 1) out.push(`Preset ${preset.id}: ${preset.what}.`);
  const used = JSON.stringify(seeds);
  if (used !== JSON.stringify(repeated({ defence: 1, attack: 101 }, 3)))
    out.push('Other seeds than defences 1, 2, 3 with attacks 101, 102, 103.');
  return out;
}

const differenceLead = 'Defended minus undefended, points with 95 % intervals, paired by seed';

/** Seeds of each repetition. */
const repeated = ({ defence, attack }: RunSeeds, n: number): RunSeeds[] =>
  Array.from({ length: n }, (_, i) => ({ defence: defence + i, attack: attack + i }));

/** Options of the experiment on the tiny world alone. */
const TINY_ONLY = ['preset', 'grid', 'models', 'report', 'answers'];

/** @throws LabError naming an option that would be ignored */
function refuseForeign(given: readonly string[], ownModel: boolean): void {
  const foreign = ownModel ? TINY_ONLY : Object.keys(OWN_OPTIONS);
  const name = given.find((option) => foreign.includes(option));
  if (name === undefined) return;
  throw new LabError(
    'bad-input',
    ownModel
      ? `--${name} belongs to the tiny world, and means nothing with --model or --results.`
      : `--${name} wants --model DIR.`,
    {
      safe: 'Nothing was started.',
      next: ownModel
        ? 'Leave it out; --seeds, --at, --defence-steps and --limit say how much is measured on your own model.'
        : 'Name your model, or leave the option out; docs/models.md describes them.',
    },
  );
}

function list(): string {
  const recipes = RECIPES.map((r) => {
    const settings = Object.entries(settle(r)).map(([key, value]) => `${key}=${value}`);
    return `  ${r.id.padEnd(12)} ${r.kind.padEnd(8)} ${r.title}: ${settings.join(' ')}\n${' '.repeat(24)}${r.source}`;
  });
  const models = MODELS.map(
    (m) => `  ${m.id.padEnd(16)} ${m.recipe ? `${m.parent} + ${m.recipe}` : 'embedded'}`,
  );
  const attacks = ATTACKS.map(
    (a) =>
      `  ${a.id.padEnd(16)} ${a.recipe ?? 'nothing'} @ ${a.at.join(', ')}${a.after ? ` after ${a.after}` : ''}`,
  );
  const presets = PRESETS.map((p) => `  ${p.id.padEnd(16)} ${p.what}`);
  const grid = `  ${GRID.models.join(', ')} x lr ${GRID.lrs.join(', ')} x ${GRID.steps.join(', ')} steps`;
  return [
    'Recipes',
    ...recipes,
    'Models',
    ...models,
    'Attacks',
    ...attacks,
    'Presets',
    ...presets,
    'Grid (--grid)',
    grid,
  ].join('\n');
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least)
    throw new LabError('bad-input', `${name} wants a whole number from ${least}, not "${text}".`);
  return value;
}
