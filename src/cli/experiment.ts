/**
 * npm run experiment -- [--preset smoke|quick|full] [--seeds N] [--grid] [--defended MODEL ...] [--attack ATTACK ...]
 *                      [--sizes 10,25,50,100] [--match-ability 0.6] [--models DIR] [--json FILE] [--report FILE.html]
 *                      [--answers FILE.jsonl] [--list] [--fresh]
 * npm run experiment -- --join FILE.json --join FILE.json ... [--json FILE] [--report FILE.html] [--answers FILE.jsonl]
 *
 * Defends, attacks and compares: {base, chat, and their SDD variants} x {no attack, MFT, prefix-only MFT, MFT of an
 * adapter, MFT mixed with benign chats, BFT, BFT of a new skill, BFT then MFT}. --defended takes other models (repeat it; 'all': also the paper's rivals and the controls, --list
 * names them), --attack some of the attacks; --sizes adds MFT on other numbers of examples, --match-ability the defended models on
 * their way from the undefended one, where all are equally able (experiment/matched.ts). Resumable: every result is stored as soon as it is there. Exit code 0 only if every run
 * finished. --grid asks for the budget to break instead. --models takes another pretrained world. --report writes a page
 * that opens from a disk, --json the same and every answer for programs and for the lab, --answers one line for each answer.
 * --join reads what --json wrote on several worlds or seeds, and gives tables and reports of all of them together.
 * --model DIR --prompts FILE [--seeds N] runs the matrix on a user's own checkpoint (experiment-own.ts).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import { tinyTask } from '../data/tiny-task.ts';
import { RECIPES } from '../recipes/index.ts';
import { settle } from '../recipes/recipe.ts';
import { createWorld, type World } from '../world/world.ts';
import { codeDigest, commitNow, EXPERIMENT_FOLDERS } from './code-digest.ts';
import { CellStore, type Cell } from './experiment/cells.ts';
import { ExperimentLab } from './experiment/lab.ts';
import {
  ATTACKS,
  attacksNamed,
  attacksSized,
  GRID,
  MODELS,
  modelsNamed,
  PRESETS,
  withMatched,
  type AttackSpec,
  type RunSeeds,
} from './experiment/matrix.ts';
import { present, repeated, type Outputs } from './summary/present.ts';
import { readResult, requireJoinable, type Result } from './summary/result.ts';
import { Repetition, Work, type Failure, type Planned } from './experiment/run.ts';
import { OWN_OPTIONS, ownMain, resultsMain } from './experiment-own.ts';
import { readModelFolder } from './model-folder.ts';
import { openNodeGpu } from './node-gpu.ts';
import { whole } from './options.ts';
import { SHIPPED_DIR } from './pretrain.ts';
import { duration } from './progress.ts';
import { protocolNow } from './protocol.ts';

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
      defended: { type: 'string', multiple: true, default: [] },
      attack: { type: 'string', multiple: true, default: [] },
      sizes: { type: 'string' },
      'match-ability': { type: 'string' },
      models: { type: 'string', default: SHIPPED_DIR },
      json: { type: 'string' },
      report: { type: 'string' },
      answers: { type: 'string' },
      list: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
      join: { type: 'string', multiple: true },
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
  refuseBesideGrid(values);
  refuseForeign(
    tokens.flatMap((t) => (t.kind === 'option' ? [t.name] : [])),
    values.model !== undefined || values.results !== undefined,
  );
  if (values.join) {
    refuseBesideJoin(tokens.flatMap((t) => (t.kind === 'option' ? [t.name] : [])));
    return joinMain(values, values.join, argv);
  }
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
  const named = modelsNamed(values.defended);
  const ability = values['match-ability'];
  const models = ability === undefined ? named : withMatched(named, Number(ability));
  const asked = attacksNamed(values.attack);
  const sizes = values.sizes === undefined ? [] : attacksSized(values.sizes);
  const attacks = [...asked, ...sizes.filter(({ id }) => asked.every((a) => a.id !== id))];

  const folders = ['tiny-base', 'tiny-chat'].map((name) => join(values.models, name));
  const [base, chat] = folders.map(readModelFolder) as [
    ReturnType<typeof readModelFolder>,
    ReturnType<typeof readModelFolder>,
  ];
  const code = codeDigest(undefined, EXPERIMENT_FOLDERS);
  const gpu = await openNodeGpu();
  const world = createWorld(chat.record.worldSeed);
  requireExamples(world, attacks);
  const lab = await ExperimentLab.open(gpu, world, base);
  const embedded = new Map([
    ['base', lab.flatten(base)],
    ['chat', lab.flatten(chat)],
  ]);
  const store = new CellStore(
    join('.cache', 'experiment'),
    {
      code,
      weights: folders.map(digest),
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
  const failures: Failure[] = [];
  let planned: readonly Planned[] = [];
  const seeds = repeated(first, repetitions);
  const begun = performance.now();
  const all = seeds.map((own) => new Repetition(lab, store, preset, own, embedded, protocolNow().sha256));
  const seen = new Set<string>();
  const costs = all.map((r) => (values.grid ? r.gridCost(seen) : r.cost(models, attacks, true, seen)));
  const work = new Work(
    values.grid ? 'grid' : 'matrix',
    costs.reduce((a, b) => a + b, 0),
  );
  for (const [i, repetition] of all.entries()) {
    const label = `seeds ${i + 1}/${repetitions}`;
    await (values.grid ? repetition.grid(label, work) : repetition.matrix(label, models, attacks, work));
    cells.push(...repetition.cells);
    planned = repetition.planned;
    failures.push(...repetition.failures);
  }
  const command = commandOf(argv);
  const result: Result = {
    kind: values.grid ? 'grid' : 'matrix',
    worldSeed: world.seed,
    models: {
      folder: values.models,
      weights: Object.fromEntries(folders.map((dir) => [basename(dir), digest(dir)])),
    },
    preset: preset.id,
    set: 'T',
    seeds,
    adapter: gpu.info.description,
    kernels: gpu.table,
    commit: commitNow() ?? null,
    code,
    command,
    planned,
    failures,
    cells,
  };
  const took = duration((performance.now() - begun) / 1000);
  present([result], values, command, `Adapter: ${gpu.info.description}; code ${code.slice(0, 16)}; ${took}`);
  return failures.length === 0 ? 0 : 1;
}

/** Results of several worlds, or of more seeds, as one. */
function joinMain(values: Outputs, paths: readonly string[], argv: readonly string[]): number {
  const results = paths.map((path) => ({ path, result: readResult(path) }));
  requireJoinable(results);
  const all = results.map((r) => r.result);
  present(all, values, commandOf(argv), `Joined: ${paths.join(', ')}`);
  return all.every((r) => r.failures.length === 0) ? 0 : 1;
}

