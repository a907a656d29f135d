/** Methods and attacks from the user's own runs: the form of the paper's tables, with the gaps named. Pure. */
import type { ReportTable, ReportValue } from '../report/document.ts';
import { paretoTable, type ParetoRow } from '../report/pareto.ts';
import { insightSay } from '../report/insight-words.ts';
import type { Language } from '../report/words.ts';
import { meanShareInterval } from '../core/stats.ts';
import type { Evaluation, LabNode, RecipeInfo } from '../worker/protocol.ts';
import { gpusOf } from './gpus.ts';
import { worstBudgets } from './budget.ts';
import { tuningOf } from './report-table.ts';
import { AMOUNTS, attacked, seriesIn, type AttackSeries } from './series.ts';

export interface OverviewSource {
  nodes: readonly LabNode[];
  recipes: readonly RecipeInfo[];
  judged(nodeId: string): Evaluation | null;
  from(node: LabNode): string;
  root(node: LabNode): LabNode;
}

export interface Overview {
  tables: ReportTable[];
  /** Attacks that were run on some model and not on this one, or not as far. */
  gaps: { model: LabNode; attack: string; series: AttackSeries; steps: number[] }[];
}

export function overview(source: OverviewSource, language: Language): Overview {
  const own = source.nodes.filter((n) => n.root !== null);
  const models = own.filter((n) => n.kind === 'base' || n.kind === 'defence');
  const series = shown(seriesIn(own, source.recipes).map((s) => s.series));
  const cells = models.flatMap((model) => series.flatMap((s) => cellsOf(model, s, source)));
  const gaps = models.flatMap((model) =>
    series.flatMap((s) => {
      const steps = AMOUNTS.filter((n) => !attacked(own, s, model.id, n));
      return steps.length > 0 ? [{ model, attack: seriesName(s), series: s, steps }] : [];
    }),
  );
  const some = [...models.map((m) => source.judged(m.id)), ...cells.map((c) => c.evaluation)].some(Boolean);
  const tables = [
    ...(some ? matrixTables(models, [...cells, ...benignCells(models, source)], source, language) : []),
    ...(cells.some((c) => c.evaluation) ? [budgetPareto(models, source, language)] : []),
  ];
  return { tables: tables.filter((t) => t.rows.length > 0), gaps };
}

/** The attack map shows other learning rates; here they would hide everything else. */
function shown(all: readonly AttackSeries[]): readonly AttackSeries[] {
  const usual = all.filter(({ recipe, settings }) => {
    const lr = recipe.settings.find((s) => s.key === 'lr');
    return lr === undefined || settings.lr === lr.default;
  });
  return usual.length > 0 ? usual : all;
}

interface Cell {
  model: LabNode;
  attack: string;
  steps: number;
  node: LabNode | undefined;
  evaluation: Evaluation | null;
}

function cellsOf(model: LabNode, series: AttackSeries, { nodes, judged }: OverviewSource): Cell[] {
  return AMOUNTS.map((steps) => {
    const node = attacked(nodes, series, model.id, steps);
    return {
      model,
      attack: seriesName(series),
      steps,
      node,
      evaluation: node ? judged(node.id) : null,
    };
  });
}

/** Benign fine-tuning that was run on some model, on each of them: what it gives back. */
function benignCells(models: readonly LabNode[], { nodes, judged }: OverviewSource): Cell[] {
  const tuned = nodes.filter((n) => n.kind === 'benign' && n.root !== null);
  const ways = [...new Map(tuned.map((n) => [`${tuningOf(n, ['steps'])} ${n.steps}`, n])).values()];
  return models.flatMap((model) =>
    ways.map((way): Cell => {
      const same = (n: LabNode): boolean =>
        n.parentId === model.id &&
        n.steps === way.steps &&
        tuningOf(n, ['steps']) === tuningOf(way, ['steps']);
      const node = tuned.findLast(same);
      const skill = typeof way.settings.skill === 'string' ? ` ${way.settings.skill}` : '';
      return {
        model,
        attack: `${way.recipe ?? ''}${skill}`,
        steps: way.steps,
        node,
        evaluation: node ? judged(node.id) : null,
      };
    }),
  );
}

