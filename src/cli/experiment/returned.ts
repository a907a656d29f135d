/** Results of a handoff as rows of the table on a user's own model. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from '../../core/errors.ts';
import type { Prompts } from '../../data/prompts-file.ts';
import { ANSWER_FILES, readResults, RUN_FILE } from '../../recipes/handoff/results.ts';
import { recipe } from '../../recipes/index.ts';
import type { OwnCell } from './own.ts';

/**
 * @param dir the folder out/ of a handoff
 * @returns a look at the base model and one at what was trained, as far as evaluate.py was run on them
 * @throws LabError as readResults, and when there is no answer at all
 */
export function returnedCells(dir: string, prompts: Prompts): OwnCell[] {
  const names = [RUN_FILE, ...Object.values(ANSWER_FILES)].filter((name) => existsSync(join(dir, name)));
  const { run, base, trained } = readResults(
    new Map(names.map((name) => [name, readFileSync(join(dir, name), 'utf8')])),
    prompts,
  );
  if (!base && !trained)
    throw new LabError(
      'bad-input',
      `${dir} has no answers: neither ${Object.values(ANSWER_FILES).join(' nor ')}.`,
      {
        safe: 'Nothing was started.',
        next: 'Run evaluate.py where the run was trained.',
      },
    );
  const { kind, plan } = recipe(run.recipe);
  const from = `${run.baseModel} (elsewhere)`;
  const look = { loss: null, settings: {} };
  const untouched: OwnCell[] = base
    ? [{ ...look, model: from, attack: 'none', steps: 0, seeds: {}, scores: base }]
    : [];
  if (!trained) return untouched;
  const made: OwnCell =
    kind === 'defence'
      ? {
          ...look,
          model: `${run.baseModel}+${run.recipe} (elsewhere)`,
          attack: 'none',
          steps: 0,
          seeds: { defence: run.seed },
          scores: trained,
        }
      : {
          ...look,
          model: from,
          attack: run.recipe,
          steps: plan(run.settings).steps,
          settings: run.settings,
          seeds: { attack: run.seed },
          scores: trained,
        };
  return [...untouched, made];
}
