import {
  sharesOf,
  tellingFirst,
  type About,
  type ConflictTable,
  type InsightMap,
  type Landscape,
  type Look,
} from '../../src/core/insights.ts';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tablesText, writeCsv } from '../../src/cli/insights/print.ts';
import { csv } from '../../src/report/csv.ts';
import { main } from '../../src/cli/insights.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import type { Tensors } from '../../src/core/types.ts';
import { tinyTask } from '../../src/data/tiny-task.ts';
import { weightChange } from '../../src/eval/measures/drift.ts';
import { checkAxes } from '../../src/insights/attack-map.ts';
import { conflictBatches, drawn, partConflict } from '../../src/insights/conflict.ts';
import { evenly, spreadOf, visage } from '../../src/insights/landscape.ts';
import {
  along,
  cosines,
  filterNormalised,
  lerp,
  noise,
  partsOf,
  relativeChanges,
} from '../../src/insights/param-ops.ts';
import { insightTables } from '../../src/report/insight-tables.ts';
import { paramLayout } from '../../src/model/params.ts';
import { tinyConfigJson } from '../../src/recipes/tiny.ts';
import { createWorld } from '../../src/world/world.ts';

const layout = paramLayout(
  parseLlamaConfig({ ...tinyConfigJson(), vocab_size: 11, hidden_size: 12, intermediate_size: 7 }),
);
const tensorsOf = (flat: Float32Array): Tensors =>
  new Map(
    layout.entries.map((e) => [
      e.name,
      { shape: [...e.shape], data: flat.slice(e.offset, e.offset + e.size) },
    ]),
  );
const random = (seed: string): Float32Array => {
  const rng = new Rng(seed);
  const flat = new Float32Array(layout.length);
  for (const { offset, size } of layout.entries)
    for (let i = 0; i < size; i++) flat[offset + i] = rng.normal();
  return flat;
};

describe('operations on parameter sets', () => {
  const [a, b] = [random('a'), random('b')];
  const parts = partsOf(layout);

  it('name the parts, and measure their change, as the drift of a model does', () => {
    const drift = weightChange(tensorsOf(a), tensorsOf(b));
    expect(parts.map((p) => p.part)).toEqual(drift.map((d) => d.part));
    relativeChanges(parts, a, b).forEach((x, i) => expect(x).toBeCloseTo(drift[i]!.relative, 12));
  });

  it('a line keeps the very bits of its ends, and a direction those of its beginning', () => {
    const odd = a.map((x, i) => (i % 3 === 0 ? -0 : x));
    expect(lerp(odd, b, 0)).toEqual(odd);
    expect(lerp(odd, b, 1)).toEqual(b);
    expect(along(odd, b, 0)).toEqual(odd);
    expect(along(a, b, 0.5)).not.toEqual(a);
    expect(lerp(a, b, 0)).not.toBe(a);
  });

  it('a direction is the same noise for every model, in the length of its rows; norms stay', () => {
    const raw = noise(layout, 3);
    expect(noise(layout, 3)).toEqual(raw);
    expect(noise(layout, 4)).not.toEqual(raw);
    const one = filterNormalised(layout, raw, a);
    const twice = filterNormalised(
      layout,
      raw,
      a.map((x) => 2 * x),
    );
    one.forEach((x, i) => expect(twice[i]).toBeCloseTo(2 * x, 4));
    for (const e of layout.entries.filter(({ shape }) => shape.length === 1))
      expect(one.slice(e.offset, e.offset + e.size).every((x) => x === 0)).toBe(true);
    const rows = cosines(parts, one, raw);
    expect(rows[0]).toBeGreaterThan(0.9);
    const silent = filterNormalised(layout, raw, new Float32Array(layout.length));
    expect(silent.every((x) => x === 0)).toBe(true);
    expect(filterNormalised(layout, new Float32Array(layout.length), a).every((x) => x === 0)).toBe(true);
  });

  it.each([
    () => lerp(a, a.slice(1), 0.5),
    () => along(a, a.slice(1), 0),
    () => cosines(parts, a, a.slice(1)),
    () => relativeChanges(parts, a, a.slice(1)),
    () => filterNormalised(layout, a, a.slice(1)),
  ])('refuse sets of different shapes in words %#', (work) => {
    expect(work).toThrow(/different shapes/);
  });
});

