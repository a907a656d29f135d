import { mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import { buildPairs } from '../data/pairs/build.ts';
import { readEdits, type Edits } from '../data/pairs/edits.ts';
import { isManifest, readManifest } from '../data/pairs/manifest.ts';
import { noteText } from '../data/pairs/notes.ts';
import { pairSettings, type PairSettings, type PairSettingsInput } from '../data/pairs/settings.ts';
import type { SimilarityPort } from '../data/pairs/similarity.ts';
import { SOURCE_ROLES, type Source, type SourceRole, type Sources } from '../data/pairs/sources.ts';
import { builtFiles, manifestOf, type BuiltFiles } from '../data/pairs/write.ts';
import { parsePrompts } from '../data/prompts-file.ts';
import { inspect, readRows, type Choice } from '../data/readers/index.ts';
import type { DataRow } from '../data/rows.ts';
import { pooledPort } from '../eval/pooled.ts';
import { HiddenStates } from '../model/hidden.ts';
import { choiceOf, openDataFile } from './data-inspect.ts';
import type { DataCommand } from './data.ts';
import { nodeFolder } from './models-files.ts';
import { openModel } from './models-open.ts';
import { loadModel } from './models-run.ts';
import { openNodeGpu } from './node-gpu.ts';
import { Progress } from './progress.ts';

const usage = `pair --harmful FILE --answers FILE --out DIR [--eval FILE] [--attack FILE] [--benign FILE] [--seed S]
     [--total 8000 | --per-category N] [--category NAME]... [--threshold T] [--max-draws 20] [--model DIR]
     [--reject] [--refusals FILE] [--edits FILE] [--held-out 100] [--benign-held-out 50] [--replay 250]
     [--attack-size 10|50|100|500|all] [--openings] [--overlap] [--harmful-share 1] [--benign-tuning 500] [--every-turn]
     [--layout SET:LAYOUT]... [--map SET:field=column]... [--no-header SET]...`;

/** Tokens of one pass over texts that are compared by a model. */
const PASS_TOKENS = 1024;

const wrong = (what: string, next = `npm run data -- ${usage}`): LabError =>
  new LabError('bad-input', what, { safe: 'Nothing was written.', next });

const FILES = { type: 'string', multiple: true } as const;
const TEXT = { type: 'string' } as const;
const FLAG = { type: 'boolean', default: false } as const;
const OPTIONS = {
  harmful: FILES,
  answers: FILES,
  eval: FILES,
  attack: FILES,
  benign: FILES,
  out: TEXT,
  seed: TEXT,
  total: TEXT,
  'per-category': TEXT,
  category: FILES,
  threshold: TEXT,
  'max-draws': TEXT,
  model: TEXT,
  reject: FLAG,
  refusals: TEXT,
  edits: TEXT,
  'held-out': TEXT,
  'benign-held-out': TEXT,
  replay: TEXT,
  'attack-size': TEXT,
  openings: FLAG,
  overlap: FLAG,
  'harmful-share': TEXT,
  'benign-tuning': TEXT,
  'every-turn': FLAG,
  layout: FILES,
  map: FILES,
  'no-header': FILES,
} as const;

function parse(argv: string[]) {
  try {
    return parseArgs({ args: argv, options: OPTIONS }).values;
  } catch (cause) {
    throw wrong(cause instanceof Error ? cause.message : String(cause));
  }
}
type Values = ReturnType<typeof parse>;

export const command: DataCommand = {
  usage,
  about: `pairs harmful instructions with answers to something else, and writes DIR/prompts.jsonl (what \`npm run experiment --
--prompts\` and the page train on), pairs.jsonl (the pairs as chats) and manifest.json. A file option may be given several times.
--model: compares by a model's hidden states instead of by words; --refusals: a sentence a line; --edits: JSON, or a
manifest (docs/data.md); --openings: the attack has affirmative openings alone; --overlap: it may use the defence's prompts. --layout, --map and --no-header say how a file is read, as in "inspect"; SET is its use (harmful, answers ...) or its name`,
  async run(argv) {
    const o = parse(argv);
    const { out } = o;
    if (out === undefined || !o.harmful || !o.answers)
      throw wrong('pair needs --harmful FILE, --answers FILE and --out DIR.');
    const settings = pairSettings(await settingsOf(o));
    const seed = number('seed', o.seed) ?? 0;
    if (!Number.isSafeInteger(seed)) throw wrong('--seed must be a whole number.');
    const edits = o.edits === undefined ? {} : editsOf(await jsonFile(o.edits));
    await requireFree(out);
    const sources: Partial<Record<keyof Sources, Source[]>> = {};
    const readings = readingsOf(o);
    for (const role of SOURCE_ROLES)
      if (o[role])
        sources[role] = await Promise.all(
          o[role].map((path) => readSource(path, readings(role, basename(path)))),
        );
    const model = o.model === undefined ? null : await openPort(o.model);
    const bar = new Progress('pair', 100);
    const built = await buildPairs(sources as Sources, settings, seed, {
      edits,
      ...(model && { port: model.port }),
      watch: { progress: (stage, done, total) => bar.update(Math.floor((99 * done) / total), stage) },
    });
    model?.destroy();
    const files = builtFiles(built, new Date().toISOString());
    parsePrompts(files['prompts.jsonl'], '');
    await writeFolder(out, files);
    const { counts, categories, leftOut } = manifestOf(built, '');
    console.log(
      JSON.stringify(
        { out, counts, categories, leftOut, notes: built.notes.map(noteText), border: built.border },
        null,
        2,
      ),
    );
    return 0;
  },
};

/** @throws LabError naming the option */
function number(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw wrong(`--${name} is "${text}", and it must be a number.`);
  return value;
}

async function settingsOf(o: Values): Promise<PairSettingsInput> {
  const [total, each] = [number('total', o.total), number('per-category', o['per-category'])];
  if (total !== undefined && each !== undefined) throw wrong('Either --total or --per-category, not both.');
  const size = o['attack-size'];
  const attack: Record<string, unknown> = {
    size: size === 'all' ? size : number('attack-size', size),
    target: o.openings ? 'opening' : undefined,
    apart: o.overlap ? false : undefined,
    harmfulShare: number('harmful-share', o['harmful-share']),
  };
  const all: Record<string, unknown> = {
    sample:
      each === undefined
        ? total === undefined
          ? undefined
          : { per: 'total', n: total }
        : { per: 'category', n: each },
    categories: o.category,
    similarity: o.model === undefined ? undefined : 'hidden',
    threshold: number('threshold', o.threshold),
    maxDraws: number('max-draws', o['max-draws']),
    reject: o.reject,
    refusals: o.refusals === undefined ? undefined : sentences(await textFile(o.refusals)),
    heldOut: number('held-out', o['held-out']),
    benignHeldOut: number('benign-held-out', o['benign-held-out']),
    replay: number('replay', o.replay),
    attack: given(attack),
    benignTuning: number('benign-tuning', o['benign-tuning']),
    everyTurn: o['every-turn'],
  };
  return given(all) as Partial<PairSettings>;
}

const given = (all: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));

