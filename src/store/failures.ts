/** What IndexedDB throws, in words. */
import { LabError } from '../core/errors.ts';

const SAFE = 'Everything that was stored before is untouched.';

/** Turns a failure of the browser's storage into a LabError; a LabError passes through. `doing` ends 'could not ...'. */
export function storeError(error: unknown, doing: string): LabError {
  if (error instanceof LabError) return error;
  const name = error instanceof Error ? error.name : '';
  if (name === 'QuotaExceededError') {
    return new LabError(
      'quota',
      `The browser gives this page no more disk space: the lab could not ${doing}.`,
      {
        safe: SAFE,
        next: 'Delete checkpoints that you no longer need (or free disk space), then try again.',
        cause: error,
      },
    );
  }
  return new LabError(
    'storage',
    `The browser's storage failed (${describe(error)}): the lab could not ${doing}.`,
    {
      safe: SAFE,
      next: 'Reload the page and try again; in a private window the browser may refuse storage altogether.',
      cause: error,
    },
  );
}

/** Failures of opening the database. */
export function openError(error: unknown): LabError {
  if (error instanceof Error && error.name === 'VersionError') {
    return new LabError(
      'newer-database',
      "This browser's checkpoints were written by a newer version of the lab.",
      {
        safe: 'Nothing was read or changed: all checkpoints are safe.',
        next: 'Reload the page to get the newer version of the lab.',
        cause: error,
      },
    );
  }
  return storeError(error, 'open its checkpoints');
}

export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
