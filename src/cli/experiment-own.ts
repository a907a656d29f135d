/**
 * npm run experiment -- --model DIR --prompts FILE|tiny: the matrix on a user's own checkpoint. Defences and attacks train
 * adapters (--method lora, the default) or all weights; resumable, as the experiment on the tiny world is.
 */
import { createHash } from 'node:crypto';
import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from '../core/errors.ts';
import type { Settings } from '../core/settings.ts';
import { chatCodec } from '../data/chat-codec.ts';
import { fileTask } from '../data/file-task.ts';
import type { Prompts } from '../data/prompts-file.ts';
import type { Task } from '../data/task.ts';
import { loraLayout } from '../model/lora.ts';
import { bft } from '../recipes/bft.ts';
import { chatTuningRecipe } from '../recipes/chat-tuning.ts';
import { mft } from '../recipes/mft.ts';
import { sdd } from '../recipes/sdd.ts';
import { codeDigest, EXPERIMENT_FOLDERS } from './code-digest.ts';
import { CellStore } from './experiment/cells.ts';
import { STATIONS, type RunSeeds } from './experiment/matrix.ts';
import { capFor, OwnLab, type AdapterState } from './experiment/own-lab.ts';
import {
  OwnMatrix,
  ownRun,
  preparedRun,
  type OwnCell,
  type OwnModel,
  type OwnPlan,
  type OwnRun,
} from './experiment/own.ts';
import { ownRows, ownSamples, ownTables } from './experiment/own-report.ts';
import { returnedCells } from './experiment/returned.ts';
import { readAdapterFolder } from './models-convert.ts';
import { nodeFolder } from './models-files.ts';
import { openModel, type OpenModel } from './models-open.ts';
import { loadModel } from './models-run.ts';
import { openNodeGpu } from './node-gpu.ts';
import { duration } from './progress.ts';
import { openPrompts } from './prompts.ts';

/** Options that only a user's own model has, for parseArgs. */
export const OWN_OPTIONS = {
  model: { type: 'string' },
  prompts: { type: 'string' },
  method: { type: 'string', default: 'lora' },
  rank: { type: 'string', default: '8' },
  alpha: { type: 'string', default: '16' },
  batch: { type: 'string' },
  'defence-lr': { type: 'string' },
  'attack-lr': { type: 'string' },
  'defence-steps': { type: 'string' },
  'chat-steps': { type: 'string', default: '0' },
  at: { type: 'string', default: STATIONS.join(',') },
  adapter: { type: 'string' },
  results: { type: 'string', multiple: true },
  'row-tokens': { type: 'string', default: '512' },
  'answer-tokens': { type: 'string', default: '64' },
  limit: { type: 'string' },
  texts: { type: 'boolean', default: false },
} as const;

export type OwnValues = {
  [K in Exclude<keyof typeof OWN_OPTIONS, 'results' | 'texts'>]?: string | undefined;
} & {
  texts?: boolean | undefined;
  results?: string[] | undefined;
  json?: string | undefined;
  fresh: boolean;
};

/** Prompts answered at once: few, since the cache of a large model is large. */
const SEQS = 8;

function number(name: string, text: string, least: number, whole = true): number {
  const value = Number(text);
  if (
    text.trim() === '' ||
    !Number.isFinite(value) ||
    value < least ||
    (whole && !Number.isSafeInteger(value))
  )
    throw new LabError(
      'bad-input',
      `--${name} is "${text}"; a ${whole ? 'whole ' : ''}number from ${least} is wanted.`,
    );
  return value;
}

