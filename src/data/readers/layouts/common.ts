/** What the layouts share: columns found by name, cells as text, turns in order. */
import type { ChatMessage } from '../../chat-template.ts';
import type { Field, Mapping, Recognised, Refusal, RowContext, Sample } from '../types.ts';

/** Rows of the sample of which a layout must hold; the others may be broken. */
const SHARE = 0.5;

/** Whether most of a sample looks so; a file with a broken row here and there is still in its layout. */
export function most<T>(rows: readonly T[], looks: (row: T) => boolean): boolean {
  return rows.length > 0 && rows.filter(looks).length > rows.length * SHARE;
}

export const isText = (x: unknown): x is string => typeof x === 'string';

export const isObject = (x: unknown): x is Readonly<Record<string, unknown>> =>
  typeof x === 'object' && x !== null && !Array.isArray(x);

/** Columns of a sample: keys of its objects in order of appearance, or the cells of a table's first row, of which no two are the same. */
export function columnsOf(sample: Sample, header = true): string[] {
  if (sample.format !== 'csv') return [...new Set(sample.objects.flatMap((row) => Object.keys(row)))];
  const [first = []] = sample.table;
  const seen = new Map<string, number>();
  return first.map((cell, i) => {
    const name = header && cell.trim() !== '' ? cell.trim() : String(i + 1);
    const n = (seen.get(name) ?? 0) + 1;
    seen.set(name, n);
    return n === 1 ? name : `${name} (${n})`;
  });
}

const plain = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replaceAll(/[\s-]+/g, '_');

/** Each field with the first of its column names that is there. */
export function mapped(fields: readonly Field[], columns: readonly string[]): Mapping {
  return Object.fromEntries(
    fields.map(({ name, columns: names }) => {
      const found = names.map((one) => columns.find((column) => plain(column) === one));
      return [name, found.find((column) => column !== undefined) ?? null];
    }),
  );
}

/** Fields by the place of their column. */
export function byPlace(fields: readonly Field[], bare: readonly string[], width: number): Mapping {
  return Object.fromEntries(
    fields.map(({ name }) => {
      const at = bare.indexOf(name);
      return [name, at >= 0 && at < width ? String(at + 1) : null];
    }),
  );
}

/** For layouts that are known by the names of their columns alone. */
export function byColumns(fields: readonly Field[], sample: Sample): Recognised | null {
  const mapping = mapped(fields, columnsOf(sample));
  if (fields.some(({ name, required }) => required && mapping[name] === null)) return null;
  return { mapping, header: true };
}

/** Text of a field, trimmed; '' where it is there and empty. */
export function textOf(value: unknown, column: string): string | Refusal {
  if (isText(value)) return value.trim();
  if (value === undefined || value === null) return { reason: 'missing', detail: column };
  return { reason: 'type', detail: column };
}

/** A question with one answer. */
export function oneTurn(question: string, answer: string): readonly ChatMessage[] | Refusal {
  if (question === '') return { reason: 'empty-question' };
  if (answer === '') return { reason: 'empty-answer' };
  return [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ];
}

/**
 * Turns of a conversation as a chat template takes them: at most one system message, then user and assistant in turn. An answer
 * that nothing asks for at the beginning, and a question that nothing answers at the end, are left out and noted.
 */
export function conversation(
  turns: readonly ChatMessage[],
  { note }: RowContext,
): readonly ChatMessage[] | Refusal {
  const said = turns.map(({ role, content }) => ({ role, content: content.trim() }));
  const system = said[0]?.role === 'system' ? said.shift()! : null;
  let begin = 0;
  while (said[begin]?.role === 'assistant') begin++;
  if (begin > 0) note('leading-answer');
  const kept = said.slice(begin);
  if (kept.length === 0) return { reason: 'empty-question' };
  const wrong = kept.findIndex((turn, i) => turn.role !== (i % 2 === 0 ? 'user' : 'assistant'));
  if (wrong >= 0) return { reason: 'turns', detail: String(begin + wrong + (system ? 2 : 1)) };
  if (kept.at(-1)!.role === 'user') {
    if (kept.length === 1) note('no-answer');
    else {
      note('trailing-question');
      kept.pop();
    }
  }
  const empty = kept.find((turn) => turn.content === '');
  if (empty) return { reason: empty.role === 'user' ? 'empty-question' : 'empty-answer' };
  return system !== null && system.content !== '' ? [system, ...kept] : kept;
}

export const isRefusal = (x: object): x is Refusal => 'reason' in x;
