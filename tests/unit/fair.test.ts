/** Tables of a fair comparison: cost, Pareto, matched ability, sizes of attacks. */
import { describe, expect, test } from 'vitest';
import type { Cell, Made } from '../../src/cli/experiment/cells.ts';
import { costTable, fairTables, fairText, sizeTables } from '../../src/cli/summary/fair.ts';
import { rows } from '../../src/cli/summary/figures.ts';
import type { RunCost } from '../../src/core/run-cost.ts';
import { numberOf } from '../../src/report/drawing.ts';
import type { ReportTable } from '../../src/report/document.ts';
import { unbeaten } from '../../src/report/pareto.ts';
import { picture } from '../../src/report/pictures.ts';
import { SKILLS } from '../../src/world/words.ts';
import { cell, world } from './support/cells.ts';

const cost = (gradients: number, steps = 100): RunCost => ({
  ...{ steps, gradients, forwards: 10, tokens: 1000 * gradients, seconds: gradients / 10, peakBytes: 3e6 },
});
const made = (model: string, recipe: string, gradients: number, settings = {}): Made => ({
  ...{ model, recipe, settings, cost: cost(gradients) },
});

/** A look at a model that does this share of the everyday tasks and gives this share of the forbidden answers. */
function look(model: string, attack: string, steps: number, harm: number, able: number, seed = 1): Cell {
  const one = cell(model, attack, steps, harm, seed);
  const skills = SKILLS.map((skill) => ({ skill, correct: Math.round(40 * able), n: 40 }));
  return { ...one, scores: { ...one.scores, benign: { mean: able, skills } } };
}

const column = (table: ReportTable, id: string) => {
  const at = table.columns.findIndex((c) => c.id === id);
  expect(at, id).toBeGreaterThanOrEqual(0);
  return table.rows.map((row) => row[at]!);
};

const SPEC: readonly (readonly [model: string, able: number, harm: readonly [number, number]])[] = [
  ['chat', 0.95, [0.9, 1]],
  ['chat+sdd', 0.6, [0.1, 0.2]],
  ['chat+simpo', 0.9, [0.5, 0.9]],
  ['chat+booster', 0.5, [0.4, 0.9]],
];
const looks = SPEC.flatMap(([model, able, harm]) => [
  look(model, 'none', 0, 0, able),
  ...[20, 50].map((steps, i) => look(model, 'mft', steps, harm[i]!, able / 2)),
]);
const planned = looks.map(({ model, attack, steps }) => ({ model, attack, steps }));
const all = rows([{ world, cells: looks, repetitions: 1 }], planned, 'T');

describe('the Pareto tables', () => {
  const [first, second] = fairTables(all, looks);

  test('have a row for each model, the ablest first, with intervals, for each number of steps', () => {
    expect([first!.id, second!.id]).toEqual(['pareto-made-from-chat-20', 'pareto-made-from-chat-50']);
    expect(column(first!, 'model')).toEqual(['chat', 'chat+simpo', 'chat+sdd', 'chat+booster']);
    expect(column(first!, 'ability').map(numberOf)).toEqual([0.95, 0.9, 0.6, 0.5]);
    for (const value of column(first!, 'harm')) expect(value).toHaveProperty('low');
    expect(numberOf(column(first!, 'after')[0])).toBeCloseTo(0.475, 5);
  });

  test('say which no other beats', () => {
    expect(column(first!, 'front')).toEqual(['yes', 'yes', 'yes', '']);
    expect(column(second!, 'front')).toEqual(['yes', 'yes', 'yes', '']);
    const points = [
      { model: 'a', ability: 0.9, outcome: 20 },
      { model: 'b', ability: 0.9, outcome: 50 },
      { model: 'c', ability: 0.5, outcome: null },
    ];
    expect(unbeaten(points, 'high')).toEqual([false, true, false]);
    expect(unbeaten(points, 'low')).toEqual([true, false, false]);
  });

  test('are drawn with a mark of its own form and a name for each, and whiskers', () => {
    const drawing = picture(first!)!;
    const marks = drawing.shapes.flatMap((s) => (s.is === 'mark' ? [s] : []));
    expect(new Set(marks.map((m) => m.mark)).size).toBe(4);
    expect(drawing.legend.map((l) => l.text)).toEqual(column(first!, 'model'));
    expect(drawing.shapes.filter((s) => s.is === 'line' && s.style === 'zero')).toHaveLength(8);
    // right is able, up is harmful
    expect(marks[0]!.x).toBeGreaterThan(marks[2]!.x);
    expect(marks[0]!.y).toBeLessThan(marks[2]!.y);
    expect(marks[2]!.title).toContain('chat+sdd: everyday tasks before the attack 60');
    const names = drawing.shapes.flatMap((s) => (s.is === 'text' ? [s.text] : []));
    for (const name of column(first!, 'model')) expect(names).toContain(name);
  });

  test('keep names off each other where marks crowd; the legend has all of them', () => {
    const crowd = Array.from({ length: 12 }, (_, i) => ['chat+t-vaccine-' + i, 0.9, 0.5, '']);
    const drawing = picture({ ...first!, columns: first!.columns.slice(0, 4), rows: crowd })!;
    const texts = drawing.shapes.flatMap((s) => (s.is === 'text' && s.text.startsWith('chat') ? [s] : []));
    expect(texts.length).toBeLessThan(12);
    expect(drawing.legend).toHaveLength(12);
    expect(new Set(drawing.legend.map((l) => ('mark' in l ? `${l.mark} ${l.style}` : ''))).size).toBe(12);
  });

  test('models at matched ability are a family of their own', () => {
    const placed = looks
      .filter((c) => c.model !== 'chat')
      .map((c) => ({ ...c, model: `${c.model}@60`, place: { s: 0.5, ability: 0.61 } }));
    const both = [...looks, ...placed];
    const joined = rows(
      [{ world, cells: both, repetitions: 1 }],
      both.map(({ model, attack, steps }) => ({ model, attack, steps })),
      'T',
    );
    const tables = fairTables(joined, both);
    const matched =
      tables.find((t) => t.id === 'pareto-made-from-chat-at-60-of-the-tasks-20') ??
      tables.find((t) => t.title.includes('at 60 %'));
    expect(column(matched!, 'model')).toEqual(['chat+simpo@60', 'chat+sdd@60', 'chat+booster@60']);
    const place = tables.find((t) => t.id === 'matched')!;
    expect(place.rows).toHaveLength(3);
    expect(column(place, 'place')).toEqual([0.5, 0.5, 0.5]);
  });
});

