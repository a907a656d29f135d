import { byPlace, columnsOf, isText, isRefusal, mapped, most, oneTurn, textOf } from './common.ts';
import type { Field, Layout, Sample } from '../types.ts';

const fields: readonly Field[] = [
  {
    name: 'prompt',
    columns: ['prompt', 'question', 'instruction', 'query', 'request', 'input', 'goal', 'behavior', 'user'],
    required: true,
  },
  {
    name: 'answer',
    columns: ['answer', 'response', 'output', 'completion', 'reply', 'target', 'chosen', 'assistant'],
    required: false,
  },
  { name: 'system', columns: ['system', 'system_prompt'], required: false },
  { name: 'category', columns: ['category', 'categories', 'subject', 'topic', 'label'], required: false },
];

const BARE = ['prompt', 'answer'];

/** A table of two columns whose first row is no header: question and answer. */
const isBare = ({ table }: Sample): boolean => most(table, (row) => row.length === 2);

/** What a column may be called, whatever the language: up to three words and no sentence. */
const NAME = /^[\p{L}_][\p{L}\p{M}\p{N}_.-]*(?: [\p{L}\p{M}\p{N}_.-]+){0,2}$/u;
const LONGEST_NAME = 32;

/** Names of two columns, different from each other; and rows of which hardly one looks so too. */
function namesColumns(first: readonly string[] | undefined, rows: Sample['table']): boolean {
  const looks = (row: readonly string[] | undefined): boolean =>
    row?.length === 2 &&
    row[0]!.trim() !== row[1]!.trim() &&
    row.every((cell) => cell.trim().length <= LONGEST_NAME && NAME.test(cell.trim()));
  return looks(first) && rows.length > 0 && rows.filter(looks).length <= rows.length / 10;
}

/** Questions and answers in columns of whatever names; the last resort, and the one that a mapping makes of any table. */
export const pairs: Layout = {
  id: 'pairs',
  fields,
  harmful: false,
  bare: BARE,
  recognise(sample) {
    const mapping = mapped(fields, columnsOf(sample));
    if (mapping.prompt !== null) return { mapping, header: true };
    if (!isBare(sample)) return null;
    const [first, ...rest] = sample.table;
    if (!namesColumns(first, rest)) return { mapping: byPlace(fields, BARE, BARE.length), header: false };
    const [prompt, answer] = columnsOf(sample);
    return { mapping: { ...mapping, prompt: prompt!, answer: answer! }, header: true };
  },
  row(get, { note, mapped: uses }) {
    const prompt = textOf(get('prompt'), 'prompt');
    if (typeof prompt !== 'string') return prompt;
    const answer = uses('answer') ? textOf(get('answer'), 'answer') : null;
    if (answer !== null && typeof answer !== 'string') return answer;
    if (answer === null) note('no-answer');
    const turns = oneTurn(prompt, answer ?? ' ');
    if (isRefusal(turns)) return turns;
    const system = get('system');
    const category = get('category');
    return {
      messages: [
        ...(isText(system) && system.trim() !== ''
          ? [{ role: 'system' as const, content: system.trim() }]
          : []),
        ...(answer === null ? turns.slice(0, 1) : turns),
      ],
      ...(isText(category) && category.trim() !== '' && { categories: [category.trim()] }),
    };
  },
};
