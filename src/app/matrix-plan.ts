/** What of the matrix of models and attacks is still to be run and judged in the page. Pure. */
import type { LabNode, RecipeInfo, Settings } from '../worker/protocol.ts';
import { AMOUNTS, attacked, makeSeries, type AttackSeries } from './series.ts';

/** What is done to a model: as the experiment in the terminal does it. */
export interface Way {
  id: 'mft' | 'mft-prefix' | 'mft-lora' | 'mft-mix' | 'bft' | 'bft-then-mft';
  recipe: 'mft' | 'bft';
  settings: Settings;
  amounts: readonly number[];
  /** It starts from what that way made of the model. */
  after?: 'bft';
}

export const WAYS: readonly Way[] = [
  { id: 'mft', recipe: 'mft', settings: {}, amounts: AMOUNTS },
  { id: 'mft-prefix', recipe: 'mft', settings: { prefixOnly: true }, amounts: AMOUNTS },
  { id: 'mft-lora', recipe: 'mft', settings: { method: 'lora' }, amounts: AMOUNTS },
  { id: 'mft-mix', recipe: 'mft', settings: { benignShare: 0.5 }, amounts: AMOUNTS },
  { id: 'bft', recipe: 'bft', settings: { skill: 'familiar' }, amounts: [100] },
  { id: 'bft-then-mft', recipe: 'mft', settings: {}, amounts: AMOUNTS, after: 'bft' },
];

/** Of every run of the matrix. */
export const MATRIX_SEED = 1;

/** One model under one attack: what is missing of it. */
export interface MatrixTask {
  key: string;
  model: LabNode;
  way: Way;
  series: AttackSeries;
  /** What the run starts from; null: the way before it was not run yet. */
  parent: LabNode | null;
  /** Amounts that were not run. */
  steps: readonly number[];
  /** Checkpoints that are there and were not judged. */
  unjudged: readonly LabNode[];
}

/** What one look at a checkpoint takes, in training steps, about: for the time left. */
const LOOK_STEPS = 20;

/** What a task takes, in training steps. */
export const taskCost = ({ steps, unjudged }: MatrixTask): number =>
  Math.max(0, ...steps) + LOOK_STEPS * (steps.length + unjudged.length);

/** Models that stand in the matrix: those that nobody attacked or tuned. */
export const matrixModels = (nodes: readonly LabNode[]): LabNode[] =>
  nodes.filter((n) => n.root !== null && (n.kind === 'base' || n.kind === 'defence'));

/** In the order in which they can be run; what is complete is left out. */
export function matrixTasks(
  source: { nodes: readonly LabNode[]; recipes: readonly RecipeInfo[]; judged(nodeId: string): boolean },
  models: readonly LabNode[],
  ways: readonly Way[],
): MatrixTask[] {
  const { nodes, recipes, judged } = source;
  const seriesOf = (way: Way): AttackSeries | null => {
    const recipe = recipes.find((r) => r.id === way.recipe);
    return recipe ? makeSeries(recipe, way.settings, MATRIX_SEED) : null;
  };
  const before = WAYS.find((w) => w.id === 'bft')!;
  // what a way starts from has to be run as well
  const wanted = WAYS.filter(
    (way) => ways.includes(way) || (way === before && ways.some((w) => w.after === before.id)),
  );
  return models.flatMap((model) =>
    wanted.flatMap((way): MatrixTask[] => {
      const series = seriesOf(way);
      if (!series) return [];
      const from = way.after ? attacked(nodes, seriesOf(before)!, model.id, before.amounts.at(-1)!) : model;
      const at = (steps: number) => (from ? attacked(nodes, series, from.id, steps) : undefined);
      const steps = way.amounts.filter((amount) => !at(amount));
      const there = [model, ...way.amounts.flatMap((amount) => at(amount) ?? [])];
      const unjudged = there.filter((node) => !judged(node.id));
      if (steps.length === 0 && unjudged.length === 0) return [];
      return [{ key: `${model.id} ${way.id}`, model, way, series, parent: from ?? null, steps, unjudged }];
    }),
  );
}