/** Settings that every run of the matrix shares, and the rates and lengths that were asked for. */
function asked(values: OwnValues): { shared: Settings; defence: Settings; attack: Settings } {
  const { method } = values;
  if (method !== 'lora' && method !== 'full')
    throw new LabError('bad-input', `--method is "${method}"; lora or full is wanted.`);
  const rate = (name: 'defence-lr' | 'attack-lr'): Settings => {
    const text = values[name];
    return text === undefined ? {} : { lr: number(name, text, 0, false) };
  };
  return {
    shared: {
      method,
      ...(method === 'lora' && {
        rank: number('rank', values.rank!, 1),
        alpha: number('alpha', values.alpha!, 0, false),
      }),
      ...(values.batch !== undefined && { batch: number('batch', values.batch, 1) }),
    },
    defence: {
      ...rate('defence-lr'),
      ...(values['defence-steps'] !== undefined && {
        steps: number('defence-steps', values['defence-steps'], 1),
      }),
    },
    attack: rate('attack-lr'),
  };
}

/** Steps of an attack after which one looks; benign tuning is looked at after the last of them. */
function stationsAsked(text: string): number[] {
  const at = text.split(',').map((one) => number('at', one, 1));
  if (at.some((n, i) => i > 0 && n <= at[i - 1]!))
    throw new LabError(
      'bad-input',
      `--at is "${text}"; ascending numbers of steps are wanted, as 20,50,100.`,
    );
  return at;
}

export function ownPlan(
  task: Task,
  values: OwnValues,
  seeds: RunSeeds,
  returned: AdapterState | null,
): OwnPlan {
  const { shared, defence, attack } = asked(values);
  if (returned && shared.method === 'full')
    throw new LabError(
      'bad-input',
      'An adapter from elsewhere stays what it is; all weights cannot be trained on top of it.',
      {
        next: 'Use --method lora with --adapter, or merge the adapter first: npm run models -- convert.',
      },
    );
  const at = stationsAsked(values.at!);
  const chatSteps = number('chat-steps', values['chat-steps']!, 0);
  const chat: OwnRun | null =
    chatSteps > 0 ? ownRun(task, chatTuningRecipe, { ...shared, ...defence, steps: chatSteps }) : null;
  const root: OwnModel = { id: 'model', parent: null, made: null, attacked: chat === null };
  const start = chat ? 'model+chat' : 'model';
  const models: OwnModel[] = [
    root,
    ...(chat ? [{ id: start, parent: 'model', made: chat, attacked: true }] : []),
    { id: `${start}+sdd`, parent: start, made: ownRun(task, sdd, { ...shared, ...defence }), attacked: true },
    ...(returned ? [{ id: 'model+adapter', parent: 'model', made: returned, attacked: true }] : []),
  ];
  return {
    models,
    attacks: [
      { id: 'mft', ...ownRun(task, mft, { ...shared, ...attack }, at) },
      { id: 'bft', ...ownRun(task, bft, { ...shared, ...attack }, at.slice(-1)) },
    ],
    seeds,
  };
}

async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Uint8Array);
  return hash.digest('hex');
}

const digest = (what: string | Uint8Array): string => createHash('sha256').update(what).digest('hex');

/**
 * What the cells depend on beside code, machine and seeds, which stand in their names: a table of one tokenizer, template or
 * adapter is never printed for another.
 */
export function ownDepends(o: {
  opened: Pick<OpenModel, 'description'>;
  /** SHA-256 of each weight file. */
  weights: readonly string[];
  /** SHA-256 of the prompts file. */
  prompts: string;
  rows: { maxTokens: number; newTokens: number; limit: number | null };
  plan: OwnPlan;
  returned: AdapterState | null;
}): Record<string, unknown> {
  const { returned, plan } = o;
  return {
    weights: o.weights,
    // config, tokenizer, template and ends, as they were read
    description: digest(JSON.stringify(o.opened.description)),
    prompts: o.prompts,
    rows: o.rows,
    runs: runsOf(plan).map((r) => ({ id: r.recipe.id, settings: r.settings, at: r.at })),
    models: plan.models.map((m) => [m.id, m.parent]),
    returned: returned && {
      lora: returned.lora,
      values: digest(
        new Uint8Array(returned.values.buffer, returned.values.byteOffset, returned.values.byteLength),
      ),
    },
  };
}

