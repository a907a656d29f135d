import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders whose code decides what training and judging compute. */
export const CODE_FOLDERS: readonly string[] = [
  'shaders',
  ...['core', 'world', 'data', 'files', 'gpu', 'kernels', 'model', 'train', 'recipes', 'eval'].map(
    (d) => `src/${d}`,
  ),
];

/** What decides an experiment's cells: also how it makes its stations and counts its answers. */
export const EXPERIMENT_FOLDERS: readonly string[] = [...CODE_FOLDERS, 'src/cli/experiment'];

/** Of these, what decides the weights that a run ends with. */
export const TRAINING_FOLDERS: readonly string[] = CODE_FOLDERS.filter((folder) => folder !== 'src/eval');

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * SHA-256, in hex, over the paths and bytes of every file below the folders, in the order of their paths. It is read
 * from the files as they stand, committed or not, since those are what runs.
 * @throws the file system's error where a folder is missing
 */
export function codeDigest(root = ROOT, folders: readonly string[] = CODE_FOLDERS): string {
  const paths = folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/')),
    )
    .sort();
  const hash = createHash('sha256');
  for (const path of paths) {
    const bytes = readFileSync(join(root, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}

/** The commit that is checked out, and whether files differ from it; null outside of a repository, as from a release archive. */
export function commitNow(): string | null {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${git('rev-parse', 'HEAD')}${changed ? ', with changes' : ''}`;
  } catch {
    return null;
  }
}
