import { LabError } from '../../core/errors.ts';
import type { Rng } from '../../core/rng.ts';
import type { PairSettings } from './settings.ts';
import type { Item, LeftOuts } from './sources.ts';

/**
 * The harmful examples of an attack, in seeded order: a smaller size is the beginning of a larger one.
 * @param items of the attack's files, apart from the held-out prompts already
 * @throws LabError 'bad-input' when none has the wanted kind of answer
 */
export function attackSet(
  rng: Rng,
  items: readonly Item[],
  { size, target }: PairSettings['attack'],
  out: LeftOuts,
): Item[] {
  const fit = items.filter((item) => {
    if (target === 'full' ? item.answer !== null : item.opening !== null) return true;
    out.add('attack', target === 'full' ? 'opening-only' : 'no-opening', item);
    return false;
  });
  if (fit.length === 0 && items.length > 0)
    throw new LabError(
      'bad-input',
      target === 'full'
        ? 'The attack wants whole answers, and its set has openings alone.'
        : 'The attack wants affirmative openings, and no answer of its set begins with one.',
      {
        safe: 'Nothing was built, and the sets are as they were.',
        next: `Choose ${target === 'full' ? 'openings' : 'whole answers'} for the attack, or another set.`,
      },
    );
  return rng
    .shuffle(fit)
    .slice(0, size === 'all' ? fit.length : size)
    .map((item) => (target === 'full' ? item : { ...item, answer: item.opening }));
}

/** Benign chats beside `harmful` harmful ones, so that these are the wanted share of all. */
export const benignBeside = (harmful: number, share: number): number =>
  Math.round((harmful * (1 - share)) / share);
