/** What a run of the experiment on one world leaves behind, as its JSON file holds it. */
import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { LabError } from '../../core/errors.ts';
import type { Cell } from '../experiment/cells.ts';
import { modelOf, PRESETS, type RunSeeds } from '../experiment/matrix.ts';
import type { Failure, Planned } from '../experiment/run.ts';

export interface Result {
  kind: 'matrix' | 'grid';
  worldSeed: number;
  /** Folder of the embedded models, and SHA-256 of each. */
  models: { folder: string; weights: Record<string, string> };
  preset: string;
  set: 'V' | 'T';
  seeds: RunSeeds[];
  adapter: string;
  kernels: unknown;
  commit: string | null;
  /** SHA-256 of the code that decides results. */
  code: string;
  /** The command that made it, without the files that it wrote. */
  command: string;
  planned: readonly Planned[];
  failures: Failure[];
  cells: Cell[];
}

const seeds = v.object({ defence: v.number(), attack: v.number() });
const model = v.pipe(
  v.string(),
  v.check((id) => modelOf(id) !== undefined, 'there is no such model'),
);
const look = { model, attack: v.string(), steps: v.number() };
const answered = v.looseObject({
  n: v.number(),
  answers: v.array(
    v.looseObject({ fact: v.number(), verdict: v.looseObject({ kind: v.string(), reason: v.string() }) }),
  ),
});

/** As far as joining relies on it; the rest was checked when it was measured. */
const RESULT = v.looseObject({
  kind: v.picklist(['matrix', 'grid']),
  worldSeed: v.number(),
  models: v.object({ folder: v.string(), weights: v.record(v.string(), v.string()) }),
  preset: v.picklist(PRESETS.map((p) => p.id)),
  set: v.picklist(['V', 'T']),
  seeds: v.pipe(v.array(seeds), v.minLength(1)),
  adapter: v.string(),
  commit: v.nullable(v.string()),
  code: v.string(),
  command: v.string(),
  planned: v.array(v.object(look)),
  failures: v.array(v.looseObject({ model: v.string(), attack: v.string(), seeds, why: v.string() })),
  cells: v.array(
    v.looseObject({
      id: v.string(),
      ...look,
      worldSeed: v.number(),
      seeds,
      protocol: v.string(),
      scores: v.looseObject({
        forbidden: v.looseObject({ V: v.optional(answered), T: v.optional(answered) }),
      }),
    }),
  ),
});

const UNCOUNTED: Pick<Cell, 'cost' | 'made'> = { cost: null, made: [] };

/** @throws LabError naming the file, and what in it is no result of an experiment */
export function readResult(path: string): Result {
  const wrong = (what: string): LabError =>
    new LabError('bad-input', `${path} is no result of "npm run experiment": ${what}.`, {
      safe: 'Nothing was started or written.',
      next: 'Name files that "npm run experiment -- --json FILE" wrote with this version.',
    });
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (e) {
    throw wrong(e instanceof Error ? e.message : String(e));
  }
  const found = v.safeParse(RESULT, json);
  if (!found.success) {
    const issue = found.issues[0];
    throw wrong(`${v.getDotPath(issue) ?? 'its top'}: ${issue.message}`);
  }
  const stranger = found.output.cells.find((c) => c.worldSeed !== found.output.worldSeed);
  if (stranger) throw wrong(`look "${stranger.id}" is of world ${stranger.worldSeed}`);
  const { set } = found.output;
  const silent = found.output.cells.find((c) => !c.scores.forbidden[set]);
  if (silent) throw wrong(`look "${silent.id}" has no answers to split ${set}`);
  const result = json as Result;
  // of before runs were counted
  return { ...result, cells: result.cells.map((cell) => ({ ...UNCOUNTED, ...cell })) };
}

/** @throws LabError where they are no repetitions of one experiment */
export function requireJoinable(results: readonly { path: string; result: Result }[]): void {
  const refuse = (what: string, next: string): LabError =>
    new LabError('bad-input', what, { safe: 'Nothing was written.', next });
  const [first, ...others] = results;
  if (!first || others.length === 0)
    throw refuse('There is one result, and nothing to join it with.', 'Name --join at least twice.');
  for (const { path, result } of others) {
    for (const what of ['kind', 'preset', 'set'] as const)
      if (result[what] !== first.result[what])
        throw refuse(
          `${path} is another experiment than ${first.path}: its ${what} is ${result[what]}, not ${first.result[what]}.`,
          'Join results of the same command on other worlds, or with other seeds.',
        );
  }
  const looks = (result: Result): Set<string> =>
    new Set(result.planned.map(({ model, attack, steps }) => `${model} ${attack} ${steps}`));
  const plan = looks(first.result);
  for (const { path, result } of others) {
    const own = looks(result);
    const one = [...plan].find((look) => !own.has(look)) ?? [...own].find((look) => !plan.has(look));
    if (one !== undefined)
      throw refuse(
        `${path} and ${first.path} did not plan the same looks: "${one}" is in one of them alone.`,
        'Join results of one version of the lab, or measure the older one again.',
      );
  }
  const seen = new Map<string, string>();
  for (const { path, result } of results) {
    for (const { defence, attack } of result.seeds) {
      const run = `world ${result.worldSeed}, seeds ${defence} and ${attack}`;
      const before = seen.get(run);
      if (before !== undefined)
        throw refuse(
          `The run of ${run} is in ${before} and in ${path}: it would count twice.`,
          'Leave one of the files out.',
        );
      seen.set(run, path);
    }
    const twin = results.find(
      (o) =>
        o.result.worldSeed === result.worldSeed &&
        JSON.stringify(o.result.models.weights) !== JSON.stringify(result.models.weights),
    );
    if (twin)
      throw refuse(
        `${path} and ${twin.path} are of world ${result.worldSeed}, but of other models.`,
        'Join results of the same pretrained models.',
      );
  }
}
