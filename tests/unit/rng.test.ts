import { describe, expect, it } from 'vitest';
import { Rng } from '../../src/core/rng.ts';

const draws = (rng: Rng, n: number): number[] => Array.from({ length: n }, () => rng.next());

describe('Rng', () => {
  it('gives the same numbers for the same seed on every machine', () => {
    // The first outputs of xoshiro128** from this state, computed apart with exact integers.
    const known = Rng.from([1, 2, 3, 4]);
    expect(Array.from({ length: 5 }, () => known.int(2 ** 32))).toEqual([
      11520, 0, 5927040, 70819200, 2031721883,
    ]);
    const fixed = new Rng('fixed');
    expect([fixed.int(1_000_000), fixed.next(), fixed.normal()]).toEqual([
      486543, 0.6675998581421202, 1.9576707875658612,
    ]);
    expect(draws(new Rng(7), 5)).toEqual(draws(new Rng(7), 5));
    expect(draws(new Rng(7), 5)).not.toEqual(draws(new Rng(8), 5));
    expect(draws(new Rng(7), 5)).not.toEqual(draws(new Rng('7'), 5));
  });

  it('is uniform in next and int, over many nearby seeds as well as in one stream', () => {
    const streams = {
      one: draws(new Rng(1), 20_000),
      many: Array.from({ length: 20_000 }, (_, i) => new Rng(i).next()),
    };
    for (const xs of Object.values(streams)) {
      const bins = new Array<number>(20).fill(0);
      for (const x of xs) bins[Math.floor(x * 20)]!++;
      const chi2 = bins.reduce((sum, b) => sum + (b - 1000) ** 2 / 1000, 0);
      expect(chi2).toBeLessThan(45); // 19 degrees of freedom: p < 0.001 above 43.8
    }
    const rng = new Rng('int');
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 14_000; i++) counts[rng.int(7)]!++;
    for (const c of counts) expect(Math.abs(c - 2000)).toBeLessThan(200);
  });

  it('draws normals of mean 0, variance 1 and kurtosis 3', () => {
    const rng = new Rng('normal');
    const xs = Array.from({ length: 50_000 }, () => rng.normal());
    const moment = (k: number): number => xs.reduce((a, x) => a + x ** k, 0) / xs.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.02);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.03);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.2);
  });

  it('continues from a stored state', () => {
    const rng = new Rng('state');
    draws(rng, 100);
    const copy = Rng.from(JSON.parse(JSON.stringify(rng.state())) as number[]);
    expect(draws(copy, 50)).toEqual(draws(rng, 50));
    expect(() => Rng.from([1, 2, 3])).toThrow(/four 32-bit/);
    expect(() => Rng.from([0, 0, 0, 0])).toThrow(/four 32-bit/);
  });

  it('forks streams that depend on the label only and leave the parent alone', () => {
    const parent = new Rng('parent');
    const before = parent.state();
    const [a, b, again] = [parent.fork('a'), parent.fork('b'), parent.fork('a')];
    expect(parent.state()).toEqual(before);
    const [xs, ys] = [draws(a, 5000), draws(b, 5000)];
    expect(draws(again, 5000)).toEqual(xs);
    const correlation = xs.reduce((s, x, i) => s + (x - 0.5) * (ys[i]! - 0.5), 0) / 5000 / (1 / 12);
    expect(Math.abs(correlation)).toBeLessThan(0.06);
  });

  it('shuffles and samples without repetition, every position alike', () => {
    const xs = [0, 1, 2, 3, 4];
    const rng = new Rng('shuffle');
    const first = new Array<number>(5).fill(0);
    for (let i = 0; i < 5000; i++) {
      const s = rng.shuffle(xs);
      expect([...s].sort()).toEqual(xs);
      first[s[0]!]!++;
    }
    for (const c of first) expect(Math.abs(c - 1000)).toBeLessThan(130);
    expect(new Set(rng.sample(xs, 3)).size).toBe(3);
    expect(xs).toEqual([0, 1, 2, 3, 4]);
    expect(() => rng.sample(xs, 6)).toThrow(/6 different elements out of 5/);
    expect(() => rng.pick([])).toThrow(/empty/);
    expect(() => rng.int(0)).toThrow();
    expect(() => new Rng(NaN)).toThrow(/finite/);
  });
});