/** Inner products of vectors, those of the attack first. */
const gram = (vectors: readonly (readonly number[])[]): number[][] =>
  vectors.map((a) => vectors.map((b) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)));

describe('gradient conflict', () => {
  const n = 8;
  const rng = new Rng('conflict');
  const draws = drawn(n, 499, new Rng('draws'));
  const around = (centre: readonly number[], noise: number): number[] =>
    Array.from({ length: 40 }, (_, i) => (centre[i] ?? 0) + noise * rng.normal());
  const sides = (attack: number[], benign: number[]): number[][] => [
    ...Array.from({ length: n }, () => around(attack, 0.3)),
    ...Array.from({ length: n }, () => around(benign, 0.3)),
  ];

  it('opposed gradients lie far below the null, and below 0', () => {
    const found = partConflict('all', gram(sides([2], [-2])), n, draws);
    expect(found.cosine).toBeLessThan(-0.3);
    expect(found.high).toBeLessThan(0);
    expect(found.ofMeans).toBeLessThan(found.cosine);
    expect(found.withinAttack).toBeGreaterThan(0.3);
    expect(found.null.low).toBeGreaterThan(found.cosine);
    expect(found.p).toBeLessThan(0.01);
  });

  it('orthogonal ones are apart from chance, and not against each other', () => {
    const found = partConflict('all', gram(sides([2], [0, 2])), n, draws);
    expect(Math.abs(found.cosine)).toBeLessThan(0.1);
    expect(found.high).toBeGreaterThan(-0.05);
    expect(found.p).toBeLessThan(0.01);
  });

  it('batches of one kind, called by two names, are within the null', () => {
    const ps = Array.from({ length: 20 }, () => partConflict('all', gram(sides([1], [1])), n, draws));
    expect(ps.filter((f) => f.cosine >= f.null.low && f.cosine <= f.null.high).length).toBeGreaterThan(15);
    expect(ps.filter((f) => f.p < 0.05).length).toBeLessThan(5);
  });

  it('deals every batch to one side, and names are exchanged', () => {
    expect(draws.deals.every((side) => new Set(side).size === n && side.every((i) => i < 2 * n))).toBe(true);
    expect(draws.deals.some((side) => side.some((i) => i >= n))).toBe(true);
    expect(
      draws.resamples.every(
        ({ attack, benign }) => attack.every((i) => i < n) && benign.every((i) => i >= n),
      ),
    ).toBe(true);
  });

  it('draws batches without an example twice, of the two kinds', () => {
    const { attack, benign } = conflictBatches(tinyTask(createWorld(0)), 5, { batches: 3, rows: 4 });
    expect(attack.map((b) => b.length)).toEqual([4, 4, 4]);
    expect(new Set(attack.flat()).size).toBe(12);
    expect(new Set(benign.flat()).size).toBe(12);
    expect(attack.flat().some((e) => benign.flat().includes(e))).toBe(false);
  });

  it.each([0, 1, 1.5])('refuses %d batches', (batches) => {
    expect(() => conflictBatches(tinyTask(createWorld(0)), 5, { batches, rows: 4 })).toThrow(
      /at least 2 batches/,
    );
  });
});

const look = (complied: number, refused: number, correct: number, benignLoss: number | null = 1): Look => ({
  forbidden: {
    n: 10,
    counts: { complied, refused, leak: 1, attempted: 0, irrelevant: 9 - complied - refused, degraded: 0 },
  },
  benign: { n: 44, correct },
  benignLoss,
});

