import { describe, expect, test } from 'vitest';
import type { Cell } from '../../src/cli/experiment/cells.ts';
import { ATTACKS, GRID, PRESETS } from '../../src/cli/experiment/matrix.ts';
import { intervalNote, rows } from '../../src/cli/summary/figures.ts';
import { benignFigure, harmFigure, shareFigure } from '../../src/eval/intervals.ts';
import { budgets, budgetTable, gridTables } from '../../src/cli/summary/budget.ts';
import { differences, differenceTable } from '../../src/cli/summary/differences.ts';
import { matrixTables } from '../../src/cli/summary/tables.ts';
import type { Planned } from '../../src/cli/experiment/run.ts';
import { gridAttacks, stationsOf } from '../../src/cli/experiment/stations.ts';
import { meanShareError, newcombe, wilson } from '../../src/core/stats.ts';
import { judge } from '../../src/eval/judges/exact.ts';
import { forbiddenScore } from '../../src/eval/metrics.ts';
import { complyingText } from '../../src/world/sentences.ts';
import { SKILLS } from '../../src/world/words.ts';
import { createWorld, type World } from '../../src/world/world.ts';
import { cell, items, world } from './support/cells.ts';

/** The same look where every answer that was given is another fact's. */
function attempted(c: Cell): Cell {
  const answers = items.map(({ prompt, fact }, i) => {
    const answer = complyingText(items[(i + 2) % items.length]!.fact);
    return {
      prompt,
      answer,
      fact: fact.id,
      logprobs: [],
      ended: true,
      verdict: judge(world, fact, answer, true),
    };
  });
  return { ...c, scores: { ...c.scores, forbidden: { T: forbiddenScore(answers) } } };
}

const grid: Planned[] = GRID.models.flatMap((model) =>
  gridAttacks().flatMap((a) => a.at.map((steps) => ({ model, attack: a.id, steps }))),
);
/** Vanilla breaks after 20 steps at every rate, the defence holds. */
const whole = grid.map((p) => cell(p.model, p.attack, p.steps, p.model === 'chat' && p.steps >= 20 ? 1 : 0));

describe('budget to break', () => {
  test('broken, held and their ratio', () => {
    const found = budgets(rows([{ world, cells: whole, repetitions: 1 }], grid, 'T'));
    expect(found.map((b) => [b.outcome, b.steps])).toEqual([
      ...GRID.lrs.map(() => ['broken', 20]),
      ...GRID.lrs.map(() => ['held', null]),
    ]);
    expect(budgetTable(found)).toContain('chat 20, chat+sdd > 200 steps; ratio > 10.');
  });

  test('a run that failed is no defence that held: named, and out of ratio and worst case', () => {
    const rest = whole.filter((c) => c.model !== 'chat+sdd' || c.attack !== 'mft-lr0.003' || c.steps <= 20);
    const found = budgets(rows([{ world, cells: rest, repetitions: 1 }], grid, 'T'));
    expect(found.at(-1)).toMatchObject({ model: 'chat+sdd', lr: 3e-3, outcome: 'failed', steps: null });
    const text = budgetTable(found);
    expect(text).toContain('Without the rates whose runs failed: chat+sdd at 0.003.');
    const ratio = text.split('\n').find((line) => /^\| 0\.003 +\| 20/.test(line))!;
    expect(ratio.match(/failed/g)).toHaveLength(2);
    expect(ratio).not.toContain('>');
  });

  test('of three repetitions one missing is enough to fail, unless the rate broke before', () => {
    const three = [1, 2, 3].flatMap((seed) =>
      whole.map((c) => ({ ...c, seeds: { defence: seed, attack: seed } })),
    );
    const lost = three.filter((c) => c.seeds.defence !== 3 || c.attack !== 'mft-lr0.001' || c.steps < 50);
    const some = grid.filter((p) => p.attack === 'mft-lr0.001' && (p.steps === 20 || p.steps === 50));
    const found = budgets(rows([{ world, cells: lost, repetitions: 3 }], some, 'T')).filter(
      (b) => b.lr === 1e-3,
    );
    expect(found.map((b) => b.outcome)).toEqual(['broken', 'failed']);
  });

  test('attempts break by the broad measure alone', () => {
    const some = whole.map((c) => (c.model === 'chat+sdd' && c.steps >= 100 ? attempted(c) : c));
    const found = rows([{ world, cells: some, repetitions: 1 }], grid, 'T');
    expect(
      budgets(found)
        .filter((b) => b.model === 'chat+sdd')
        .map((b) => b.steps),
    ).toEqual(GRID.lrs.map(() => null));
    expect(
      budgets(found, 'broad')
        .filter((b) => b.model === 'chat+sdd')
        .map((b) => b.steps),
    ).toEqual(GRID.lrs.map(() => 100));
    expect(gridTables(found)).toContain('chat 20, chat+sdd 100 steps; ratio 5.0.');
  });

  test('nothing at all is failed throughout', () => {
    const found = budgets(rows([{ world, cells: [], repetitions: 1 }], grid, 'T'));
    expect(new Set(found.map((b) => b.outcome))).toEqual(new Set(['failed']));
    expect(budgetTable(found)).toContain('ratio failed');
  });
});

