import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Rng } from '../../src/core/rng.ts';
import {
  bootstrap,
  cohenKappa,
  hierarchicalBootstrap,
  macroF1,
  nestedMean,
  resampledMean,
  wilson,
  type Draws,
  type Interval,
  type Nested,
} from '../../src/core/stats.ts';
import { readJson } from '../golden/golden-dir.ts';

interface Stats {
  wilson95: { cases: { k: number; n: number; interval: Interval }[] };
  bootstrap: { values: number[]; indices: number[][]; means: number[]; interval95: Interval; mean: number };
  cohen_kappa: { cases: { table: number[][]; kappa: number | null }[] };
  macro_f1: {
    cases: { truth: string[]; pred: string[]; labels: string[]; f1: number[]; macro_f1: number }[];
  };
  hierarchical_bootstrap: {
    table_a: Nested;
    table_b: Nested;
    indices: Draw[];
    means_a: number[];
    means_b: number[];
    point_a: number;
    paired_differences: number[];
    interval95_a: Interval;
    interval95_paired: Interval;
  };
}

/** One resample: at the last level drawn indices, above it [drawn index, resample of that child]. */
type Draw = readonly number[] | readonly (readonly [number, Draw])[];

/** Hands out the indices of stored resamples, in the order in which they are asked for; each must fit what it is asked for. */
function drawing(indices: readonly number[]): Draws {
  let at = 0;
  return {
    int: (n) => {
      const i = indices[at++];
      if (i === undefined || i >= n) throw new Error(`draw ${at} of ${n}: ${i}`);
      return i;
    },
  };
}

const inOrder = (draw: Draw): number[] =>
  draw.flatMap((entry) => (typeof entry === 'number' ? [entry] : [entry[0], ...inOrder(entry[1])]));

const close = (actual: readonly number[], expected: readonly number[]): void => {
  expect(actual.length).toBe(expected.length);
  actual.forEach((x, i) => expect(Math.abs(x - expected[i]!)).toBeLessThan(1e-12));
};

describe('statistics', () => {
  it('equal an independent implementation (golden case P)', () => {
    const s = readJson(join(import.meta.dirname, 'fixtures'), 'stats.json') as Stats;
    for (const c of s.wilson95.cases) close(wilson(c.k, c.n), c.interval);

    const { values, indices } = s.bootstrap;
    const plain = bootstrap(values, drawing(indices.flat()), indices.length);
    close([plain.mean, ...plain.interval], [s.bootstrap.mean, ...s.bootstrap.interval95]);

    for (const c of s.cohen_kappa.cases) {
      const kappa = cohenKappa(c.table);
      if (c.kappa === null) expect(kappa).toBeNull();
      else close([kappa!], [c.kappa]);
    }
    for (const c of s.macro_f1.cases) {
      const { f1, macro } = macroF1(c.truth, c.pred, c.labels);
      close([...f1, macro], [...c.f1, c.macro_f1]);
    }

    const h = s.hierarchical_bootstrap;
    const means = (table: Nested, other?: Nested): number[] =>
      h.indices.map((d) => resampledMean(table, other, drawing(inOrder(d))));
    close([nestedMean(h.table_a), ...means(h.table_a)], [h.point_a, ...h.means_a]);
    close(means(h.table_b), h.means_b);
    close(means(h.table_a, h.table_b), h.paired_differences);
    const draws = (): Draws => drawing(h.indices.flatMap(inOrder));
    const o = { resamples: h.indices.length };
    close(hierarchicalBootstrap(h.table_a, draws(), o).interval, h.interval95_a);
    close(hierarchicalBootstrap(h.table_a, draws(), { ...o, b: h.table_b }).interval, h.interval95_paired);
  });

  it('bootstraps a mean: the interval holds it and narrows with more data', () => {
    const rng = new Rng('data');
    const xs = Array.from({ length: 400 }, () => rng.normal());
    const few = bootstrap(xs.slice(0, 25), new Rng(1));
    const many = bootstrap(xs, new Rng(1));
    for (const r of [few, many]) {
      expect(r.interval[0]).toBeLessThan(r.mean);
      expect(r.interval[1]).toBeGreaterThan(r.mean);
    }
    expect(many.interval[1] - many.interval[0]).toBeCloseTo(2 * 1.96 * (1 / 20), 1);
    expect(few.interval[1] - few.interval[0]).toBeGreaterThan(2 * (many.interval[1] - many.interval[0]));
    expect(() => bootstrap([], rng)).toThrow(/empty/);
  });

  it('bootstraps groups as groups: equal values inside a group do not count as many observations', () => {
    const groups: Nested = [
      new Array<number>(50).fill(0),
      new Array<number>(50).fill(1),
      new Array<number>(50).fill(1),
    ];
    const r = hierarchicalBootstrap(groups, new Rng(3), { resamples: 500 });
    expect(r.mean).toBeCloseTo(2 / 3, 12);
    expect(r.interval[1] - r.interval[0]).toBeGreaterThan(0.6);
    const paired = hierarchicalBootstrap(groups, new Rng(3), { b: groups, resamples: 50 });
    expect([paired.mean, ...paired.interval]).toEqual([0, 0, 0]);
  });

  it('says nothing from nothing', () => {
    expect(wilson(0, 0)).toEqual([0, 1]);
    expect(() => wilson(3, 2)).toThrow(/3 out of 2/);
    expect(
      cohenKappa([
        [0, 0],
        [0, 0],
      ]),
    ).toBeNull();
    expect(() => macroF1(['a'], [], ['a'])).toThrow(/0 predictions for 1/);
  });
});
