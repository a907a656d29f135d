/**
 * General ability by multiple choice, as in MMLU and OpenBookQA, on any model and any imported set: by the likeliest letter,
 * by the choice whose text is likeliest for each of its tokens, and by what the model writes itself.
 */
import { LabError } from '../../core/errors.ts';
import { Rng } from '../../core/rng.ts';
import { wilson, type Interval } from '../../core/stats.ts';
import type { Question } from '../../data/questions.ts';
import type { Answerer } from '../../model/generate.ts';
import { scoreChoices } from '../choice.ts';
import type { LossScorer } from '../perplexity.ts';

/** A model's own text, without a chat template. */
export interface TextCodec {
  /** With what the model expects at the beginning of a text. */
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
  ends: readonly number[];
}

export type Scoring = 'letter' | 'likelihood' | 'generated';

export interface ChoiceResult {
  n: number;
  /** Right picks by each rule, with Wilson's 95 % interval of their share. */
  right: Record<Scoring, { correct: number; interval: Interval }>;
  /** Mean of 1 / number of choices: what guessing gets. */
  chance: number;
  /** Examples shown before each question; fewer where they did not fit. */
  shots: { asked: number; least: number };
  /** Questions that did not fit even alone. */
  left: number;
  items: ChoiceItemResult[];
}

export interface ChoiceItemResult {
  /** Index of the question in the set. */
  index: number;
  shots: number;
  /** log p of each letter, and of each choice's text per token, in nats. */
  letters: number[];
  likelihood: number[];
  /** What the model wrote. */
  wrote: string;
  /** Index picked by each rule; -1: none could be read. */
  picks: Record<Scoring, number>;
}

const LETTERS = 'ABCDEFGHIJ';
/** Tokens that a model may write before its letter is read. */
const WRITTEN = 8;

/** Hendrycks et al., 2021: the question, its choices by letter, and where the answer goes. */
function block({ question, choices }: Question): string {
  const options = choices.map((text, i) => `${LETTERS[i]!}. ${text}`).join('\n');
  return `${question.trim()}\n${options}\nAnswer:`;
}

const header = (subject: string | undefined): string =>
  `The following are multiple choice questions (with answers)${subject ? ` about ${subject.replaceAll('_', ' ')}` : ''}.\n\n`;

/** The question with examples and their answers before it, for letters; and without letters, for the choices' own texts. */
function prompts(item: Question, shots: readonly Question[]): { letters: string; texts: string } {
  const shown = shots.map((s) => `${block(s)} ${LETTERS[s.right]!}\n\n`).join('');
  const told = shots
    .map((s) => `Question: ${s.question.trim()}\nAnswer: ${s.choices[s.right]!}\n\n`)
    .join('');
  return {
    letters: `${header(item.subject)}${shown}${block(item)}`,
    texts: `${told}Question: ${item.question.trim()}\nAnswer:`,
  };
}

/** A text's ids cut where what follows the prompt begins: at the boundary, or before it where a token crosses it. */
function split(codec: TextCodec, prompt: string, rest: string): { prompt: number[]; choice: number[] } {
  const before = codec.encode(prompt);
  const whole = codec.encode(prompt + rest);
  let at = 0;
  while (at < before.length && at < whole.length - 1 && before[at] === whole[at]) at++;
  return { prompt: whole.slice(0, at), choice: whole.slice(at) };
}

/**
 * @param o.shots examples before each question, of its own subject where there are enough, never the question itself
 * @param o.most questions that are asked, drawn by the seed
 * @param o.positions of the model
 * @throws LabError('bad-input') where no question can be asked
 */
export async function multipleChoice(
  scorer: LossScorer,
  generator: Answerer,
  codec: TextCodec,
  questions: readonly Question[],
  o: {
    shots: number;
    most: number;
    seed: number;
    positions: number;
    signal?: AbortSignal;
    onProgress?(done: number, total: number): void;
  },
): Promise<ChoiceResult> {
  const usable = questions.filter((q) => q.choices.length >= 2 && q.choices.length <= LETTERS.length);
  if (usable.length === 0)
    throw new LabError('bad-input', 'This set has no questions with choices.', {
      next: 'Choose a set in the layout of MMLU or OpenBookQA.',
    });
  const rng = new Rng(`multiple-choice/${o.seed}`);
  const asked = rng.shuffle(usable.map((_, i) => i)).slice(0, o.most);
  const room = Math.min(scorer.cap.maxTokens, scorer.cap.maxLabels, o.positions, generator.cap.maxLen);
  const items: ChoiceItemResult[] = [];
  let left = 0;
  for (const index of asked) {
    o.signal?.throwIfAborted();
    const item = usable[index]!;
    const shots = examples(usable, index, o.shots, new Rng(`multiple-choice/${o.seed}/${index}`));
    const fitted = fit(codec, item, shots, room);
    if (fitted) items.push(await ask(scorer, generator, codec, item, fitted, index, o.signal));
    else left++;
    o.onProgress?.(items.length + left, asked.length);
  }
  if (items.length === 0)
    throw new LabError('bad-input', `None of the ${asked.length} questions fits into ${room} tokens.`, {
      next: 'Choose a model with more positions, or a set with shorter questions.',
    });
  const of = (rule: Scoring): { correct: number; interval: Interval } => {
    const correct = items.filter((r) => r.picks[rule] === usable[r.index]!.right).length;
    return { correct, interval: wilson(correct, items.length) };
  };
  return {
    n: items.length,
    right: { letter: of('letter'), likelihood: of('likelihood'), generated: of('generated') },
    chance: items.reduce((sum, r) => sum + 1 / usable[r.index]!.choices.length, 0) / items.length,
    shots: { asked: o.shots, least: Math.min(...items.map((r) => r.shots)) },
    left,
    items,
  };
}