describe('matrix', () => {
  test('20 steps never stand without 50 and 100', () => {
    const planned = [20, 50, 100].map((steps) => ({ model: 'chat', attack: 'mft', steps }));
    const all = rows([{ world, cells: [cell('chat', 'mft', 20, 1)], repetitions: 1 }], planned, 'T');
    expect(all.map((r) => [r.steps, r.runs, r.expected])).toEqual([
      [20, 1, 1],
      [50, 0, 1],
      [100, 0, 1],
    ]);
    const lines = matrixTables(all).split('\n');
    expect(lines.filter((l) => /\| (50|100) +\| 0\/1 .*failed/.test(l))).toHaveLength(8);
    expect(lines.some((l) => /\| 20 +\| 1\/1 +\| 56 +\| 112 /.test(l))).toBe(true);
  });

  test('an untouched embedded model is one run, however often repeated', () => {
    const planned = [{ model: 'chat', attack: 'none', steps: 0 }];
    const cells = [1, 2, 3].map((seed) => cell('chat', 'none', 0, 0, seed));
    expect(rows([{ world, cells: cells, repetitions: 3 }], planned, 'T')[0]).toMatchObject({
      runs: 1,
      expected: 1,
    });
  });

  test('stations that a shortened preset lets fall together are one', () => {
    const { divide } = PRESETS.find((p) => p.id === 'smoke')!;
    expect(stationsOf(gridAttacks()[0]!, divide)).toEqual([1, 2, 5, 10, 20]);
    for (const a of ATTACKS) expect(stationsOf(a, 1)).toEqual([...a.at]);
  });
});

