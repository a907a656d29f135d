import * as v from 'valibot';
import { conversation, columnsOf, isObject, isRefusal, mapped, most } from './common.ts';
import type { ChatMessage } from '../../chat-template.ts';
import type { Field, Layout } from '../types.ts';

const fields: readonly Field[] = [
  { name: 'conversations', columns: ['conversations', 'conversation', 'items'], required: true },
];

const schema = v.array(v.looseObject({ from: v.string(), value: v.string() }));

const ROLES: ReadonlyMap<string, ChatMessage['role']> = new Map([
  ['human', 'user'],
  ['user', 'user'],
  ['gpt', 'assistant'],
  ['assistant', 'assistant'],
  ['chatgpt', 'assistant'],
  ['bing', 'assistant'],
  ['bard', 'assistant'],
  ['system', 'system'],
]);

/** ShareGPT as FastChat and Vicuna publish and read it: `conversations` of `from` and `value`. */
export const sharegpt: Layout = {
  id: 'sharegpt',
  fields,
  harmful: false,
  recognise(sample) {
    const mapping = mapped(fields, columnsOf(sample));
    const column = mapping.conversations;
    const isTurn = (turn: unknown): boolean => isObject(turn) && 'from' in turn && 'value' in turn;
    const looks = (value: unknown): boolean => Array.isArray(value) && value.every(isTurn);
    return column && most(sample.objects, (row) => looks(row[column])) ? { mapping, header: true } : null;
  },
  row(get, context) {
    const value = get('conversations');
    if (value === undefined || value === null) return { reason: 'missing', detail: 'conversations' };
    if (!v.is(schema, value)) return { reason: 'type', detail: 'conversations' };
    const turns: ChatMessage[] = [];
    for (const { from, value: content } of value) {
      const role = ROLES.get(from.toLowerCase());
      if (!role) return { reason: 'role', detail: from };
      turns.push({ role, content });
    }
    const messages = conversation(turns, context);
    return isRefusal(messages) ? messages : { messages };
  },
};
