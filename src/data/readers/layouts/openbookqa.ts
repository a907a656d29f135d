import * as v from 'valibot';
import { columnsOf, isObject, mapped, most, textOf } from './common.ts';
import type { Field, Layout, Refusal } from '../types.ts';

const fields: readonly Field[] = [
  { name: 'question', columns: ['question_stem', 'question'], required: true },
  { name: 'choices', columns: ['choices'], required: false },
  { name: 'answerKey', columns: ['answerkey'], required: true },
];

const option = v.looseObject({ text: v.string(), label: v.string() });
const nested = v.looseObject({ stem: v.string(), choices: v.array(option) });
const columns = v.looseObject({ text: v.array(v.string()), label: v.array(v.string()) });

interface Option {
  text: string;
  label: string;
}

/**
 * Mihaylov et al., OpenBookQA, 2018, in both of its published forms: `question` holding `stem` and `choices` (AllenAI), or
 * `question_stem` beside `choices`, which is a table of `text` and `label` (Hugging Face).
 */
export const openbookqa: Layout = {
  id: 'openbookqa',
  fields,
  harmful: false,
  recognise(sample) {
    const mapping = mapped(fields, columnsOf(sample));
    const { question, choices, answerKey } = mapping;
    if (!question || !answerKey) return null;
    const looks = (row: Readonly<Record<string, unknown>>): boolean =>
      answerKey in row && (isObject(row[question]) || (choices != null && isObject(row[choices])));
    return most(sample.objects, looks) ? { mapping, header: true } : null;
  },
  row(get) {
    const asked = questionOf(get);
    if ('reason' in asked) return asked;
    const { stem, options } = asked;
    if (stem === '') return { reason: 'empty-question' };
    if (options.length < 2 || options.some(({ text }) => text.trim() === ''))
      return { reason: 'empty-answer' };
    const key = textOf(get('answerKey'), 'answerKey');
    if (typeof key !== 'string') return key;
    const right = options.findIndex(({ label }) => label === key);
    if (right < 0) return { reason: 'answer-key', detail: key.slice(0, 20) };
    return {
      messages: [{ role: 'user', content: stem }],
      choices: { texts: options.map(({ text }) => text.trim()), right },
    };
  },
};

function questionOf(get: (field: string) => unknown): { stem: string; options: readonly Option[] } | Refusal {
  const question = get('question');
  if (v.is(nested, question)) return { stem: question.stem.trim(), options: question.choices };
  const stem = textOf(question, 'question');
  if (typeof stem !== 'string') return stem;
  const choices = get('choices');
  if (choices === undefined || choices === null) return { reason: 'missing', detail: 'choices' };
  if (!v.is(columns, choices) || choices.text.length !== choices.label.length)
    return { reason: 'type', detail: 'choices' };
  return { stem, options: choices.text.map((text, i) => ({ text, label: choices.label[i]! })) };
}