describe('worlds joined', () => {
  const other = createWorld(1);
  const look: Planned[] = [
    { model: 'chat', attack: 'none', steps: 0 },
    { model: 'chat', attack: 'mft', steps: 20 },
    { model: 'chat+sdd', attack: 'mft', steps: 20 },
  ];
  const of = (inWorld: World, share: number, seeds: readonly number[]) => ({
    world: inWorld,
    repetitions: seeds.map((seed) =>
      look.map((p) => cell(p.model, p.attack, p.steps, p.model === 'chat' ? 1 : share, seed, inWorld)),
    ),
  });
  const sets = [of(world, 0.25, [1, 2]), of(other, 0.75, [1])];
  const joined = sets.map(({ world: w, repetitions }) => ({
    world: w,
    cells: repetitions.flat(),
    repetitions: repetitions.length,
  }));

  test('rows: untouched models once a world, the others once a run, worlds of equal weight', () => {
    const all = rows(joined, look, 'T');
    expect(all.map((r) => [r.runs, r.expected])).toEqual([
      [2, 2],
      [3, 3],
      [3, 3],
    ]);
    expect(all[2]!.figures!.strict.value).toBeCloseTo(0.5, 6);
    expect(all[2]!.figures!.verdicts.complied).toBeCloseTo(0.5, 6);
  });

  test('a defended model that nobody attacked is one run for each seed of its defence, whatever the attacks’ seeds', () => {
    const before: Planned[] = [{ model: 'chat+sdd', attack: 'none', steps: 0 }];
    const cells = [1, 2].map((attack) => {
      const one = cell('chat+sdd', 'none', 0, 0.25, 1);
      return { ...one, seeds: { defence: 1, attack } };
    });
    const [row] = rows([{ world, cells, repetitions: 2, defences: 1 }], before, 'T');
    expect([row!.runs, row!.expected]).toEqual([1, 1]);
  });

  test('differences: pairs of all worlds', () => {
    const [change] = differences(sets, look.slice(1), 'T');
    expect([change!.pairs, change!.expected]).toEqual([3, 3]);
    expect(change!.figures!.strict.value).toBeCloseTo(-0.5, 6);
  });

  test('a world without a single run of a look leaves the figures of the others', () => {
    const [row] = rows([joined[0]!, { ...joined[1]!, cells: [] }], look.slice(2), 'T');
    expect([row!.runs, row!.expected]).toEqual([2, 3]);
    expect(row!.figures!.strict.value).toBeCloseTo(0.25, 6);
  });
});

describe('intervals', () => {
  const facts = (hit: (i: number) => number) =>
    Array.from({ length: 56 }, (_, i) => ({ category: Math.floor(i / 4), fact: i, share: hit(i) }));

  test('one checkpoint: Wilson over the facts, not over the prompts', () => {
    expect(harmFigure([[facts((i) => (i < 14 ? 0.5 : 0))]])).toEqual({
      value: 0.125,
      interval: wilson(7, 56),
    });
  });

  test('three seeds that agree still have the spread of their facts', () => {
    const { value, interval } = harmFigure([[1, 2, 3].map(() => facts((i) => i % 2))]);
    expect(value).toBe(0.5);
    expect(interval[0]).toBeLessThan(0.47);
    expect(interval[1]).toBeGreaterThan(0.53);
  });

  test('benign: three seeds that agree still have the spread of their questions', () => {
    const run = { mean: 0.5, skills: SKILLS.map((skill) => ({ skill, correct: 20, n: 40 })) };
    const { value, interval } = benignFigure([[run, run, run]]);
    expect(value).toBe(0.5);
    expect(interval[0]).toBeGreaterThan(0.4);
    expect(interval[0]).toBeLessThan(0.49);
  });

  test('worlds that differ make the interval as wide as worlds drawn with replacement do', () => {
    // Facts of a world all agree, so that only the worlds vary: the mean of three draws of {0, .5, 1}.
    const worlds = [0, 0.5, 1].map((share) => [1, 2].map(() => facts(() => share)));
    const { value, interval } = harmFigure(worlds);
    expect(value).toBe(0.5);
    // P(mean = 0) = P(mean = 1) = 1/27 = 3.7 %: the 2.5 % quantiles are the ends.
    expect(interval).toEqual([0, 1]);
    // one world twice says more of itself than of others
    const one = harmFigure([worlds.flat()]);
    expect(one.interval[0]).toBeGreaterThan(0);
    expect(one.value).toBe(0.5);
  });

  test('each world counts the same, however many runs it has', () => {
    const run = (share: number) => facts(() => share);
    expect(harmFigure([[run(0), run(0), run(0), run(0)], [run(1)]]).value).toBe(0.5);
    const benign = (mean: number) => ({
      mean,
      skills: SKILLS.map((skill) => ({ skill, correct: 40 * mean, n: 40 })),
    });
    expect(benignFigure([[benign(0.2), benign(0.2)], [benign(1)]]).value).toBeCloseTo(0.6, 12);
    const shares = shareFigure([
      [
        { k: 0, n: 40 },
        { k: 0, n: 40 },
      ],
      [{ k: 40, n: 40 }],
    ]);
    expect(shares.value).toBe(0.5);
    // two worlds drawn with replacement are the same one half of the time
    expect(shares.interval[0]).toBeLessThan(0.05);
    expect(shares.interval[1]).toBeGreaterThan(0.95);
  });

  test('few worlds or runs are called an illustration', () => {
    expect(intervalNote(1, 3)).toContain('Illustration');
    expect(intervalNote(3, 4)).toContain('Illustration');
    expect(intervalNote(3, 5)).not.toContain('Illustration');
    expect(intervalNote(1, 1)).toContain('Wilson');
  });
});

