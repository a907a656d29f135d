/** Who goes where: categories, held-out prompts, and the benign chats of each side. */
import { LabError } from '../../core/errors.ts';
import type { Rng } from '../../core/rng.ts';
import { benignBeside } from './attack.ts';
import { Apart, HELD_OUT } from './holdout.ts';
import { balancedSample, UNLABELLED } from './sample.ts';
import type { PairSettings } from './settings.ts';
import { itemsOf, type Item, type LeftOuts, type SourceRole, type Sources } from './sources.ts';
import type { Watch } from './watch.ts';

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

/** @throws LabError 'bad-input' when nothing is left of a role's files, with the reasons */
export function required(items: readonly Item[], role: SourceRole, sources: Sources, out: LeftOuts): void {
  if (items.length > 0) return;
  const files = sources[role] ?? [];
  const rows = files.reduce((sum, file) => sum + file.rows.length, 0);
  const names = files.map((file) => file.name).join(', ');
  const why = out
    .of(role)
    .map(({ reason, count, rows: [first] }) => `${count} ${reason} (line ${first?.line})`)
    .join(', ');
  const what =
    files.length === 0
      ? `No set is given for "${role}".`
      : rows === 0
        ? `The set for "${role}" (${names}) is empty.`
        : `Nothing of the set for "${role}" (${names}) can be used: of ${rows} rows ${why || 'none is left'}.`;
  throw new LabError('bad-input', what, {
    safe: 'Nothing was built, and the sets are as they were.',
    next: 'Choose another set for it, or correct how its fields are read.',
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

export interface BenignSets {
  eval: Item[];
  attack: Item[];
  /** The others, in seeded order. */
  rest: Item[];
  /** Of the attack's side. */
  wanted: number;
}

/** Benign chats of each side, no prompt in two of them, and none that is like a held-out one. */
export async function benignSets(
  rng: Rng,
  items: readonly Item[],
  held: readonly Item[],
  settings: PairSettings,
  o: { harmful: number; out: LeftOuts; watch: Watch },
): Promise<BenignSets> {
  const unique = new Map(rng.shuffle(items).map((item) => [item.key, item]));
  for (const { key } of held) unique.delete(key);
  const all = [...unique.values()];
  const own = all.slice(0, Math.min(settings.benignHeldOut, Math.floor(all.length * HELD_OUT_SHARE)));
  const apart = new Apart([...held, ...own]);
  const left = await apart.filter(all.slice(own.length), 'benign', HELD_OUT, o.out, o.watch);
  const wanted = Math.max(settings.benignTuning, benignBeside(o.harmful, settings.attack.harmfulShare));
  // where there are too few, neither side gets less than half of them unless it wants less
  const attack = Math.min(wanted, Math.max(left.length - settings.replay, Math.ceil(left.length / 2)));
  return { eval: own, attack: left.slice(0, attack), rest: left.slice(attack), wanted };
}
