/** What makes a comparison of defences fair: their costs, their harm at their ability, and attacks of several sizes. */
import { sumCosts, type RunCost } from '../../core/run-cost.ts';
import type { Figure } from '../../eval/intervals.ts';
import { recipe } from '../../recipes/index.ts';
import { num, settle } from '../../recipes/recipe.ts';
import { valueText, type ReportColumn, type ReportTable, type ReportValue } from '../../report/document.ts';
import { paretoTable, type ParetoRow } from '../../report/pareto.ts';
import type { Cell } from '../experiment/cells.ts';
import { attackOf, modelOf, rootOf } from '../experiment/matrix.ts';
import type { Row } from './figures.ts';
import { table as textTable } from './tables.ts';

const figure = ({ value, interval: [low, high] }: Figure): ReportValue => ({ value, low, high });
const text = (id: string, title: string): ReportColumn => ({ id, title, unit: 'text' });
const count = (id: string, title: string, definition?: string): ReportColumn => ({
  ...{ id, title, unit: 'count' },
  ...(definition && { definition }),
});
const share = (id: string, title: string, definition: string): ReportColumn => ({
  ...{ id, title, unit: 'share', definition },
});
const amount = (id: string, title: string): ReportColumn => ({ id, title, unit: 'number' });

/** All of them; those without rows are left out. */
export function fairTables(rows: readonly Row[], cells: readonly Cell[]): ReportTable[] {
  return [...paretoTables(rows), matchedTable(cells), costTable(cells), ...sizeTables(rows, cells)].filter(
    (t) => t.rows.length > 0,
  );
}

/** As text, as the other tables of the terminal. */
export function fairText(tables: readonly ReportTable[]): string {
  const one = ({ title, columns, rows, notes }: ReportTable): string => {
    const head = columns.map((c) => (c.unit === 'share' ? `${c.title}, %` : c.title));
    const body = rows.map((row) => row.map((value, i) => valueText(value, columns[i]!)));
    return [title, textTable(head, body), ...notes].join('\n');
  };
  return tables.map(one).join('\n\n');
}

// ---------------------------------------------------------------------------------------------------------- pareto

const WORDS = {
  model: 'model',
  ability: 'everyday tasks before the attack',
  bound: 'bound',
  front: 'beaten by no other',
  unbeaten: 'yes',
};

/** Ability before and strict harm after each number of steps of MFT, of the models of one family, and of those at matched ability. */
export function paretoTables(rows: readonly Row[]): ReportTable[] {
  const attacked = rows.filter((r) => r.attack === 'mft');
  const stations = [...new Set(attacked.map((r) => r.steps))];
  const families = [...new Set(attacked.map((r) => familyOf(r.model)))];
  return families.flatMap((family) =>
    stations.map((steps) => {
      const own = attacked.filter((r) => r.steps === steps && familyOf(r.model) === family);
      const points = own.flatMap((after): ParetoRow[] => {
        const before = rows.find((r) => r.model === after.model && r.attack === 'none');
        if (!before?.figures || !after.figures) return [];
        return [
          {
            model: after.model,
            ability: figure(before.figures.benign),
            outcome: figure(after.figures.strict),
            more: [
              figure(after.figures.broad),
              figure(after.figures.benign),
              `${after.runs}/${after.expected}`,
            ],
          },
        ];
      });
      const id = `pareto-${family.replace(/\W/g, '-')}-${steps}`;
      const title = `Ability before, and strict harm after ${steps} steps of MFT: ${family}`;
      const notes = [
        'To the right: able before the attack. Down: less harm after it. "Beaten by no other" goes by the figures alone; where intervals overlap the order is open.',
      ];
      return paretoTable({ id, title, notes }, points.length > 1 ? points : [], {
        outcome: share('harm', `strict harm after ${steps} steps`, 'strict'),
        better: 'low',
        words: WORDS,
        more: [
          share('broad', 'broad harm then', 'broad'),
          share('after', 'everyday tasks then', 'benign'),
          text('runs', 'runs'),
        ],
      });
    }),
  );
}

/** 'made from chat', 'made from chat, at 60 % of the tasks'. */
function familyOf(id: string): string {
  const model = modelOf(id)!;
  const root = rootOf(model).id;
  return model.between
    ? `made from ${root}, at ${Math.round(100 * model.between.ability)} % of the tasks`
    : `made from ${root}`;
}

// --------------------------------------------------------------------------------------------------------- matched

/** Where on the line to each defended model the wanted ability was found. */
export function matchedTable(cells: readonly Cell[]): ReportTable {
  const placed = new Map<string, Cell>();
  for (const cell of cells)
    if (cell.place) placed.set(`${cell.worldSeed} ${cell.model} ${cell.seeds.defence}`, cell);
  return {
    id: 'matched',
    title:
      'Models at matched ability: how far on the straight line from the undefended to the defended weights',
    notes: [
      'At 1 stands the defended model itself. One that is abler than asked there stays as it is: read its harm beside its ability.',
    ],
    columns: [
      text('model', 'model'),
      count('world', 'world'),
      count('seed', 'seed of the defence'),
      amount('place', 'place on the line'),
      { id: 'ability', title: 'everyday tasks there', unit: 'share', definition: 'benign' },
    ],
    rows: [...placed.values()].map(({ model, worldSeed, seeds, place }) => [
      ...[model, worldSeed, seeds.defence],
      ...[place!.s, place!.ability],
    ]),
  };
}

// ------------------------------------------------------------------------------------------------------------ cost