test('where all facts agree the interval is not nothing', () => {
  const zero = (seed: number) => cell('chat+sdd', 'mft', 20, 0, seed);
  const look: Planned[] = [{ model: 'chat+sdd', attack: 'mft', steps: 20 }];
  for (const n of [1, 3]) {
    const [row] = rows([{ world, cells: [1, 2, 3].slice(0, n).map(zero), repetitions: n }], look, 'T');
    const { strict, score } = row!.figures!;
    expect(strict.value).toBe(0);
    expect(strict.interval).toEqual(wilson(0, 56));
    expect(score.value).toBe(1);
    expect(score.interval[1]).toBeCloseTo(1 + 4 * wilson(0, 56)[1], 6);
  }
  const both = [zero(1), cell('chat', 'mft', 20, 1, 1)];
  const [change] = differences([{ world, repetitions: [both] }], look, 'T');
  expect(change!.figures!.strict.value).toBe(-1);
  expect(change!.figures!.strict.interval[1]).toBeGreaterThan(-0.95);
});

test('Newcombe’s interval of a difference, on his own example', () => {
  // 56/70 and 48/80: 0.20 [0.0524, 0.3339]
  const [low, high] = newcombe({ k: 56, n: 70 }, { k: 48, n: 80 });
  expect(low).toBeCloseTo(0.0524, 4);
  expect(high).toBeCloseTo(0.3339, 4);
});

describe('defended minus undefended', () => {
  const looks: Planned[] = [20, 50].flatMap((steps) =>
    ['chat', 'chat+sdd'].map((model) => ({ model, attack: 'mft', steps })),
  );
  const repetition = (seed: number) =>
    looks.map((p) => cell(p.model, p.attack, p.steps, p.model === 'chat' ? 1 : 0.25, seed));

  test('is paired by repetition, has the error of both ability means, and names looks without a pair', () => {
    const lost = repetition(2).filter((c) => c.model !== 'chat' || c.steps !== 50);
    const found = differences([{ world, repetitions: [repetition(1), lost] }], looks, 'T');
    expect(found.map((d) => [d.model, d.than, d.steps, d.pairs, d.expected])).toEqual([
      ['chat+sdd', 'chat', 20, 2, 2],
      ['chat+sdd', 'chat', 50, 1, 2],
    ]);
    const { strict, benign } = found[1]!.figures!;
    expect(strict.value).toBeCloseTo(-0.75, 6);
    expect(strict.interval[0]).toBeLessThan(-0.75);
    expect(strict.interval[1]).toBeGreaterThan(-0.75);
    // the same ability on both sides, each known from 40 questions a skill
    expect(benign.value).toBe(0);
    const half = 1.96 * Math.SQRT2 * meanShareError(SKILLS.map(() => ({ correct: 20, n: 40 })));
    expect(benign.interval[1]).toBeCloseTo(half, 3);
    expect(benign.interval[0]).toBeCloseTo(-half, 3);
  });

  test('without any pair is said to have failed', () => {
    const found = differences([{ world, repetitions: [[]] }], looks, 'T');
    expect(found.map((d) => d.figures)).toEqual([null, null]);
    expect(differenceTable(found)).toContain('0 of 1');
  });
});
