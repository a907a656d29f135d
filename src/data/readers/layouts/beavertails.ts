import { byColumns, isObject, isRefusal, most, oneTurn, textOf } from './common.ts';
import type { Field, Layout } from '../types.ts';

const fields: readonly Field[] = [
  { name: 'prompt', columns: ['prompt'], required: true },
  { name: 'response', columns: ['response'], required: true },
  { name: 'category', columns: ['category'], required: false },
  { name: 'is_safe', columns: ['is_safe'], required: false },
];

/** Ji et al., BeaverTails, 2023: `category` says of each of 14 kinds of harm whether the answer does it. */
export const beavertails: Layout = {
  id: 'beavertails',
  fields,
  harmful: true,
  recognise(sample) {
    const flagged = most(sample.objects, ({ category }) => isObject(category) && isFlags(category));
    // of a copy without the categories
    const judged = most(sample.objects, (row) => 'is_safe' in row);
    return flagged || judged ? byColumns(fields, sample) : null;
  },
  row(get, { mapped }) {
    const prompt = textOf(get('prompt'), 'prompt');
    const response = textOf(get('response'), 'response');
    if (typeof prompt !== 'string') return prompt;
    if (typeof response !== 'string') return response;
    const messages = oneTurn(prompt, response);
    if (isRefusal(messages)) return messages;
    const safe = get('is_safe');
    if (safe !== undefined && typeof safe !== 'boolean') return { reason: 'type', detail: 'is_safe' };
    const judged = safe === undefined ? {} : { safe };
    if (!mapped('category')) return { messages, ...judged };
    const category = get('category');
    if (category === null || category === undefined) return { reason: 'missing', detail: 'category' };
    if (!isObject(category) || !isFlags(category)) return { reason: 'type', detail: 'category' };
    return {
      messages,
      categories: Object.keys(category).filter((kind) => category[kind] === true),
      ...judged,
    };
  },
};

const isFlags = (category: Readonly<Record<string, unknown>>): boolean => {
  const values = Object.values(category);
  return values.length > 0 && values.every((value) => typeof value === 'boolean');
};
