/** Files of which nothing can be used. */
import { LabError } from '../../core/errors.ts';
import type { Rejected } from './types.ts';
import { remedy, sentence } from './words.ts';

const safe = 'Nothing of it was kept.';

export function empty(name: string): LabError {
  return new LabError('bad-input', `${name} is empty: it has no row.`, {
    safe,
    next: 'Choose a file with at least one row.',
  });
}

export function unrecognised(name: string, columns: readonly string[]): LabError {
  const there = columns.map((column) => `"${column}"`).join(', ');
  return new LabError('bad-input', `${name} is in no layout that the lab knows.`, {
    safe,
    next: `Choose the layout "pairs", and the column with the questions and the one with the answers: ${there}.`,
  });
}

/** @param first rows that are left out, `rows` in all */
export function nothingIn(name: string, [first]: readonly Rejected[], rows: number): LabError {
  if (!first) return empty(name);
  return new LabError(
    'bad-input',
    `No row of ${name} can be used: ${rows} are left out. Line ${first.line}: ${sentence(first)}`,
    { safe, next: remedy(first) },
  );
}