/** What is not as it is by default. */
function seriesName({ recipe, settings, seed }: AttackSeries): string {
  const changed = recipe.settings.flatMap(({ key, default: usual }) => {
    const value = settings[key];
    if (value === undefined || value === usual || key === 'steps') return [];
    return [typeof value === 'boolean' ? key : `${key} ${String(value)}`];
  });
  return [recipe.id, ...changed, ...(seed === 1 ? [] : [`seed ${seed}`])].join(' ');
}

/** The same rows by harm and by ability: before, after attacks, after benign fine-tuning. */
function matrixTables(
  models: readonly LabNode[],
  cells: readonly Cell[],
  source: OverviewSource,
  language: Language,
): ReportTable[] {
  const w = insightSay(language);
  const name = (node: LabNode): string => (node.parentId ? `${node.name} (${source.from(node)})` : node.name);
  const before: Cell[] = models.map((model) => ({
    model,
    attack: '',
    steps: 0,
    node: model,
    evaluation: source.judged(model.id),
  }));
  const all = models.flatMap((model) => [...before, ...cells].filter((c) => c.model === model));
  const one = (id: string, value: 'strict' | 'benign', title: string, notes: string[]): ReportTable => ({
    id,
    title,
    notes,
    columns: [
      { id: 'model', title: w('model'), unit: 'text' },
      { id: 'attack', title: w('attack'), unit: 'text' },
      { id: 'strict', title: w('strict'), unit: 'share' },
      { id: 'broad', title: w('broad'), unit: 'share' },
      { id: 'refused', title: w('refused'), unit: 'share' },
      { id: 'benign', title: w('benign'), unit: 'share' },
    ],
    rows: all.map(({ model, attack, steps, node, evaluation }): ReportValue[] => {
      const missing = { missing: w(node ? 'notJudged' : 'notRun') };
      const label = steps === 0 ? w('before') : `${attack} @${steps}`;
      if (!evaluation) return [name(model), label, missing, missing, missing, missing];
      const { strict, broad, counts, n, benign } = evaluation;
      const share = ({ value, low, high }: typeof strict): ReportValue => ({ value, low, high });
      return [name(model), label, share(strict), share(broad), counts.refused / n, ability(benign)];
    }),
    picture: { kind: 'heat', x: 'attack', y: 'model', value, title },
  });
  const gpus = gpusOf(all.flatMap((c) => c.evaluation ?? []));
  const judgedOn = gpus.length > 0 ? [w('judgedOn', { adapter: gpus.join('; ') })] : [];
  return [
    one('matrix', 'strict', `${w('matrix')}, %`, [w('matrixNote'), ...judgedOn]),
    one('ability', 'benign', `${w('abilityMatrix')}, %`, [w('mapBenignNote'), ...judgedOn]),
  ];
}

function ability(benign: Evaluation['benign']): ReportValue {
  if (!benign) return null;
  const [low, high] = meanShareInterval(benign.skills);
  return { value: benign.mean, low, high };
}

function budgetPareto(
  models: readonly LabNode[],
  { nodes, judged, from, root }: OverviewSource,
  language: Language,
): ReportTable {
  const w = insightSay(language);
  const attacks = nodes
    .filter((n) => n.root !== null)
    .map((node) => ({
      node,
      from: from(node),
      rootId: root(node).id,
      evaluation: judged(node.id),
    }));
  const rows = worstBudgets(attacks).flatMap(({ parentId, bounds, tried }): ParetoRow[] => {
    const model = models.find((m) => m.id === parentId);
    const before = model && judged(model.id);
    if (!model || !before?.benign) return [];
    return [
      {
        model: model.parentId ? `${model.name} (${from(model)})` : model.name,
        ability: ability(before.benign),
        outcome: bounds.most ?? bounds.over,
        bound: bounds.most === null ? '≥' : '',
        more: [tried],
      },
    ];
  });
  return paretoTable({ id: 'pareto', title: w('pareto'), notes: [w('paretoNote')] }, rows, {
    outcome: { id: 'budget', title: w('budget'), unit: 'count' },
    better: 'high',
    words: {
      ...{ model: w('model'), ability: w('ability'), bound: w('bound') },
      ...{ front: w('front'), unbeaten: w('unbeaten') },
    },
    more: [{ id: 'tried', title: w('tried'), unit: 'text' }],
  });
}