/** The command without the files that it wrote: they are no part of what is measured. */
function commandOf(argv: readonly string[]): string {
  const isOutput = (arg: string | undefined): boolean => /^--(json|report|answers)(=|$)/.test(arg ?? '');
  const isValue = (i: number): boolean => /^--(json|report|answers)$/.test(argv[i - 1] ?? '');
  return `npm run experiment -- ${argv.filter((arg, i) => !isOutput(arg) && !isValue(i)).join(' ')}`;
}

const digest = (dir: string): string =>
  createHash('sha256')
    .update(readFileSync(join(dir, 'model.safetensors')))
    .digest('hex');

/** Options of the experiment on the tiny world alone. */
const TINY_ONLY = [
  ...['preset', 'grid', 'defended', 'attack', 'sizes', 'match-ability'],
  ...['models', 'report', 'answers', 'join'],
];

/** @throws LabError naming an option that would be ignored */
function refuseBesideJoin(given: readonly string[]): void {
  const name = given.find((option) => !['join', 'json', 'report', 'answers'].includes(option));
  if (name !== undefined)
    throw new LabError('bad-input', `--${name} means nothing with --join, which measures nothing.`, {
      safe: 'Nothing was started.',
      next: 'Leave it out; --json, --report and --answers say where the joined results go.',
    });
}

/** @throws LabError where an attack wants more examples than there are */
function requireExamples(world: World, attacks: readonly AttackSpec[]): void {
  const most = tinyTask(world).requests('attack').length;
  const wanted = attacks.map(({ settings }) => Number(settings?.n)).find((n) => n > most);
  if (wanted === undefined) return;
  throw new LabError('bad-input', `MFT on ${wanted} examples: an attack can use ${most} at most.`, {
    safe: 'Nothing was started.',
    next: 'Take smaller sizes, as --sizes 10,25,50,100.',
  });
}

/** @throws LabError naming an option that would be ignored */
function refuseBesideGrid(values: { grid?: boolean; sizes?: string; 'match-ability'?: string }): void {
  const name = (['sizes', 'match-ability'] as const).find((option) => values[option] !== undefined);
  if (!values.grid || name === undefined) return;
  throw new LabError(
    'bad-input',
    `--${name} means nothing with --grid, whose models and attacks are fixed.`,
    {
      safe: 'Nothing was started.',
      next: 'Leave one of the two out.',
    },
  );
}

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
    '  mft-nN           mft on N examples, also after as many epochs as at 100 (--sizes)',
    '  MODEL@60         a defended model where it does 60 % of the everyday tasks (--match-ability)',
    'Presets',
    ...presets,
    'Grid (--grid)',
    grid,
  ].join('\n');
}
