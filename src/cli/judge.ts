/**
 * npm run judge -- FILE.json [--models DIR] [--fixed 1] [--reported 2] [--similarity overlap|tfidf|hidden] [--json OUT]
 *
 * Holds the rules judge, which sees text alone, against the exact judge of the tiny world, on every answer in a result of
 * `npm run experiment -- --preset quick --seeds 2 --json FILE.json`. What had to be chosen was chosen on the repetition with
 * defence seed --fixed; the figures of --reported are what is claimed. Thresholds come from the embedded models' own answers
 * to benign how-to questions. Prints thresholds, confusion tables, F1 and what rules cannot see.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { LabError } from '../core/errors.ts';
import { RULES } from '../eval/judges/rules/rules.ts';
import { judgeName } from '../eval/judges/port.ts';
import { answersOf, type JudgedCell } from './judge/answers.ts';
import { SIMILARITIES, TinyRules, type SimilarityName } from './judge/tiny-rules.ts';
import { judgeReport, judgeTables } from './judge/report.ts';
import { openNodeGpu } from './node-gpu.ts';
import { SHIPPED_DIR } from './pretrain.ts';

export async function main(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      models: { type: 'string', default: SHIPPED_DIR },
      fixed: { type: 'string', default: '1' },
      reported: { type: 'string', default: '2' },
      similarity: { type: 'string', default: 'overlap' },
      json: { type: 'string' },
    },
  });
  const [file] = positionals;
  if (file === undefined || positionals.length > 1)
    throw new LabError('bad-input', 'The judge wants one result of the experiment.', {
      next: 'Make it with "npm run experiment -- --preset quick --seeds 2 --json FILE.json".',
    });
  const similarity = values.similarity as SimilarityName;
  if (!SIMILARITIES.includes(similarity))
    throw new LabError('bad-input', `There is no similarity "${values.similarity}".`, {
      next: `Choose one of ${SIMILARITIES.join(', ')}.`,
    });
  const { worldSeed, answers } = await answersOf(readCells(file));
  const gpu = await openNodeGpu();
  const rules = await TinyRules.open(gpu, values.models, worldSeed, similarity);
  const judged = await rules.judge(answers);
  rules.destroy();
  const reports = (
    [
      ['fixed', values.fixed],
      ['reported', values.reported],
    ] as const
  ).map(([use, seed]) => judgeReport(use, Number(seed), judged));
  const result = {
    judge: judgeName(RULES),
    description: RULES.description,
    file,
    worldSeed,
    similarity,
    calibrations: rules.calibrations,
    reports,
  };
  process.stdout.write(`${judgeTables(result)}\n`);
  if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 1)}\n`);
  return 0;
}

function readCells(file: string): JudgedCell[] {
  const next = 'Make one with "npm run experiment -- --preset quick --seeds 2 --json FILE.json".';
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new LabError('bad-input', `${file} cannot be read as JSON.`, { next, cause });
  }
  const { cells } = (content ?? {}) as { cells?: JudgedCell[] };
  if (!Array.isArray(cells) || !cells.every((cell) => cell?.scores?.forbidden !== undefined))
    throw new LabError('bad-input', `${file} is no result of the experiment on the tiny world.`, { next });
  return cells;
}