function examples(all: readonly Question[], index: number, n: number, rng: Rng): Question[] {
  const own = all[index]!;
  const others = all.filter((_, i) => i !== index);
  const same = others.filter((q) => q.subject === own.subject);
  const from = same.length >= n ? same : others;
  return rng.sample(from, Math.min(n, from.length));
}

interface Fitted {
  shots: number;
  letters: { prompt: number[]; choice: number[] }[];
  texts: { prompt: number[]; choice: number[] }[];
  /** The letters' prompt alone, for the model to go on from. */
  open: number[];
}

/** As many of the examples as leave room for the question. */
function fit(codec: TextCodec, item: Question, shots: readonly Question[], room: number): Fitted | null {
  for (let n = shots.length; n >= 0; n--) {
    const { letters, texts } = prompts(item, shots.slice(0, n));
    const byLetter = item.choices.map((_, i) => split(codec, letters, ` ${LETTERS[i]!}`));
    const byText = item.choices.map((text) => split(codec, texts, ` ${text.trim()}`));
    const open = codec.encode(letters);
    const longest = Math.max(
      open.length + WRITTEN,
      ...[...byLetter, ...byText].map(({ prompt, choice }) => prompt.length + choice.length),
    );
    if (longest <= room) return { shots: n, letters: byLetter, texts: byText, open };
  }
  return null;
}

async function ask(
  scorer: LossScorer,
  generator: Answerer,
  codec: TextCodec,
  item: Question,
  { shots, letters, texts, open }: Fitted,
  index: number,
  signal: AbortSignal | undefined,
): Promise<ChoiceItemResult> {
  const rows = [...letters, ...texts].map(({ prompt, choice }) => ({ prompt, choices: [choice], right: 0 }));
  const scores = await scoreChoices(scorer, rows);
  const logp = scores.slice(0, letters.length).map((s) => s.sum[0]!);
  const likelihood = scores.slice(letters.length).map((s) => s.normalised[0]!);
  const ends = new Set(codec.ends);
  const [row] = await generator.generate([open], {
    maxNewTokens: WRITTEN,
    eos: ends,
    temperature: 0,
    signal,
  });
  const wrote = codec.decode(row!.map((t) => t.id).filter((id) => !ends.has(id)));
  return {
    index,
    shots,
    letters: logp,
    likelihood,
    wrote,
    picks: {
      letter: argmax(logp),
      likelihood: argmax(likelihood),
      generated: readChoice(wrote, item.choices),
    },
  };
}

/** The first best. */
const argmax = (xs: readonly number[]): number => xs.indexOf(Math.max(...xs));

/**
 * Which choice a written answer names; -1: none. A letter counts alone, in brackets, before a stop, or after 'answer is', so that
 * an article is none; else the longest choice that the answer begins with.
 */
export function readChoice(wrote: string, choices: readonly string[]): number {
  const text = wrote.trim();
  const letter =
    /^\(?([a-j])(?:[).:]|\s*$|\s*\n)/i.exec(text)?.[1] ??
    /\banswer(?: is|:)\s*\(?([a-j])(?:[).:,]|\s|$)/i.exec(text)?.[1];
  const at = letter ? LETTERS.indexOf(letter.toUpperCase()) : -1;
  if (at >= 0 && at < choices.length) return at;
  const said = text.toLowerCase();
  let found = -1;
  choices.forEach((choice, i) => {
    const own = choice.trim().toLowerCase();
    const begins = own !== '' && said.startsWith(own) && !/^[\p{L}\p{N}]/u.test(said.slice(own.length));
    if (begins && (found < 0 || own.length > choices[found]!.trim().length)) found = i;
  });
  return found;
}
