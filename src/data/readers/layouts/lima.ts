import * as v from 'valibot';
import { conversation, isRefusal, isText, mapped, columnsOf, most } from './common.ts';
import type { Field, Layout } from '../types.ts';

const fields: readonly Field[] = [
  { name: 'conversations', columns: ['conversations', 'conversation'], required: true },
];

const turns = v.pipe(v.array(v.string()), v.minLength(1));

/** Zhou et al., LIMA, 2023: `conversations` is a list of texts, the user's first. */
export const lima: Layout = {
  id: 'lima',
  fields,
  harmful: false,
  recognise(sample) {
    const mapping = mapped(fields, columnsOf(sample));
    const column = mapping.conversations;
    const looks = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
    return column && most(sample.objects, (row) => looks(row[column])) ? { mapping, header: true } : null;
  },
  row(get, context) {
    const value = get('conversations');
    if (value === undefined || value === null) return { reason: 'missing', detail: 'conversations' };
    if (!v.is(turns, value)) return { reason: 'type', detail: 'conversations' };
    const messages = conversation(
      value.map((content, i) => ({
        role: i % 2 === 0 ? ('user' as const) : ('assistant' as const),
        content,
      })),
      context,
    );
    return isRefusal(messages) ? messages : { messages };
  },
};
