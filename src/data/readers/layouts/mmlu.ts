import { byPlace, columnsOf, isText, mapped, most, textOf } from './common.ts';
import type { Field, Layout, Sample } from '../types.ts';

const LETTERS = ['A', 'B', 'C', 'D'] as const;

const fields: readonly Field[] = [
  { name: 'question', columns: ['question', 'prompt'], required: true },
  ...LETTERS.map((letter) => ({
    name: letter,
    columns: [letter.toLowerCase(), `choice_${letter.toLowerCase()}`, `option_${letter.toLowerCase()}`],
    required: false,
  })),
  { name: 'choices', columns: ['choices'], required: false },
  { name: 'answer', columns: ['answer', 'target'], required: true },
  { name: 'subject', columns: ['subject'], required: false },
];

/** Columns of the published files, which name none: question, four choices, letter. */
const BARE = ['question', ...LETTERS, 'answer'];

const isLetter = (x: unknown): boolean => isText(x) && /^[A-D]$/.test(x.trim());

const isBare = (sample: Sample): boolean =>
  most(sample.table, (row) => row.length === BARE.length && isLetter(row.at(-1)));

/** abstract_algebra_test.csv: the subject stands in the file's name alone. */
function subjectOf(fileName: string): string {
  return fileName
    .replace(/(\.(csv|tsv|txt|jsonl?|parquet|gz))+$/i, '')
    .replace(/[-_](test|dev|val|validation|train|auxiliary_train)$/i, '');
}

/** Hendrycks et al., MMLU, 2021, as CSV by subject, or as Hugging Face has it: `choices` is a list and `answer` counts from 0. */
export const mmlu: Layout = {
  id: 'mmlu',
  fields,
  harmful: false,
  bare: BARE,
  recognise(sample) {
    const mapping = mapped(fields, columnsOf(sample));
    const choices = mapping.choices != null || LETTERS.every((letter) => mapping[letter] !== null);
    if (mapping.question !== null && mapping.answer !== null && choices) return { mapping, header: true };
    if (!isBare(sample)) return null;
    return { mapping: byPlace(fields, BARE, BARE.length), header: false };
  },
  row(get, { fileName }) {
    const question = textOf(get('question'), 'question');
    if (typeof question !== 'string') return question;
    if (question === '') return { reason: 'empty-question' };
    const list = get('choices');
    if (list !== undefined && !(Array.isArray(list) && list.length > 1 && list.every(isText)))
      return { reason: 'type', detail: 'choices' };
    const texts: string[] = [];
    for (const [i, value] of (list ?? LETTERS.map(get)).entries()) {
      const text = textOf(value, LETTERS[i] ?? String(i));
      if (typeof text !== 'string') return text;
      texts.push(text);
    }
    if (texts.includes('')) return { reason: 'empty-answer' };
    const right = rightOf(get('answer'), texts.length);
    if (typeof right !== 'number') return right;
    const named = get('subject');
    const subject = isText(named) && named.trim() !== '' ? named.trim() : subjectOf(fileName);
    return {
      messages: [{ role: 'user', content: question }],
      choices: { texts, right },
      ...(subject !== '' && { categories: [subject] }),
    };
  },
};

/** A letter, or a number from 0. */
function rightOf(answer: unknown, n: number): number | ReturnType<typeof wrong> {
  if (typeof answer === 'number')
    return Number.isInteger(answer) && answer >= 0 && answer < n ? answer : wrong(answer);
  const text = textOf(answer, 'answer');
  if (typeof text !== 'string') return { reason: 'missing', detail: 'answer' };
  const at = /^\d$/.test(text) ? Number(text) : 'ABCDEFGH'.indexOf(text.toUpperCase());
  return text.length === 1 && at >= 0 && at < n ? at : wrong(text);
}

const wrong = (answer: unknown): { reason: 'answer-key' | 'missing'; detail: string } => ({
  reason: 'answer-key',
  detail: String(answer).slice(0, 20),
});