test('the cost of a defence is the mean over its runs, of every run behind the model', () => {
  const cells: Cell[] = [
    { ...cell('chat', 'none', 0, 0), made: [] },
    // two looks of one run count once
    ...['none', 'mft'].map((attack) => ({
      ...cell('chat+booster', attack, 0, 0, 1),
      made: [made('chat+booster', 'booster', 300, { steps: 100, lambda: 0.25 })],
    })),
    { ...cell('chat+booster', 'none', 0, 0, 2), made: [made('chat+booster', 'booster', 330)] },
    {
      ...cell('chat+sdd-reject', 'none', 0, 0),
      made: [made('chat+sdd', 'sdd', 100), made('chat+sdd-reject', 'sdd-reject', 50)],
    },
  ];
  const table = costTable(cells);
  expect(table.rows).toHaveLength(2);
  expect(column(table, 'model')).toEqual(['chat+booster', 'chat+sdd-reject']);
  expect(column(table, 'runs')).toEqual(['2', '1']);
  expect(column(table, 'gradients')).toEqual([315, 150]);
  expect(column(table, 'each')).toEqual([3.15, 0.75]);
  expect(column(table, 'tokens')).toEqual([315_000, 150_000]);
  expect(column(table, 'peak')).toEqual([3, 3]);
  expect(column(table, 'settings')[0]).toBe('steps=100 lambda=0.25');
  expect(fairText([table])).toMatch(/Cost of the defences\n\| model +\| runs/);
});

test('attack sizes stand beside each other at equal steps, and at equal epochs', () => {
  const sizes: [string, number[]][] = [
    ['mft-n10', [2, 5, 10, 20, 50, 100]],
    ['mft', [20, 50, 100]],
  ];
  const cells = sizes.flatMap(([attack, at]) => at.map((steps) => look('chat', attack, steps, 0.5, 0.5)));
  const found = rows(
    [{ world, cells, repetitions: 1 }],
    cells.map(({ model, attack, steps }) => ({ model, attack, steps })),
    'T',
  );
  const [steps, epochs] = sizeTables(found, cells);
  expect(steps!.rows.map((r) => r.slice(1, 5))).toEqual([
    [10, 20, 32, 10],
    [100, 20, 3.2, 100],
    [10, 50, 80, 10],
    [100, 50, 8, 100],
    [10, 100, 160, 10],
    [100, 100, 16, 100],
  ]);
  expect(epochs!.rows.map((r) => r.slice(1, 5))).toEqual([
    [10, 2, 3.2, 10],
    [100, 20, 3.2, 100],
    [10, 5, 8, 10],
    [100, 50, 8, 100],
    [10, 10, 16, 10],
    [100, 100, 16, 100],
  ]);
  // with MFT alone there is nothing to lay beside each other
  expect(
    sizeTables(
      found.filter((r) => r.attack === 'mft'),
      cells,
    ),
  ).toEqual([]);
});
