/**
 * Rows packed for the store: all texts as one, since writing a hundred thousand strings takes ten times as long as writing one of
 * their length.
 */
import type { DataRow } from '../rows.ts';

type Role = DataRow['messages'][number]['role'];

const LETTERS: Record<Role, string> = { system: 's', user: 'u', assistant: 'a' };
const ROLES: Record<string, Role> = { s: 'system', u: 'user', a: 'assistant' };

/** A row without its texts: a letter for each message, and how many choices follow these. */
interface Frame extends Omit<DataRow, 'messages' | 'choices'> {
  roles: string;
  choices?: { count: number; right: number };
}

export interface PackedRows {
  frames: readonly Frame[];
  /** All texts; as a string, for encoding it to UTF-8 costs more than writing twice the bytes. */
  text: string;
  /** Length of each text in UTF-16 units: messages of a row, then its choices. */
  lengths: Uint32Array;
}

export function packRows(rows: readonly DataRow[]): PackedRows {
  const texts: string[] = [];
  const frames = rows.map(({ messages, choices, ...rest }): Frame => {
    let roles = '';
    for (const { role, content } of messages) {
      roles += LETTERS[role];
      texts.push(content);
    }
    if (!choices) return { ...rest, roles };
    texts.push(...choices.texts);
    return { ...rest, roles, choices: { count: choices.texts.length, right: choices.right } };
  });
  return { frames, text: texts.join(''), lengths: Uint32Array.from(texts, (one) => one.length) };
}

export function unpackRows({ frames, text, lengths }: PackedRows): DataRow[] {
  let at = 0;
  let n = 0;
  const next = (): string => text.slice(at, (at += lengths[n++]!));
  return frames.map(({ roles, choices, ...rest }): DataRow => {
    const messages = Array.from(roles, (letter) => ({ role: ROLES[letter]!, content: next() }));
    if (!choices) return { ...rest, messages };
    return {
      ...rest,
      messages,
      choices: { texts: Array.from({ length: choices.count }, next), right: choices.right },
    };
  });
}