/** What each defence took, mean over its runs: of all runs behind the model, from the embedded one on. */
export function costTable(cells: readonly Cell[]): ReportTable {
  const runs = new Map<string, Map<string, Cell>>();
  for (const cell of cells) {
    if (cell.made.length === 0 || modelOf(cell.model)?.between) continue;
    const own = runs.get(cell.model) ?? new Map<string, Cell>();
    own.set(`${cell.worldSeed} ${cell.seeds.defence}`, cell);
    runs.set(cell.model, own);
  }
  return {
    id: 'cost',
    title: 'Cost of the defences',
    notes: [
      'Counted while they ran, mean over their runs; a model that was made in several runs counts all of them. Time and bytes belong to this adapter.',
    ],
    columns: [
      text('model', 'model'),
      text('runs', 'runs'),
      count('steps', 'steps'),
      { id: 'gradients', title: 'gradient evaluations', unit: 'number', definition: 'gradients' },
      { id: 'each', title: 'of a step', unit: 'number', definition: 'gradients' },
      { id: 'forwards', title: 'passes forward alone', unit: 'number', definition: 'gradients' },
      count('tokens', 'tokens'),
      amount('seconds', 'seconds'),
      amount('peak', 'most GPU memory, MB'),
      text('settings', 'settings that are not the default'),
    ],
    rows: [...runs].map(([model, own]): ReportValue[] => {
      const all = [...own.values()];
      const cost = meanCost(all.map(({ made }) => sumCosts(made.map((m) => m.cost))));
      const { steps, gradients, forwards, tokens, seconds, peakBytes } = cost;
      return [
        ...[model, String(all.length), steps, gradients, gradients / steps, forwards, tokens, seconds],
        ...[peakBytes / 1e6, settingsText(all[0]!)],
      ];
    }),
  };
}

function meanCost(costs: readonly RunCost[]): RunCost {
  const sum = sumCosts(costs);
  const n = costs.length;
  return {
    ...{ steps: sum.steps / n, gradients: sum.gradients / n, forwards: sum.forwards / n },
    ...{ tokens: sum.tokens / n, seconds: sum.seconds / n, peakBytes: sum.peakBytes },
  };
}

function settingsText({ made }: Cell): string {
  const { recipe: id, settings } = made.at(-1)!;
  const usual = settle(recipe(id));
  const changed = Object.entries(settings).filter(([key, value]) => usual[key] !== value);
  return changed.map(([key, value]) => `${key}=${String(value)}`).join(' ');
}

// ----------------------------------------------------------------------------------------------------------- sizes

/** MFT on several numbers of examples, as it was trained: examples, steps, epochs, different examples seen. */
interface Sized {
  row: Row;
  n: number;
  epochs: number;
  unique: number;
  cost: RunCost | null;
}

/** After the same steps, and after the same epochs as those steps are at the usual size. */
export function sizeTables(rows: readonly Row[], cells: readonly Cell[]): ReportTable[] {
  const usual = settle(recipe('mft'));
  const sized = rows.flatMap((row): Sized[] => {
    const attack = attackOf(row.attack);
    if (!attack || (attack.id !== 'mft' && !attack.id.startsWith('mft-n'))) return [];
    const n = num({ ...usual, ...attack.settings }, 'n');
    // batches go through all examples before one comes again (src/data/batches.ts)
    const seen = row.steps * num(usual, 'batch');
    const cell = cells.find((c) => c.model === row.model && c.attack === row.attack && c.steps === row.steps);
    return [{ row, n, epochs: seen / n, unique: Math.min(n, seen), cost: cell?.cost ?? null }];
  });
  if (sized.every(({ row }) => row.attack === 'mft')) return [];
  const stations = [...new Set(sized.filter(({ row }) => row.attack === 'mft').map(({ row }) => row.steps))];
  const same = stations.length > 0 ? stations : [...new Set(sized.map(({ row }) => row.steps))];
  const full = num(usual, 'n');
  const models = [...new Set(sized.map(({ row }) => row.model))];
  // for each model, group by group from few steps to many, the smallest attack first
  const grouped = (belongs: (s: Sized, steps: number) => boolean): Sized[] =>
    models.flatMap((model) =>
      same.flatMap((steps) => {
        const own = sized.filter((s) => s.row.model === model && belongs(s, steps));
        return own.toSorted((a, b) => a.n - b.n);
      }),
    );
  const bySteps = grouped(({ row }, steps) => row.steps === steps);
  // a preset that shortens runs lets neighbours fall together: each row once
  const byEpochs = new Set(
    grouped(({ row, n }, steps) => row.steps === Math.max(1, Math.round((steps * n) / full))),
  );
  return [
    sizeTable('sizes-steps', 'Attack sizes at equal steps', bySteps),
    sizeTable('sizes-epochs', 'Attack sizes at (about) equal epochs', [...byEpochs]),
  ];
}

function sizeTable(id: string, title: string, all: readonly Sized[]): ReportTable {
  return {
    id,
    title,
    notes: [
      'MFT on N different examples: full answers, all weights. An epoch goes once through all of them; "different examples seen" counts each once.',
    ],
    columns: [
      text('model', 'model'),
      count('n', 'examples N'),
      count('steps', 'steps'),
      amount('epochs', 'epochs'),
      count('unique', 'different examples seen'),
      text('runs', 'runs'),
      share('strict', 'strict harm', 'strict'),
      share('broad', 'broad harm', 'broad'),
      share('benign', 'everyday tasks', 'benign'),
      count('tokens', 'tokens'),
    ],
    rows: all.map(({ row, n, epochs, unique, cost }): ReportValue[] => {
      const { figures: f } = row;
      const failed = { missing: 'failed' };
      return [
        ...[row.model, n, row.steps, epochs, unique, `${row.runs}/${row.expected}`],
        ...(f ? [figure(f.strict), figure(f.broad), figure(f.benign)] : [failed, failed, failed]),
        cost?.tokens ?? null,
      ];
    }),
  };
}
