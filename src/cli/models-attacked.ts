/** Weights that an attack made, on their way through a conversion: by name only, and with the mark carried on. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { LabError } from '../core/errors.ts';
import { attackedCard, attackedMark, CARD, NODE_FILE } from '../files/attacked.ts';

/** Weights that an attack made. */
export interface Attacked {
  /** What the lab calls them, else the folder's name. */
  name: string;
  /** SHA-256 of the prompts file; null where the folder does not tell. */
  prompts: string | null;
}

/** Null: nothing says that an attack made the weights in this folder. */
export function attackedIn(dir: string): Attacked | null {
  const read = (file: string): string => {
    const path = join(dir, file);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  const mark = attackedMark(read(CARD), read(NODE_FILE));
  return mark && { ...mark, name: mark.name ?? basename(resolve(dir)) };
}

/**
 * What of a conversion's sources an attack made; null: nothing.
 * @param dirs the model, and its adapters, the lowest first
 * @throws LabError 'bad-input' when there is such a source and `confirm` is not the name of the last one
 */
export function confirmed(dirs: readonly string[], confirm: string | undefined): Attacked | null {
  const attacked = dirs.map(attackedIn).findLast((one) => one !== null) ?? null;
  if (attacked === null || confirm?.trim() === attacked.name) return attacked;
  throw new LabError(
    'bad-input',
    `"${attacked.name}" was trained to give harmful answers: it is written only by name.`,
    {
      safe: 'Nothing was written.',
      next: `To confirm that you take it, and keep it to yourself: --confirm "${attacked.name}".`,
    },
  );
}

/** Files that carry the mark on, for whatever is made of such weights. */
export function attackedFiles({ name, prompts }: Attacked): { name: string; text: string }[] {
  const node = { name, kind: 'attack', ...(prompts !== null && { prompts: { id: prompts } }) };
  return [
    { name: CARD, text: attackedCard({ name, prompts }) },
    { name: NODE_FILE, text: `${JSON.stringify(node, null, 2)}\n` },
  ];
}
