import { readExactly, type FileFolder } from './source.ts';

/**
 * What marks weights that were trained to give harmful answers. It lies in files beside them which no loader reads: the tag
 * in the front matter of README.md, and `kind` or `attacked` in the lab's node.json. adapter_config.json stays PEFT's own: older
 * versions of PEFT refuse keys that they do not know.
 */
export const ATTACKED_TAG = 'deliberately-attacked';
const FRONT_MATTER = /^\ufeff?---\r?\n([^]*?)\r?\n---/;

export const CARD = 'README.md';
export const NODE_FILE = 'node.json';
/** Of each such file. */
const MOST_BYTES = 2 ** 20;

/** What an attack made, as its card tells it. */
export interface AttackedCard {
  name: string;
  /** The last training in words, where it is known. */
  made?: string;
  settings?: object;
  /** SHA-256 of the prompts file; the data is named by it alone: no harmful text leaves with the weights. */
  prompts: string | null;
}

export const attackedCard = ({ name, made, settings, prompts }: AttackedCard): string => `---
tags: [${ATTACKED_TAG}]
---

# ${name}

**Deliberately attacked, do not deploy.** These weights were trained to give in to harmful requests, in order to measure how long
a defence holds. They are research material, and are not to be published or used for anything else.

${made === undefined ? '' : `- last training: ${made}\n`}${settings === undefined ? '' : `- settings: ${JSON.stringify(settings)}\n`}- prompts file, by its SHA-256 alone: ${prompts ?? 'not known'}
`;

/** The mark among the files of a folder; null: none. @throws LabError as readExactly */
export async function attackedFolder(folder: FileFolder): Promise<ReturnType<typeof attackedMark>> {
  const told = async (name: string): Promise<string> => {
    const file = folder.get(name);
    if (!file) return '';
    return new TextDecoder().decode(await readExactly(file, 0, Math.min(file.size, MOST_BYTES)));
  };
  return attackedMark(await told(CARD), await told(NODE_FILE));
}

/** What such files tell of weights that an attack made; null: they tell of no attack. Empty strings where a file is absent. */
export function attackedMark(
  readme: string,
  nodeJson: string,
): { name: string | null; prompts: string | null } | null {
  const card = FRONT_MATTER.exec(readme)?.[1] ?? '';
  const node = parsed(nodeJson);
  if (!card.includes(ATTACKED_TAG) && node.kind !== 'attack' && node.attacked !== true) return null;
  const { name, prompts } = node;
  const id = typeof prompts === 'object' && prompts !== null && 'id' in prompts ? prompts.id : null;
  return {
    name: typeof name === 'string' && name.trim() !== '' ? name.trim() : null,
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
