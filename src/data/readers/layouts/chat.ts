import * as v from 'valibot';
import { conversation, columnsOf, isObject, isRefusal, isText, mapped, most } from './common.ts';
import type { ChatMessage } from '../../chat-template.ts';
import type { Field, Layout } from '../types.ts';

const fields: readonly Field[] = [
  { name: 'messages', columns: ['messages', 'conversation', 'conversations', 'chat'], required: true },
];

const part = v.looseObject({ type: v.literal('text'), text: v.string() });
const schema = v.array(v.looseObject({ role: v.string(), content: v.union([v.string(), v.array(part)]) }));

const ROLES: ReadonlyMap<string, ChatMessage['role']> = new Map([
  ['user', 'user'],
  ['assistant', 'assistant'],
  ['system', 'system'],
  ['developer', 'system'],
]);

/** Nearly all rows are so, and this looks at them in a tenth of the time that the schema takes. */
function isPlain(value: unknown): value is readonly { role: string; content: string }[] {
  return (
    Array.isArray(value) &&
    value.every((turn: unknown) => isObject(turn) && isText(turn.role) && isText(turn.content))
  );
}

/** Chat rows as fine-tuning services and TRL read them: `messages` of `role` and `content`, a text or parts of text. */
export const chat: Layout = {
  id: 'chat',
  fields,
  harmful: false,
  recognise(sample) {
    const mapping = mapped(fields, columnsOf(sample));
    const column = mapping.messages;
    const isTurn = (turn: unknown): boolean => isObject(turn) && 'role' in turn && 'content' in turn;
    const looks = (value: unknown): boolean => Array.isArray(value) && value.every(isTurn);
    return column && most(sample.objects, (row) => looks(row[column])) ? { mapping, header: true } : null;
  },
  row(get, context) {
    const value = get('messages');
    if (value === undefined || value === null) return { reason: 'missing', detail: 'messages' };
    if (!isPlain(value) && !v.is(schema, value)) return { reason: 'type', detail: 'messages' };
    const turns: ChatMessage[] = [];
    for (const { role: named, content } of value) {
      const role = ROLES.get(named);
      if (!role) return { reason: 'role', detail: named };
      turns.push({
        role,
        content: typeof content === 'string' ? content : content.map((one) => one.text).join(''),
      });
    }
    const messages = conversation(turns, context);
    return isRefusal(messages) ? messages : { messages };
  },
};
