/**
 * What marks weights that were trained to give harmful answers. It lies in files beside them which no loader reads: the tag
 * in the front matter of README.md, and `kind` or `attacked` in the lab's node.json. adapter_config.json stays PEFT's own: older
 * versions of PEFT refuse keys that they do not know.
 */
export const ATTACKED_TAG = 'deliberately-attacked';
const FRONT_MATTER = /^\ufeff?---\r?\n([^]*?)\r?\n---/;

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