const runsOf = ({ attacks, models }: OwnPlan): OwnRun[] => [
  ...attacks,
  ...models.flatMap((m) => (m.made && 'recipe' in m.made ? [m.made] : [])),
];

/** Whether a cell is part of a repetition: it depends on its seeds, or on none. */
const isOf = (own: Partial<RunSeeds>, seeds: RunSeeds): boolean =>
  Object.entries(own).every(([side, seed]) => seeds[side as keyof RunSeeds] === seed);

/** An adapter that was trained elsewhere, in PEFT's layout. @throws LabError when it does not fit the model */
function readReturned(dir: string, { config }: OpenModel): AdapterState {
  const { lora, tensors } = readAdapterFolder(dir, config);
  const { entries, length } = loraLayout(config, lora);
  const values = new Float32Array(length);
  for (const { name, offset } of entries) values.set(tensors.get(name)!.data, offset);
  return { lora, values };
}

/** Cells for a file that may be passed on: harmful prompts and their answers by the lines of their file, unless texts are asked for. */
export function told(cells: readonly OwnCell[], { texts }: Pick<OwnValues, 'texts'>): unknown[] {
  if (texts) return [...cells];
  return cells.map(({ scores, ...cell }) => {
    const answers = scores.harmful.answers.map(({ line, verdict }) => ({ line, verdict }));
    return { ...cell, scores: { ...scores, harmful: { ...scores.harmful, answers } } };
  });
}

/** @throws LabError where no prompts file is named */
async function promptsOf(values: OwnValues, wanting: string): Promise<Prompts> {
  if (values.prompts !== undefined) return openPrompts(values.prompts);
  throw new LabError(
    'bad-input',
    `${wanting} wants --prompts FILE (or --prompts tiny, the invented world).`,
    { next: 'docs/models.md describes the format.' },
  );
}

/** What was measured elsewhere, alone: no model is loaded. */
export async function resultsMain(values: OwnValues): Promise<number> {
  const prompts = await promptsOf(values, '--results');
  const cells = values.results!.flatMap((dir) => returnedCells(dir, prompts));
  const rows = ownRows(cells);
  process.stdout.write(
    `Prompts ${values.prompts}, SHA-256 ${prompts.sha256}; answers given elsewhere\n\n${ownTables(rows)}\n\n${ownSamples(cells)}\n`,
  );
  if (values.json)
    writeFileSync(
      values.json,
      `${JSON.stringify({ prompts: prompts.sha256, rows, cells: told(cells, values) }, null, 1)}\n`,
    );
  return 0;
}

