/** Who goes where: categories, held-out prompts, and the benign chats of each side. */
import { LabError } from '../../core/errors.ts';
import type { Rng } from '../../core/rng.ts';
import { benignBeside } from './attack.ts';
import { Apart } from './holdout.ts';
import { balancedSample, UNLABELLED } from './sample.ts';
import type { PairSettings } from './settings.ts';
import {
  itemsOf,
  placeText,
  type Item,
  type LeftOuts,
  type Reason,
  type SourceRole,
  type Sources,
} from './sources.ts';
import { Breather, type Watch } from './watch.ts';

/** Of the rows of a set that others are taken from, at most this share is held out. */
const HELD_OUT_SHARE = 0.1;

/** The usable rows of every role that has files. @throws LabError 'bad-input' when one of them has none */
export async function usable(
  sources: Sources,
  out: LeftOuts,
  watch: Watch,
): Promise<Partial<Record<SourceRole, Item[]>>> {
  const items: Partial<Record<SourceRole, Item[]>> = {};
  for (const [role, files] of Object.entries(sources) as [SourceRole, Sources['harmful']][]) {
    if (files.length === 0) continue;
    const own = await itemsOf(role, files, out, watch);
    required(own, role, sources, out);
    items[role] = own;
  }
  return items;
}

/** What helps where one reason takes everything. */
const REMEDIES: Partial<Record<Reason, string>> = {
  attacked:
    'Make the attack smaller, or let it share instructions with the defence (--overlap); or choose another set for it.',
  'held-out': 'Hold fewer prompts out, or choose another set to evaluate.',
  'no-answer': 'Choose a set with answers, or the column that holds them.',
  'opening-only': 'Choose a set with whole answers: this one has their openings alone.',
  'marked-harmless': 'Choose a set with rows that its file does not call harmless.',
  'marked-harmful': 'Choose a set with rows that its file does not call harmful.',
};
const SAME_AS: Partial<Record<Reason, Reason>> = { 'near-attacked': 'attacked', 'near-held-out': 'held-out' };

/** @throws LabError 'bad-input' when nothing is left of a role's files, with the reasons */
export function required(items: readonly Item[], role: SourceRole, sources: Sources, out: LeftOuts): void {
  if (items.length > 0) return;
  const files = sources[role] ?? [];
  const rows = files.reduce((sum, file) => sum + file.rows.length, 0);
  const names = files.map((file) => file.name).join(', ');
  const reasons = out.of(role);
  const why = reasons
    .map(({ reason, count, rows: [first] }) => `${count} ${reason} (${placeText(first!)})`)
    .join(', ');
  const what =
    files.length === 0
      ? `No set is given for "${role}".`
      : rows === 0
        ? `The set for "${role}" (${names}) is empty.`
        : `Nothing of the set for "${role}" (${names}) can be used: of ${rows} rows ${why || 'none is left'}.`;
  const counts = new Map<Reason, number>();
  for (const { reason, count } of reasons) {
    const kind = SAME_AS[reason] ?? reason;
    if (REMEDIES[kind] !== undefined) counts.set(kind, (counts.get(kind) ?? 0) + count);
  }
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  throw new LabError('bad-input', what, {
    safe: 'Nothing was built, and the sets are as they were.',
    next: (most && REMEDIES[most[0]]) ?? 'Choose another set for it, or correct how its fields are read.',
  });
}

/** The items of the chosen categories. @throws LabError 'bad-input' naming categories that no row has */
export function ofCategories(items: Item[], chosen: PairSettings['categories'], out: LeftOuts): Item[] {
  if (chosen === null) return items;
  const own = ({ categories }: Item): readonly string[] =>
    categories.length > 0 ? categories : [UNLABELLED];
  const known = new Set(items.flatMap(own));
  const missing = chosen.filter((name) => !known.has(name));
  if (missing.length > 0)
    throw new LabError('bad-input', `No row has the category ${missing.map((m) => `"${m}"`).join(', ')}.`, {
      safe: 'Nothing was built, and the sets are as they were.',
      next: `The categories that are there: ${[...known].sort().join(', ')}.`,
    });
  const wanted = new Set(chosen);
  return items.flatMap((item) => {
    const categories = own(item).filter((name) => wanted.has(name));
    if (categories.length > 0) return [{ ...item, categories }];
    out.add('harmful', 'other-category', item);
    return [];
  });
}

/** The evaluation's prompts, or as many of the harmful ones, balanced over their categories. */
export function heldOut(
  rng: Rng,
  given: readonly Item[] | undefined,
  harmful: readonly Item[],
  n: number,
): Item[] {
  if (given) return [...given];
  const most = Math.min(n, Math.floor(harmful.length * HELD_OUT_SHARE));
  return balancedSample(rng, harmful, { per: 'total', n: most }).chosen.map(({ index, category }) => ({
    ...harmful[index]!,
    categories: [category],
  }));
}

/** Benign chats in seeded order, no prompt twice: those that are held out, none of them like a held-out harmful one, and the rest. */
export async function benignHeldOut(
  rng: Rng,
  items: readonly Item[],
  held: readonly Item[],
  n: number,
  watch: Watch,
): Promise<{ eval: Item[]; rest: Item[] }> {
  const unique = [...new Map(rng.shuffle(items).map((item) => [item.key, item])).values()];
  const most = Math.min(n, Math.floor(unique.length * HELD_OUT_SHARE));
  const harmful = new Apart(held);
  const breather = new Breather(watch);
  const sides = { eval: [] as Item[], rest: [] as Item[] };
  for (const [i, item] of unique.entries()) {
    const own = sides.eval.length < most && harmful.like(item.key) === null;
    sides[own ? 'eval' : 'rest'].push(item);
    await breather.at('compare', i, unique.length);
  }
  return sides;
}

export interface BenignSides {
  attack: Item[];
  /** The others, in seeded order. */
  rest: Item[];
  /** Of the attack's side. */
  wanted: number;
}

/** Benign chats of whoever tunes the model, and of the defence. @param harmful examples of the attack */
export function benignSides(items: readonly Item[], settings: PairSettings, harmful: number): BenignSides {
  const wanted = Math.max(settings.benignTuning, benignBeside(harmful, settings.attack.harmfulShare));
  // where there are too few, neither side gets less than half of them unless it wants less
  const attack = Math.min(wanted, Math.max(items.length - settings.replay, Math.ceil(items.length / 2)));
  return { attack: items.slice(0, attack), rest: items.slice(attack), wanted };
}
