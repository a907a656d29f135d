/**
 * Benign answers that the model gives itself before a run's first step, so that the run holds the model to what it already says
 * (the anchor of Qi et al., ICLR 2025). Greedy, and no longer than the data's longest answer: the room that was planned for the
 * data's rows is enough.
 */
import { IGNORE, type Example } from '../core/types.ts';
import type { Answerer } from '../model/generate.ts';
import type { Prepared } from './prepare.ts';
import { allRows, openStreams, type Streams } from './streams.ts';

/** Tokens behind each distinct prompt of a stream, in the order in which the prompts first come; null: the data's own answer stays. */
export type OwnAnswers = Record<string, (number[] | null)[]>;

/** Where the last answer of a row begins. */
function answerAt({ labels }: Example): number {
  let at = labels.length;
  while (at > 0 && labels[at - 1] !== IGNORE) at--;
  return at;
}

const promptOf = (row: Example): readonly number[] => row.ids.slice(0, answerAt(row));

function promptsOf(rows: readonly Example[]): Map<string, readonly number[]> {
  return new Map(rows.map((row) => [String(promptOf(row)), promptOf(row)]));
}

/** The most tokens of a row of the stream, and of an answer with its end. */
const longest = (rows: readonly Example[]): { row: number; answer: number } => ({
  row: Math.max(...rows.map(({ ids }) => ids.length)),
  answer: Math.max(...rows.map((row) => row.ids.length - answerAt(row))),
});

/**
 * What the model answers to the prompts of the streams that want it. A prompt that leaves the generator no room keeps the data's answer.
 * @param generator of the weights that the run starts from
 * @param inTurn runs each batch of prompts in the caller's turn on the GPU
 */
export async function answerOwn(
  { own, streams }: Prepared,
  generator: Answerer,
  inTurn: <T>(work: () => Promise<T>) => Promise<T> = (work) => work(),
): Promise<OwnAnswers> {
  const answers: OwnAnswers = {};
  const { maxSeqs, maxLen } = generator.cap;
  for (const name of own.streams) {
    const rows = streams[name]!;
    const prompts = [...promptsOf(rows).values()];
    const given = (answers[name] = prompts.map((): number[] | null => null));
    const most = longest(rows);
    const order = prompts
      .map((_, i) => i)
      .filter((i) => prompts[i]!.length < maxLen)
      .sort((a, b) => prompts[a]!.length - prompts[b]!.length);
    for (let at = 0; at < order.length; at += maxSeqs) {
      const part = order.slice(at, at + maxSeqs);
      const asked = part.map((i) => prompts[i]!);
      const out = await inTurn(() =>
        generator.generate(asked, { maxNewTokens: most.answer, eos: own.ends, temperature: 0 }),
      );
      part.forEach((i, k) => {
        given[i] = out[k]!.slice(0, most.row - prompts[i]!.length).map(({ id }) => id);
      });
    }
  }
  return answers;
}

/** The run with the model's answers in place of the data's; an answer that was cut short teaches no end of turn. */
export function withAnswers(prepared: Prepared, answers: OwnAnswers): Prepared {
  const { own, plan, seed } = prepared;
  if (own.streams.length === 0) return prepared;
  const streams: Streams<Example> = { ...prepared.streams };
  for (const name of own.streams) {
    const rows = streams[name]!;
    const given = new Map([...promptsOf(rows).keys()].map((key, i) => [key, answers[name]![i]!]));
    streams[name] = rows.map((row) => {
      const prompt = promptOf(row);
      const answer = given.get(String(prompt));
      if (!answer) return row;
      return { ...row, ids: [...prompt, ...answer], labels: [...prompt.map(() => IGNORE), ...answer] };
    });
  }
  return { ...prepared, streams, examples: allRows(streams), open: openStreams(streams, plan, seed) };
}