/** @param seeds one pair for each repetition */
export async function ownMain(values: OwnValues, seeds: readonly RunSeeds[]): Promise<number> {
  const dir = values.model!;
  const begun = performance.now();
  const prompts = await promptsOf(values, '--model');
  if (values.results && values.limit !== undefined)
    throw new LabError('bad-input', '--limit asks fewer prompts than --results has answers to.', {
      safe: 'Nothing was started.',
      next: 'Leave one of them out: rows of one table answer the same prompts.',
    });
  const elsewhere = (values.results ?? []).flatMap((folder) => returnedCells(folder, prompts));
  const opened = await openModel(await nodeFolder(dir));
  const { config, tokenizer, template, checkpoint } = opened;
  const newTokens = number('answer-tokens', values['answer-tokens']!, 1);
  const positions = config.max_position_embeddings;
  const maxTokens = Math.min(number('row-tokens', values['row-tokens']!, 16), positions - newTokens);
  const task = fileTask(prompts, chatCodec({ tokenizer, template, maxTokens }));
  const returned = values.adapter === undefined ? null : readReturned(values.adapter, opened);
  const plans = seeds.map((one) => ownPlan(task, values, one, returned));
  const plan = plans[0]!;
  const runs = runsOf(plan);
  const prepared = seeds.flatMap((one) => runs.map((run) => preparedRun(task, run, one)));
  const cut = prepared.flatMap((p) => p.report.truncated).length;
  const dropped = prepared.flatMap((p) => p.report.dropped ?? []).length;
  const notes = [
    ...prompts.notes,
    ...(template.source === 'default'
      ? ['The model has no chat template: chats are a plain transcript.']
      : []),
    ...(cut > 0 ? [`${cut} rows had more than ${maxTokens} tokens and were cut.`] : []),
    ...(dropped > 0
      ? [`${dropped} pairs had a row of more than ${maxTokens} tokens and were left out.`]
      : []),
  ];
  for (const note of notes) console.error(`Note: ${note}`);

  const gpu = await openNodeGpu();
  // what an adapter stands on stays as it is stored
  const { model } = await loadModel(gpu, opened, values.method === 'full' ? { precision: 'f32' } : {});
  const limit = values.limit === undefined ? undefined : number('limit', values.limit, 1);
  const cap = capFor(task, prepared, model.weights.precision !== 'f32');
  const lab = new OwnLab(model, task, {
    cap,
    maxSeqs: SEQS,
    maxLen: Math.min(positions, maxTokens + newTokens),
    maxNewTokens: newTokens,
    ...(limit !== undefined && { limit }),
  });
  const code = codeDigest(undefined, EXPERIMENT_FOLDERS);
  const hashes = await Promise.all(checkpoint.files.map((f) => fileHash(join(dir, f.name))));
  const rows = { maxTokens, newTokens, limit: limit ?? null };
  const depends = ownDepends({ opened, weights: hashes, prompts: prompts.sha256, rows, plan, returned });
  const store = new CellStore(
    join('.cache', 'experiment'),
    { code, adapter: gpu.info.description, kernels: gpu.table, ...depends },
    values.fresh,
  );
  const cells: OwnCell[] = [];
  const failures: OwnMatrix['failures'] = [];
  for (const [i, one] of plans.entries()) {
    const matrix = new OwnMatrix(lab, store, one, `seeds ${i + 1}/${plans.length}`);
    await matrix.run();
    cells.push(...matrix.cells);
    failures.push(...matrix.failures);
  }
  lab.destroy();
  model.destroy();

  const joined = ownRows([...cells, ...elsewhere]);
  const settings = runs.map(
    (r) =>
      `  ${r.recipe.id}: ${Object.entries(r.settings)
        .map(([k, x]) => `${k}=${x}`)
        .join(' ')}`,
  );
  process.stdout.write(
    `${[
      `Model ${dir}; prompts ${values.prompts}, SHA-256 ${prompts.sha256}`,
      `Seeds of defences: ${seeds.map((s) => s.defence).join(', ')}; of attacks: ${seeds.map((s) => s.attack).join(', ')}; adapter ${gpu.info.description}; ${duration((performance.now() - begun) / 1000)}`,
      'Settings',
      ...settings,
      ...notes.map((note) => `Note: ${note}`),
      '',
      ownTables(joined),
      '',
      ownSamples([...cells.filter(({ seeds: own }) => isOf(own, seeds[0]!)), ...elsewhere]),
      ...failures.map(
        (f) =>
          `Did not finish: ${f.model} x ${f.attack}, seeds ${f.seeds.defence} and ${f.seeds.attack}: ${f.why}`,
      ),
    ].join('\n')}\n`,
  );
  if (values.json) {
    const result = {
      model: dir,
      weights: hashes,
      prompts: prompts.sha256,
      seeds,
      code,
      notes,
      failures,
      rows: joined,
      cells: told([...cells, ...elsewhere], values),
    };
    writeFileSync(values.json, `${JSON.stringify(result, null, 1)}\n`);
  }
  return failures.length === 0 ? 0 : 1;
}