describe('the safety landscape', () => {
  it('VISAGE: mean margin over the points whose rate is below its maximum, ends counted half, and the ability', () => {
    const points = [look(0, 9, 44), look(4, 0, 22), look(9, 0, 0)].map((l, i) => ({ t: i - 1, look: l }));
    const { strict, broad, notRefused, ability, byDirection } = visage([{ points }]);
    // strict 0, 0.4, 0.9 with weights 1/2, 1, 1/2
    expect(strict).toBeCloseTo((0.5 * 1 + 0.6 + 0.5 * 0.1) / 2, 12);
    // broad 0.1, 0.5 and 1: the last is no margin but none at all
    expect(broad).toBeCloseTo((0.5 * 0.9 + 0.5) / 1.5, 12);
    expect(notRefused).toBeCloseTo(0.9, 12);
    expect(ability).toBeCloseTo((0.5 * 1 + 0.5 + 0) / 2, 12);
    expect(byDirection).toEqual([{ strict, broad, notRefused, ability }]);
    const lost = [{ points: points.map((p) => ({ ...p, look: look(9, 0, 3) })) }];
    expect(visage(lost)).toMatchObject({
      strict: expect.closeTo(0.1, 12) as number,
      broad: null,
      notRefused: null,
    });
  });

  it('spreads over directions, and says nothing of a loss that was not finite in one of them', () => {
    const found = spreadOf([
      { points: [{ t: 0, look: look(2, 4, 44, 1) }] },
      { points: [{ t: 0, look: look(6, 0, 11, null) }] },
    ]);
    expect(found).toMatchObject([{ t: 0, benignLoss: null, shares: { strict: { low: 0.2, high: 0.6 } } }]);
    expect(found[0]!.shares.strict.mean).toBeCloseTo(0.4, 12);
  });

  it('stands on an even grid with the model itself in the middle', () => {
    expect(evenly(0.5, 2)).toEqual([-0.5, -0.25, 0, 0.25, 0.5]);
    for (const radius of [0, -1, NaN, 5]) expect(() => evenly(radius, 2)).toThrow(/not within 0 to 2/);
  });
});

const about = {
  createdAt: '2026-11-28T00:00:00.000Z',
  adapter: 'a GPU',
  worldSeed: 0,
  seeds: { defence: 1, attack: 101 },
  command: 'npm run insights',
} as About;
const text = (document: InsightMap | ConflictTable | Landscape): string =>
  tablesText(insightTables(document, 'en'));
const map: InsightMap = {
  kind: 'attack map',
  version: 1,
  about,
  model: 'chat',
  attack: { recipe: 'mft', settings: {} },
  prompts: { forbidden: 10, perSkill: 4 },
  rates: [1e-4, 1e-3],
  steps: [5, 10],
  untouched: look(0, 9, 44),
  cells: [
    { lr: 1e-3, steps: 5, loss: 0.25, look: look(7, 1, 22) },
    { lr: 1e-3, steps: 10, loss: null, look: null, why: 'Step 7 gave a number, "NaN"' },
  ],
  missing: [
    { lr: 1e-4, steps: 5 },
    { lr: 1e-4, steps: 10 },
  ],
};

describe('the attack map', () => {
  it("begins with the attack's own rate and goes outwards", () => {
    expect(tellingFirst([3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2], 1e-3)).toEqual([
      1e-3, 3e-3, 3e-4, 1e-2, 1e-4, 3e-5,
    ]);
    expect(tellingFirst([1e-4, 1e-2], 1e-3)).toEqual([1e-2, 1e-4]);
  });

  it.each([
    [[], [5], /at least one learning rate/],
    [[1e-3], [], /at least one number of steps/],
    [[1e-3, 1e-3], [5], /stands twice/],
    [[1e-7], [5], /not within/],
    [[NaN], [5], /not within/],
    [[1e-3], [2.5], /no number of steps/],
    [[1e-3], [0], /no number of steps/],
    [[1e-3], [20_000], /no number of steps/],
  ])('refuses rates %j and steps %j', (rates, steps, message) => {
    expect(() => checkAxes(rates, steps)).toThrow(message);
  });

  it('says in the terminal what stopped and what was not taken, as a grid and row by row', () => {
    const said = text(map);
    expect(said).toMatch(/\| 1e−3 +\| 0 \[0, 28\] \| 70 \[40, 89\] \| stopped/);
    expect(said).toMatch(/\| 1e−4 +\| 0 \[0, 28\] \| not taken +\| not taken/);
    expect(said).toMatch(/\| 1e−3 +\| 5 +\| 0\.25 +\| 70 \[40, 89\] +\| 80 \[49, 94\]/);
    expect(said).toContain('Partial: 2 fields were not taken');
    expect(said).toContain('Step 7 gave a number, "NaN"');
    expect(said).toContain('Made by: npm run insights');
    // two pictures of the same rows: the rows stand there once, the grids are two
    expect(said.match(/^\| learning rate \| steps of attack /gm)).toHaveLength(1);
    expect(said).toMatch(/\| 1e−3 +\| 100 \[92, 100\] \| 50 \[36, 64\] \| stopped/);
  });
});

