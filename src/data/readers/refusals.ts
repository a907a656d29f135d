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

/** @throws LabError 'bad-input' where the one object of a file holds the rows that are wanted */
export function refuseWrapped(name: string, raw: unknown): void {
  if (typeof raw !== 'object' || raw === null) return;
  const found = Object.entries(raw).find(
    ([, value]) => Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'object'),
  );
  if (!found) return;
  throw new LabError(
    'bad-input',
    `${name} is one JSON object, and its rows stand within it, under "${found[0]}".`,
    {
      safe,
      next: `Take the array out of it: jq '.["${found[0]}"]' FILE > NEW.`,
    },
  );
}

/** @param first rows that are left out, `rows` in all */
export function nothingIn(name: string, [first]: readonly Rejected[], rows: number): LabError {
  if (!first) return empty(name);
  return new LabError(
    'bad-input',
    `No row of ${name} can be used: ${rows} are left out. ${placeOf(first)}: ${sentence(first)}`,
    { safe, next: remedy(first) },
  );
}

const placeOf = ({ line, row }: Rejected): string =>
  row === undefined ? `Line ${line}` : `Line ${line}, row ${row}`;