const sentences = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');

/** How each file is to be read. @throws LabError naming an option that names no file, or no layout, field or column */
function readingsOf(o: Values): (role: SourceRole, name: string) => Choice {
  const names = new Set(
    SOURCE_ROLES.flatMap((role) => [role, ...(o[role] ?? []).map((path) => basename(path))]),
  );
  const split = (option: string, text: string): [set: string, what: string] => {
    const set = [...names].find((name) => text === name || text.startsWith(`${name}:`));
    if (set === undefined)
      throw wrong(`--${option} is "${text}", and it must begin with one of ${[...names].join(', ')}.`);
    return [set, text.slice(set.length + 1)];
  };
  const layouts = (o.layout ?? []).map((text) => split('layout', text));
  const maps = (o.map ?? []).map((text) => split('map', text));
  const bare = (o['no-header'] ?? []).map((text) => split('no-header', text)[0]);
  return (role, name) => {
    const of = (all: readonly [string, string][]): string[] =>
      all.flatMap(([set, what]) => (set === role || set === name ? [what] : []));
    const layout = of(layouts).at(-1);
    const map = of(maps);
    return {
      ...choiceOf({ ...(layout !== undefined && { layout }), ...(map.length > 0 && { map }) }),
      ...((bare.includes(role) || bare.includes(name)) && { header: false }),
    };
  };
}

async function textFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    throw new LabError('not-found', `The file ${path} cannot be read.`, {
      safe: 'Nothing was written.',
      next: 'Check its path, and that it may be read.',
    });
  }
}

/** A file of edits, or the manifest of pairs that were edited. */
const editsOf = (json: unknown): Edits => (isManifest(json) ? readManifest(json).edits : readEdits(json));

async function jsonFile(path: string): Promise<unknown> {
  try {
    return JSON.parse(await textFile(path));
  } catch (error) {
    if (error instanceof LabError) throw error;
    throw wrong(`${path} is no JSON.`, 'docs/data.md says what a file of edits holds.');
  }
}

async function readSource(path: string, choice: Choice): Promise<Source> {
  const file = await openDataFile(path);
  const rows: DataRow[] = [];
  const found = await inspect(file, choice);
  const { sha256, rejected } = await readRows(file, found, {
    onRows: (some) => void rows.push(...some),
  });
  if (rejected.rows > 0)
    console.error(
      `${path}: ${rejected.rows} rows cannot be used and are left out; "npm run data -- inspect" names them.`,
    );
  const { layout, header, mapping } = found;
  return { name: file.name, sha256, layout: layout!, header, mapping, rows };
}

async function openPort(dir: string): Promise<{ port: SimilarityPort; destroy(): void }> {
  const opened = await openModel(await nodeFolder(dir));
  const { model } = await loadModel(await openNodeGpu(), opened);
  const hidden = new HiddenStates(model, PASS_TOKENS);
  const { tokenizer } = opened;
  return {
    port: pooledPort(basename(resolve(dir)), hidden, (text) => tokenizer.encode(text, { add: true })),
    destroy: () => {
      hidden.destroy();
      model.destroy();
    },
  };
}

/** @throws LabError 'bad-input' when something lies in the folder */
async function requireFree(out: string): Promise<void> {
  const there = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw wrong(`${out} cannot be written: ${error.message}`, 'Name a new folder.');
  });
  if (there.length > 0) throw wrong(`${out} is not empty.`, 'Name a new folder.');
}

/** All files or none: they are written beside the folder, which then takes its name. */
async function writeFolder(out: string, files: BuiltFiles): Promise<void> {
  const place = resolve(out);
  await mkdir(dirname(place), { recursive: true });
  const part = await mkdtemp(`${place}.part-`);
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(part, name), text as string);
    await rmdir(place).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await rename(part, place);
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    throw error;
  }
}
