import { defaultsOf } from '../core/settings.ts';
import type { LabNode, RecipeInfo, Settings, TrainParams } from '../worker/protocol.ts';
import type { RunView } from './runs.svelte.ts';
import type { Training } from './training.svelte.ts';

/** The amounts of attack training that are always shown together. */
export const AMOUNTS = [20, 50, 100] as const;

/** One way to attack: nodes that differ only by their parent and by the amount of attack training. */
export interface AttackSeries {
  key: string;
  recipe: RecipeInfo;
  settings: Settings;
  seed: number;
  way: Way;
}

/** What decides a run beside its recipe, settings and seed. */
export type Way = Pick<TrainParams, 'continues' | 'room'>;

const wayOf = ({ continues, context }: Pick<LabNode, 'continues' | 'context'>): Way => ({
  ...(continues && { continues }),
  ...(context !== undefined && { room: { context } }),
});

/** The recipe's defaults with own settings over them, without the length. */
export function settled(recipe: RecipeInfo, own: Settings): Settings {
  const all = { ...defaultsOf(recipe.settings, own), ...own };
  delete all.steps;
  return all;
}

export function makeSeries(recipe: RecipeInfo, own: Settings, seed: number, way: Way = {}): AttackSeries {
  const settings = settled(recipe, own);
  const key = JSON.stringify([
    recipe.id,
    seed,
    Object.entries(settings).sort(([a], [b]) => a.localeCompare(b)),
    way.continues === true,
    way.room?.context ?? null,
  ]);
  return { key, recipe, settings, seed, way };
}

function seriesOf(node: LabNode, recipes: readonly RecipeInfo[]): AttackSeries | null {
  const recipe = recipes.find((r) => r.id === node.recipe && r.kind === 'attack' && r.continuable);
  return recipe ? makeSeries(recipe, node.settings, node.seeds.attack, wayOf(node)) : null;
}

/** The series that these nodes belong to, in the order of the nodes, each with its attacked parents. */
export function seriesIn(
  nodes: readonly LabNode[],
  recipes: readonly RecipeInfo[],
): { series: AttackSeries; parentIds: string[] }[] {
  const found = new Map<string, { series: AttackSeries; parentIds: string[] }>();
  for (const node of nodes) {
    const series = seriesOf(node, recipes);
    if (!series || node.parentId === null) continue;
    const entry = found.get(series.key) ?? { series, parentIds: [] };
    if (!entry.parentIds.includes(node.parentId)) entry.parentIds.push(node.parentId);
    found.set(series.key, entry);
  }
  return [...found.values()];
}

/** The node that this series made of the parent with this many steps; the newest where there are several. */
export function attacked(
  nodes: readonly LabNode[],
  series: AttackSeries,
  parentId: string,
  steps: number,
): LabNode | undefined {
  return nodes.findLast(
    (n) =>
      n.parentId === parentId &&
      n.steps === steps &&
      n.recipe === series.recipe.id &&
      makeSeries(series.recipe, n.settings, n.seeds.attack, wayOf(n)).key === series.key,
  );
}

/** The amounts that the attack which made this node has not been run to. */
export function missingBeside(
  node: LabNode,
  nodes: readonly LabNode[],
  recipes: readonly RecipeInfo[],
): number[] {
  const { parentId } = node;
  const series = seriesOf(node, recipes);
  if (!series || parentId === null) return [];
  return AMOUNTS.filter((a) => !attacked(nodes, series, parentId, a));
}

/** A checkpoint to lay in a table; `absent`: stands for one that the same attack has not been run to. */
export interface Laid {
  node: LabNode;
  absent: boolean;
}

/**
 * The chosen nodes, and beside each attack that was looked at after one of the amounts the others, in order: those that are
 * there, and places for those that are not.
 */
export function withAmounts(
  chosen: readonly LabNode[],
  nodes: readonly LabNode[],
  recipes: readonly RecipeInfo[],
): Laid[] {
  const laid = new Map<string, Laid>();
  for (const node of chosen) {
    const series = seriesOf(node, recipes);
    const { parentId } = node;
    if (!series || parentId === null || !AMOUNTS.some((a) => a === node.steps)) {
      laid.set(node.id, { node, absent: false });
      continue;
    }
    for (const steps of AMOUNTS) {
      const there = node.steps === steps ? node : attacked(nodes, series, parentId, steps);
      const id = there?.id ?? `${parentId} ${series.key} ${steps}`;
      laid.set(id, { node: there ?? { ...node, id, steps, name: named(node, steps) }, absent: !there });
    }
  }
  return [...laid.values()];
}

/** A node's name with another number of steps, where it tells them. */
const named = ({ name, steps }: LabNode, other: number): string =>
  name.replace(new RegExp(`\\b${steps}\\b`), String(other));

/** Whether this run is the attack of the series on that model. */
export function isRunOf({ head }: RunView, series: AttackSeries, parentId: string): boolean {
  return (
    head.parentId === parentId &&
    head.recipe === series.recipe.id &&
    makeSeries(series.recipe, head.settings, head.seeds.attack, head).key === series.key
  );
}

/**
 * Attacks a model up to this many steps and saves all amounts on the way that are missing: goes on from the longest run
 * that still can, or begins one. Null when it did not start.
 */
export async function attackTo(
  training: Training,
  nodes: readonly LabNode[],
  series: AttackSeries,
  parentId: string,
  steps: number,
  probeEvery?: number,
): Promise<RunView | null> {
  const missing = AMOUNTS.filter((a) => a <= steps && !attacked(nodes, series, parentId, a));
  const from = training.runs.find(
    (r) =>
      isRunOf(r, series, parentId) &&
      r.head.continuable &&
      r.head.state === 'finished' &&
      missing.every((a) => a > r.head.total),
  );
  if (from) {
    training.shownId = from.id;
    await training.control(from.id, { action: 'continueTo', saveAt: missing });
    return from;
  }
  return training.start({
    parentNodeId: parentId,
    recipe: series.recipe.id,
    settings: series.settings,
    seed: series.seed,
    saveAt: missing,
    ...series.way,
    ...(probeEvery !== undefined && { probeEvery }),
  });
}
