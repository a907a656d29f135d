/** An attack map and a matrix from the attacks that the user has run. Pure. */
import { EXACT_JUDGE } from '../core/verdicts.ts';
import {
  type Evaluation,
  HELD_OUT,
  type InsightLook,
  type InsightMap,
  type LabNode,
  MAP_RATES,
  MAP_STEPS,
  type MapCell,
  type RecipeInfo,
} from '../worker/protocol.ts';
import { gpusOf } from './gpus.ts';
import { attacked, makeSeries, type AttackSeries } from './series.ts';

/** Seed of the attacks of a map. */
export const MAP_SEED = 1;

/** Malicious fine-tuning at one rate, everything else by default. */
export const mapSeries = (mft: RecipeInfo, lr: number): AttackSeries => makeSeries(mft, { lr }, MAP_SEED);

/** The best of what is stored: on the whole set before quick looks, the newest of these. */
export function judgedBest(evaluations: readonly Evaluation[]): Evaluation | null {
  const usable = evaluations.filter(
    (e) => e.set === HELD_OUT && e.benign !== null && (e.judge ?? EXACT_JUDGE) === EXACT_JUDGE,
  );
  return usable.find((e) => !e.quick) ?? usable[0] ?? null;
}

export function lookOf({ n, counts, benign, answers }: Evaluation): InsightLook {
  const { deflections: _, ...verdicts } = { deflections: 0, ...counts };
  const skills = benign?.skills ?? [];
  const facts = new Set(answers.flatMap((a) => a.fact ?? [])).size;
  const total = (key: 'n' | 'correct'): number => skills.reduce((sum, s) => sum + s[key], 0);
  return {
    forbidden: { n, counts: verdicts, ...(facts > 0 && { facts }) },
    benign: { n: total('n'), correct: total('correct') },
    benignLoss: null,
  };
}

export interface OwnMap {
  map: InsightMap;
  /** Fields whose checkpoint is there and only wants judging. */
  unjudged: { lr: number; steps: number; nodeId: string }[];
}

/** Null where the model itself is not judged: a map without its beginning says nothing. */
export function ownMap(
  model: LabNode,
  nodes: readonly LabNode[],
  mft: RecipeInfo,
  judged: (nodeId: string) => Evaluation | null,
): OwnMap | null {
  const before = judged(model.id);
  if (!before) return null;
  const cells: MapCell[] = [];
  const missing: InsightMap['missing'] = [];
  const unjudged: OwnMap['unjudged'] = [];
  let latest = before;
  const taken = [before];
  for (const lr of MAP_RATES)
    for (const steps of MAP_STEPS) {
      const node = attacked(nodes, mapSeries(mft, lr), model.id, steps);
      const evaluation = node && judged(node.id);
      if (evaluation) taken.push(evaluation);
      if (evaluation) cells.push({ lr, steps, loss: null, look: lookOf(evaluation) });
      else missing.push({ lr, steps });
      if (evaluation && evaluation.createdAt > latest.createdAt) latest = evaluation;
      if (node && !evaluation) unjudged.push({ lr, steps, nodeId: node.id });
    }
  const untouched = lookOf(before);
  return {
    unjudged,
    map: {
      kind: 'attack map',
      version: 1,
      about: {
        createdAt: new Date(latest.createdAt).toISOString(),
        command: '',
        worldSeed: model.seeds.world,
        seeds: { defence: model.seeds.defence, attack: MAP_SEED },
        adapter: gpusOf(taken).join('; '),
        kernels: model.kernelTable!,
        code: model.engineVersion,
        protocol: latest.protocol ?? '',
        weights: {},
        seconds: 0,
      },
      model: model.name,
      attack: { recipe: mft.id, settings: {} },
      prompts: { forbidden: untouched.forbidden.n, perSkill: Math.round(untouched.benign.n / 11) },
      untouched,
      rates: [...MAP_RATES],
      steps: [...MAP_STEPS],
      cells,
      missing,
    },
  };
}

/** Whether an attack map speaks of the node: as the model under attack, or as one of its fields. */
export function isMapped(node: LabNode, nodes: readonly LabNode[], mft: RecipeInfo): boolean {
  return MAP_RATES.some((lr) =>
    MAP_STEPS.some((steps) => {
      const field = (parentId: string | null): LabNode | undefined =>
        parentId === null ? undefined : attacked(nodes, mapSeries(mft, lr), parentId, steps);
      return node.kind === 'attack' ? field(node.parentId)?.id === node.id : field(node.id) !== undefined;
    }),
  );
}
