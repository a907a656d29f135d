import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const committed = join(root, 'tests/golden/cases');
/** All golden cases: GOLDEN_DIR, or ../shared/golden beside the repository when it exists. */
const all = process.env.GOLDEN_DIR ?? join(root, '../shared/golden');

/** Folder of a golden case, or null where only cases that are not in the repository would have it. */
export function caseDir(name: string): string | null {
  for (const parent of [committed, all]) {
    const dir = join(parent, name);
    if (existsSync(dir)) return dir;
  }
  return null;
}

/** Folder of a case; without it, prints that `what` is NOT RUN and calls `skip` (vitest's). */
export function caseDirOr(skip: (note: string) => void, name: string, what: string): string {
  const dir = caseDir(name);
  if (dir) return dir;
  const note = `NOT RUN: ${what} needs golden case ${name}: set GOLDEN_DIR to the folder that holds it`;
  process.stderr.write(`\n${note}\n`);
  skip(note);
  throw new Error(note);
}

export const caseFiles =
  (dir: string) =>
  async (name: string): Promise<Uint8Array> =>
    new Uint8Array(readFileSync(join(dir, name)));

export function readJson(dir: string, name: string): unknown {
  return JSON.parse(readFileSync(join(dir, name), 'utf8'));
}
