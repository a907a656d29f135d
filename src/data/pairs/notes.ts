import { PAPER } from './settings.ts';
import type { Built } from './types.ts';

/** Something that a person should know of a result. */
export interface Note {
  id: NoteId;
  values: Record<string, string | number>;
}

/** In English, for the manifest and the terminal; the page has its own words for each. */
export const NOTE_TEXTS = {
  'fewer-instructions': 'There are {taken} instructions and {wanted} were wanted: all of them are used.',
  'category-short':
    '"{category}" has {taken} instructions, less than its share; other categories give the rest.',
  'category-few': '"{category}" has {taken} instructions, and {wanted} of each category were wanted.',
  categories: 'The paper has {paper} categories, and these sets name {here}.',
  reused: '{reused} answers are used more than once: {answers} answers for {pairs} pairs.',
  unpaired: '{n} instructions are left out: every draw was more similar than the threshold.',
  'edited-above': '{n} edited pairs are more similar than the threshold.',
  'edits-unused':
    '{n} edits belong to instructions that are not drawn now: they are kept, and change nothing.',
  'attack-fewer': 'The attack has {n} examples, and {wanted} were wanted.',
  'no-attack': 'No attack set is given: an attack cannot be trained on this file.',
  'held-out-fewer': '{n} harmful prompts are held out.',
  'no-held-out': 'No harmful prompt is held out: nothing can be measured on this file.',
  'benign-fewer': 'For {side} there are {n} benign chats, and {wanted} were wanted.',
} as const;
export type NoteId = keyof typeof NOTE_TEXTS;

export const noteText = ({ id, values }: Note): string =>
  NOTE_TEXTS[id].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name]));

export function notesOn(
  built: Omit<Built, 'notes'>,
  more: { unused: number; answers: number; benignWanted: number; attackGiven: boolean; evalGiven: boolean },
): Note[] {
  const { settings, categories, pairs, pairing, harmful, benign } = built;
  const { per, n } = settings.sample;
  const notes: Note[] = [];
  const note = (id: NoteId, values: Note['values'] = {}): void => void notes.push({ id, values });
  const taken = categories.reduce((sum, c) => sum + c.taken, 0);
  if (per === 'total' && taken < n) note('fewer-instructions', { taken, wanted: n });
  else
    for (const c of categories.filter((one) => one.short))
      if (per === 'total') note('category-short', { category: c.category, taken: c.taken });
      else note('category-few', { category: c.category, taken: c.taken, wanted: n });
  if (categories.length !== PAPER.categories)
    note('categories', { paper: PAPER.categories, here: categories.length });
  if (pairing.reused > 0)
    note('reused', { reused: pairing.reused, answers: more.answers, pairs: pairs.length });
  if (built.unpaired.length > 0) note('unpaired', { n: built.unpaired.length });
  const above = pairs.filter((p) => p.edited && !p.excluded && p.similarity > settings.threshold).length;
  if (above > 0) note('edited-above', { n: above });
  if (more.unused > 0) note('edits-unused', { n: more.unused });
  const { size } = settings.attack;
  if (!more.attackGiven) note('no-attack');
  else if (size !== 'all' && harmful.attack.length < size)
    note('attack-fewer', { n: harmful.attack.length, wanted: size });
  if (harmful.eval.length === 0) note('no-held-out');
  else if (!more.evalGiven && harmful.eval.length < settings.heldOut)
    note('held-out-fewer', { n: harmful.eval.length });
  for (const [side, there, wanted] of [
    ['attack', benign.attack.length, more.benignWanted],
    ['defence', benign.defence.length, settings.replay],
    ['eval', benign.eval.length, settings.benignHeldOut],
  ] as const)
    if (there < wanted) note('benign-fewer', { side, n: there, wanted });
  return notes;
}
