/** Questions with choices among imported rows: MMLU, OpenBookQA. */
import type { DataRow } from './rows.ts';

export interface Question {
  question: string;
  choices: readonly string[];
  /** Index of the right one. */
  right: number;
  subject?: string;
}

/** Null where the row has no choices. */
export function questionOf({ messages, choices, categories }: DataRow): Question | null {
  const question = messages.findLast((m) => m.role === 'user')?.content;
  if (!choices || question === undefined) return null;
  return {
    question,
    choices: choices.texts,
    right: choices.right,
    ...(categories?.[0] !== undefined && { subject: categories[0] }),
  };
}
