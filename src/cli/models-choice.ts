import { LabError } from '../core/errors.ts';
import type { Precision } from '../core/types.ts';
import type { DataRow } from '../data/rows.ts';
import { inspect, readRows } from '../data/readers/index.ts';
import { questionOf, type Question } from '../data/questions.ts';
import { multipleChoice, type ChoiceResult } from '../eval/measures/multiple-choice.ts';
import { SCORINGS } from '../worker/protocol.ts';
import { Generator } from '../model/generate.ts';
import { TokenLosses } from '../model/token-losses.ts';
import { openDataFile } from './data-inspect.ts';
import { nodeFolder } from './models-files.ts';
import { openModel } from './models-open.ts';
import { loadModel } from './models-run.ts';
import { openNodeGpu } from './node-gpu.ts';
import { Progress } from './progress.ts';

/** Tokens of a question with its examples, at most: what MMLU's longest take with five. */
const ROOM = 2048;

/** Questions with choices of a file; other rows are counted and left out. */
async function questionsOf(path: string): Promise<{ questions: Question[]; others: number }> {
  const file = await openDataFile(path);
  const questions: Question[] = [];
  let others = 0;
  await readRows(file, await inspect(file), {
    onRows: (rows: readonly DataRow[]) => {
      for (const row of rows) {
        const question = questionOf(row);
        if (question) questions.push(question);
        else others++;
      }
    },
  });
  return { questions, others };
}

/** Multiple choice of the questions in a file by the model in a folder. */
export async function chooseModel(
  dir: string,
  path: string,
  o: { shots: number; most: number; seed: number; precision?: Precision },
): Promise<ChoiceResult> {
  const { questions, others } = await questionsOf(path);
  if (others > 0) process.stderr.write(`${others} rows of ${path} have no choices and are left out.\n`);
  if (questions.length === 0)
    throw new LabError('bad-input', `${path} has no questions with choices.`, {
      safe: 'Nothing was loaded.',
      next: 'Choose a file in the layout of MMLU or OpenBookQA; "npm run data -- inspect FILE" says what a file is.',
    });
  const opened = await openModel(await nodeFolder(dir));
  const { tokenizer, config } = opened;
  const gpu = await openNodeGpu();
  const { model } = await loadModel(gpu, opened, o.precision === undefined ? {} : { precision: o.precision });
  const room = Math.min(ROOM, config.max_position_embeddings);
  const { losses, generator } = await gpu.allocate(() => ({
    losses: new TokenLosses(model, room),
    generator: new Generator(model, { maxSeqs: 1, maxLen: room }),
  }));
  const progress = new Progress('multiple choice', Math.min(o.most, questions.length));
  try {
    const result = await multipleChoice(
      losses,
      generator,
      {
        encode: (text) => tokenizer.encode(text, { add: true }),
        decode: (ids) => tokenizer.decode(ids),
        ends: tokenizer.ends,
      },
      questions,
      { ...o, positions: room, onProgress: (done) => progress.update(done, '') },
    );
    progress.done(`${result.n} questions`);
    return result;
  } finally {
    generator.destroy();
    losses.destroy();
    model.destroy();
  }
}

export function choiceLines({ n, right, chance, shots, left }: ChoiceResult): string[] {
  const pct = (x: number): string => `${(100 * x).toFixed(1)} %`;
  const names = {
    letter: 'likeliest letter',
    likelihood: 'likeliest text, per token',
    generated: 'what it writes',
  };
  return [
    `${n} questions, ${shots.asked} examples before each${shots.least < shots.asked ? ` (${shots.least} where no more fit)` : ''}${left > 0 ? `; ${left} questions did not fit` : ''}; chance ${pct(chance)}`,
    ...SCORINGS.map((rule) => {
      const { correct, interval } = right[rule];
      const [low, high] = interval;
      const unsure = low <= chance && chance <= high ? '; no different from chance' : '';
      return `${names[rule].padEnd(26)} ${pct(correct / n).padStart(7)} [${pct(low)}, ${pct(high)}]${unsure}`;
    }),
  ];
}