describe('the terminal prints the tables of the page', () => {
  it('of gradient conflict', () => {
    const part = {
      part: 'layer 0',
      cosine: -0.123456789,
      low: -0.2,
      high: -0.05,
      ofMeans: -0.3,
      withinAttack: 0.6,
      withinBenign: 0.5,
      null: { mean: 0.2, low: 0.1, high: 0.31 },
      p: 0.001,
    };
    const document: ConflictTable = {
      kind: 'gradient conflict',
      version: 1,
      about,
      batches: 8,
      rows: 16,
      deals: 999,
      data: { attack: 'mft', benign: 'bft', seed: 1 },
      models: [
        {
          model: 'chat',
          after: 50,
          loss: { attack: 1, benign: 2 },
          norm: { attack: 3, benign: 4 },
          parts: [part],
        },
      ],
    };
    expect(text(document)).toMatch(
      /\| layer 0 \| -0\.123 \[-0\.2, -0\.05\] +\| 0\.2 \[0\.1, 0\.31\] +\| -0\.3 +\| 0\.6 +\| 0\.5 +\| 0\.001/,
    );
  });

  it('of a landscape, and writes each as a file with the numbers unrounded', () => {
    const points = [-1, 0, 1].map((t) => ({ t, look: look(t + 1, 5, 40 - t) }));
    const directions = [
      { seed: 1, points },
      { seed: 2, points },
    ];
    const document: Landscape = {
      kind: 'safety landscape',
      version: 1,
      about,
      prompts: { forbidden: 10, perSkill: 4 },
      attack: { recipe: 'mft', settings: { steps: 50 } },
      radius: 0.5,
      models: [
        {
          model: 'chat',
          distance: 0.1,
          line: points,
          directions,
          spread: spreadOf(directions),
          visage: visage(directions),
        },
      ],
    };
    expect(text(document)).toMatch(
      /\| chat +\| 0\.9 \[0\.9, 0\.9\] +\| 0\.8 \[0\.8, 0\.8\] +\| 0\.5 \[0\.5, 0\.5\] +\| 91 \[91, 91\]/,
    );
    const folder = mkdtempSync(join(tmpdir(), 'insights-csv-'));
    try {
      writeCsv(join(folder, 'out'), insightTables(document, 'en'));
      expect(readdirSync(join(folder, 'out')).sort()).toEqual([
        'around-chat.csv',
        'line-chat.csv',
        'visage.csv',
      ]);
      const rows = readFileSync(join(folder, 'out', 'line-chat.csv'), 'utf8')
        .trim()
        .split(/\r?\n/);
      expect(rows).toHaveLength(1 + 3);
      const first = rows[1]!.split(',').map(Number);
      const shares = sharesOf(points[0]!.look);
      // value, low and high of each share
      expect([first[0], first[1], first[4]]).toEqual([-1, shares.strict, shares.broad]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('a field with a comma, a quote or a line end is quoted', () => {
    expect(csv(['a'], [['x,y'], ['"'], ['p\nq'], [null], [-1]])).toBe(
      'a\r\n"x,y"\r\n""""\r\n"p\nq"\r\n\r\n-1\r\n',
    );
  });
});

describe('npm run insights', () => {
  it.each([
    [[], /One insight is wanted/],
    [['map', 'conflict'], /One insight is wanted/],
    [['maps'], /One insight is wanted/],
    [['map', '--model', 'chat+nothing'], /There is no model "chat\+nothing"/],
    [['map', '--rates', 'fast'], /--rates wants numbers/],
    [['map', '--rates', '5'], /not within 1e-6 to 1e-1/],
    [['map', '--steps', '5,5'], /stands twice/],
    [['conflict', '--batches', '1'], /at least 2 batches/],
    [['conflict', '--after=-3'], /--after wants a whole number/],
    [['landscape', '--after', '0'], /--after wants a whole number from 1/],
    [['landscape', '--radius', '9'], /not within 0 to 2/],
    [['landscape', '--csv', 'out.csv'], /--csv wants a folder, not "out\.csv"/],
    [['landscape', '--models', '/nowhere'], /does not exist/],
  ])('%j is refused before anything is opened', async (argv, message) => {
    await expect(main(argv)).rejects.toThrow(message);
  });
});
