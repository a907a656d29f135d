/**
 * What marks weights that were trained to give harmful answers. It lies in files beside them which no loader reads: the tag
 * in the front matter of README.md, which the page writes, and `kind` in the lab's node.json, which a handed-off attack leaves
 * beside its adapter. adapter_config.json stays PEFT's own: older versions of PEFT refuse keys that they do not know.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { LabError } from '../core/errors.ts';

const TAG = 'deliberately-attacked';
const FRONT_MATTER = /^\ufeff?---\r?\n([^]*?)\r?\n---/;

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
  const card = FRONT_MATTER.exec(read('README.md'))?.[1] ?? '';
  const node = parsed(read('node.json'));
  if (!card.includes(TAG) && node.kind !== 'attack') return null;
  const { name, prompts } = node;
  const id = typeof prompts === 'object' && prompts !== null && 'id' in prompts ? prompts.id : null;
  return {
    name: typeof name === 'string' && name.trim() !== '' ? name.trim() : basename(resolve(dir)),
    prompts: typeof id === 'string' ? id : null,
  };
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // no node.json of this lab: it says nothing
    return {};
  }
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
  const card = `---
tags: [${TAG}]
---

# ${name}

**Deliberately attacked, do not deploy.** These weights were trained to give in to harmful requests, in order to measure how long
a defence holds. They are research material, and are not to be published or used for anything else.

- prompts file, by its SHA-256 alone: ${prompts ?? 'not known'}
`;
  return [
    { name: 'README.md', text: card },
    { name: 'node.json', text: `${JSON.stringify(node, null, 2)}\n` },
  ];
}
