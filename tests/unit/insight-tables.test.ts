/** Insights as tables, pictures and files: the recorded ones that ship, and maps and matrices of the user's own runs. */
import { readFileSync } from 'node:fs';
import Papa from 'papaparse';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { overview, type OverviewSource } from '../../src/app/overview.ts';
import { isMapped, mapSeries, ownMap } from '../../src/app/own-map.ts';
import { readRecorded } from '../../src/app/recorded-insights.ts';
import {
  MAP_RATES,
  MAP_STEPS,
  sharesOf,
  type ConflictTable,
  type InsightMap,
  type Landscape,
} from '../../src/core/insights.ts';
import { settle } from '../../src/recipes/recipe.ts';
import { RECIPES } from '../../src/recipes/index.ts';
import {
  conflictTables,
  insightTables,
  landscapeTables,
  mapTables,
} from '../../src/report/insight-tables.ts';
import type { ReportTable, ReportValue } from '../../src/report/document.ts';
import { picture } from '../../src/report/pictures.ts';
import { drawingSvg, tableCsv } from '../../src/report/table-file.ts';
import type { Evaluation, LabNode, RecipeInfo } from '../../src/worker/protocol.ts';

const recorded = <T>(name: string): T =>
  JSON.parse(readFileSync(`public/recorded/${name}.json`, 'utf8')) as T;
const map = recorded<InsightMap>('attack-map');
const conflict = recorded<ConflictTable>('conflict');
const landscape = recorded<Landscape>('landscape');
const all = (language: 'en' | 'ko'): ReportTable[] => [
  ...mapTables(map, language),
  ...conflictTables(conflict, language),
  ...landscapeTables(landscape, language),
];

const column = (table: ReportTable, id: string): ReportValue[] => {
  const at = table.columns.findIndex((c) => c.id === id);
  return table.rows.map((row) => row[at]!);
};
const value = (v: ReportValue): number => (typeof v === 'number' ? v : (v as { value: number }).value);

describe('tables hold the numbers of the documents', () => {
  test('attack map', () => {
    const [strict, benign] = mapTables(map, 'en');
    expect(strict!.rows).toHaveLength(map.rates.length * (map.steps.length + 1));
    for (const { lr, steps, look } of map.cells) {
      const row = strict!.rows.find(
        (r) => r[0] === lr.toExponential().replace('e-', 'e−') && r[1] === steps,
      )!;
      const at = strict!.columns.findIndex((c) => c.id === 'strict');
      if (look) expect(value(row[at]!)).toBe(sharesOf(look).strict);
    }
    expect(benign!.picture).toMatchObject({ kind: 'heat', value: 'benign' });
  });

  test('a map with gaps says which and draws no figure there', () => {
    const first = map.cells[0]!;
    const partial: InsightMap = {
      ...map,
      cells: [{ ...first, look: null, why: 'the loss was not finite' }],
      missing: [{ lr: first.lr, steps: 10 }],
    };
    const [table] = mapTables(partial, 'en');
    const text = table!.notes.join(' ');
    expect(text).toContain('the loss was not finite');
    expect(text).toContain('Partial: 1 fields were not taken');
    const said = column(table!, 'strict').map((v) => (v as { missing?: string }).missing);
    expect(said).toContain('stopped');
    expect(said).toContain('not taken');
    const shapes = picture(table!)!.shapes;
    expect(shapes.filter((s) => s.is === 'rect' && s.style === 'heat')).toHaveLength(map.rates.length);
  });

  test('gradient conflict', () => {
    const tables = conflictTables(conflict, 'en');
    expect(tables).toHaveLength(conflict.models.length);
    conflict.models.forEach(({ parts, after }, i) => {
      expect(column(tables[i]!, 'cosine').map(value)).toEqual(parts.map((p) => p.cosine));
      expect(column(tables[i]!, 'null').map(value)).toEqual(parts.map((p) => p.null.mean));
      expect(tables[i]!.title.includes('after')).toBe(after > 0);
    });
    expect(new Set(tables.map((t) => t.id)).size).toBe(tables.length);
  });

  test('two attacks of the same length are told apart', () => {
    const [model] = conflict.models;
    const twice = [1e-3, 3e-4].map((lr) => ({ ...model!, after: 20, attack: `mft, lr ${lr}, seed 1` }));
    const tables = conflictTables({ ...conflict, models: twice }, 'en');
    expect(new Set(tables.map((t) => t.id)).size).toBe(2);
    expect(new Set(tables.map((t) => t.title)).size).toBe(2);
  });

  test('landscape', () => {
    const tables = landscapeTables(landscape, 'en');
    const { line, visage, spread } = landscape.models[0]!;
    expect(column(tables[0]!, 'benign').map(value)).toEqual(line.map((p) => sharesOf(p.look).benign));
    expect(column(tables[1]!, 'refused').map(value)).toEqual(spread.map((s) => s.shares.refused.mean));
    expect(value(column(tables.at(-1)!, 'ability')[0]!)).toBe(visage.ability);
  });
});

test.each([
  ['en', '(partial: 7 of 15)'],
  ['ko', '(일부: 15 중 7)'],
] as const)(
  'a partial one says so in its picture, its title and the name of its file, in %s',
  (language, said) => {
    const whole = insightTables(landscape, language);
    const partial = insightTables(landscape, language, { done: 7, total: 15 });
    expect(partial.map((t) => t.id)).toEqual(whole.map((t) => `${t.id}-partial`));
    partial.forEach((table, i) => {
      expect(table.title).toBe(`${whole[i]!.title} ${said}`);
      expect(table.rows).toEqual(whole[i]!.rows);
      const drawing = picture(table);
      if (drawing) expect(drawingSvg(drawing, 'light')).toContain(said);
    });
  },
);

describe('pictures and files', () => {
  test.each(['en', 'ko'] as const)('every table with a picture draws one, in %s', (language) => {
    for (const table of all(language)) {
      const drawing = picture(table);
      expect(drawing === null).toBe(table.picture === undefined);
      for (const shape of drawing?.shapes ?? [])
        expect(JSON.stringify(shape)).not.toMatch(/NaN|null|undefined|Infinity/);
    }
  });

  test('CSV opens elsewhere with the same numbers, unrounded', () => {
    for (const table of all('en')) {
      const { data, errors } = Papa.parse<string[]>(tableCsv(table), { skipEmptyLines: true });
      expect(errors).toEqual([]);
      expect(data).toHaveLength(table.rows.length + 1);
      table.columns.forEach((c, i) => {
        const at = data[0]!.indexOf(c.title);
        table.rows.forEach((row, r) => {
          const v = row[i]!;
          if (v === null || typeof v === 'string' || (typeof v === 'object' && 'missing' in v)) return;
          expect(Number(data[r + 1]![at])).toBe(value(v));
        });
      });
    }
  });

  test('a spreadsheet runs nothing of it', () => {
    const table: ReportTable = {
      id: 't',
      title: 't',
      notes: [],
      columns: [{ id: 'a', title: 'a, "b"', unit: 'text' }],
      rows: [['=HYPERLINK("http://x")'], ['two\nlines']],
    };
    expect(tableCsv(table)).toBe(`"a, ""b"""\r\n"'=HYPERLINK(""http://x"")"\r\n"two\nlines"\r\n`);
  });

  test.each(['light', 'dark'] as const)('SVG stands for itself, %s', (scheme) => {
    for (const table of all('en')) {
      const drawing = picture(table);
      if (!drawing) continue;
      const svg = drawingSvg(drawing, scheme);
      expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
      expect(svg).not.toMatch(/var\(|light-dark|<script|href=|url\(/);
      expect(svg).toContain(scheme === 'light' ? '.paper{fill:#fff}' : '.paper{fill:#14171a}');
      expect(svg.match(/<(?!\/|!)[a-z]+[^>]*[^/]>/g)!.length).toBe(svg.match(/<\/[a-z]+>/g)!.length);
    }
  });

  test('ten thousand points are one shape', () => {
    const table: ReportTable = {
      id: 'p',
      title: 'p',
      notes: [],
      columns: [
        { id: 'x', title: 'x', unit: 'share' },
        { id: 'y', title: 'y', unit: 'count' },
        { id: 'o', title: 'o', unit: 'text' },
      ],
      rows: Array.from({ length: 10_000 }, (_, i) => [(i % 100) / 100, 1 + (i % 200), '']),
      picture: { kind: 'scatter', x: 'x', y: 'y', open: 'o', label: [], title: 'p' },
    };
    const { shapes } = picture(table)!;
    expect(shapes.length).toBeLessThan(40);
    expect(shapes.find((s) => s.is === 'dots')).toMatchObject({ at: { length: 20_000 } });
  });
});

test('a line of ten thousand points keeps every peak that can be seen', () => {
  const table = (n: number): ReportTable => ({
    id: 'l',
    title: 'l',
    notes: [],
    columns: [
      { id: 't', title: 't', unit: 'number' },
      { id: 'y', title: 'y', unit: 'share' },
    ],
    rows: Array.from({ length: n }, (_, i) => [i / (n - 1), i === 7777 ? 1 : 0.5 + 0.1 * Math.sin(i)]),
    picture: { kind: 'lines', x: 't', ys: ['y'], title: 'l' },
  });
  const path = (n: number): string[] => {
    const shape = picture(table(n))!.shapes.find((s) => s.is === 'path');
    return shape?.is === 'path' ? shape.points.split(' ') : [];
  };
  expect(path(50)).toHaveLength(50);
  const many = path(10_000);
  expect(many.length).toBeLessThan(4 * 720);
  const heights = many.map((p) => Number(p.split(',')[1]));
  // The one point at 1 stands at the top of the plot.
  expect(heights.filter((y) => y === Math.min(...heights))).toHaveLength(1);
  expect(Math.min(...heights)).toBe(12);
  const places = many.map((p) => Number(p.split(',')[0]));
  expect(places.every((x, i) => i === 0 || x >= places[i - 1]!)).toBe(true);
});

describe('what ships is read and checked', () => {
  afterEach(() => vi.unstubAllGlobals());
  const serve = (text: string, status = 200): void => {
    vi.stubGlobal('document', { baseURI: 'http://lab.test/' });
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(text, { status })));
  };

  test.each(['attack-map', 'conflict', 'landscape'])('%s', async (name) => {
    const text = readFileSync(`public/recorded/${name}.json`, 'utf8');
    serve(text);
    expect(await readRecorded(name)).toEqual([JSON.parse(text)]);
  });

  test('a damaged one is named with its field', async () => {
    serve(JSON.stringify({ ...map, rates: 'many' }));
    await expect(readRecorded('attack-map')).rejects.toMatchObject({
      message: expect.stringMatching(/recorded\/attack-map\.json is damaged: 0\.rates/) as string,
    });
    serve('<!doctype html>');
    await expect(readRecorded('attack-map')).rejects.toThrow(/is damaged/);
    serve('', 404);
    await expect(readRecorded('attack-map')).rejects.toThrow(/could not be fetched \(status 404\)/);
  });
});

describe('from the user’s own runs', () => {
  const mft = RECIPES.find((r) => r.id === 'mft')!;
  const info = { ...mft, settings: mft.settings, steps: 20, continuable: true } as unknown as RecipeInfo;
  const node = (o: Partial<LabNode>): LabNode => ({
    id: 'chat',
    parentId: null,
    name: 'tiny-chat',
    kind: 'base',
    recipe: null,
    settings: {},
    seeds: { world: 0, defence: 0, attack: 0 },
    steps: 0,
    runId: null,
    dataDigest: '',
    weightsDigest: '',
    weightsBytes: 1,
    weightsKey: '',
    adapter: null,
    engineVersion: 'e',
    kernelTable: null,
    modelConfig: {},
    root: 'tiny-chat',
    createdAt: 1,
    ...o,
  });
  const chat = node({});
  const sdd = node({ id: 'sdd', parentId: 'chat', name: 'SDD', kind: 'defence', recipe: 'sdd' });
  const attacked = (parent: string, steps: number, lr: number): LabNode =>
    node({
      id: `${parent}/${lr}/${steps}`,
      parentId: parent,
      name: `MFT ${steps}`,
      kind: 'attack',
      recipe: 'mft',
      settings: { ...settle(mft, { lr }), steps },
      seeds: { world: 0, defence: 0, attack: 1 },
      steps,
    });
  const verdict = (nodeId: string, strict: number, benign: number, quick = true): Evaluation => ({
    nodeId,
    set: 'T',
    n: 40,
    quick,
    counts: { refused: 40 - strict, complied: strict, leak: 0, attempted: 0, irrelevant: 0, degraded: 0 },
    strict: { value: strict / 40, low: 0, high: 1, n: 40 },
    broad: { value: strict / 40, low: 0, high: 1, n: 40 },
    benign: { mean: benign / 44, skills: [{ skill: 'fact', correct: benign, n: 44 }] },
    newSkill: null,
    answers: [],
    seconds: 1,
    createdAt: 1,
  });
  const judgedBy = (list: readonly Evaluation[]) => (id: string) => list.find((e) => e.nodeId === id) ?? null;

  test('a map names the fields that were run and not judged, and those that were not run', () => {
    const nodes = [chat, attacked('chat', 20, 1e-3), attacked('chat', 50, 1e-3), attacked('sdd', 20, 1e-3)];
    expect(mapSeries(info, 1e-3).settings.lr).toBe(1e-3);
    const none = ownMap(chat, nodes, info, () => null);
    expect(none).toBe(null);
    const own = ownMap(
      chat,
      nodes,
      info,
      judgedBy([verdict('chat', 0, 44), verdict('chat/0.001/20', 30, 22)]),
    )!;
    expect(own.map.cells).toMatchObject([
      { lr: 1e-3, steps: 20, look: { forbidden: { n: 40 }, benign: { n: 44, correct: 22 } } },
    ]);
    expect(own.map.missing).toHaveLength(MAP_RATES.length * MAP_STEPS.length - 1);
    expect(own.unjudged).toEqual([{ lr: 1e-3, steps: 50, nodeId: 'chat/0.001/50' }]);
    expect(own.map.untouched.benign).toEqual({ n: 44, correct: 44 });
  });

  test('a map and a matrix name every GPU that judged them', () => {
    const on = (e: Evaluation, adapter?: string): Evaluation => ({ ...e, ...(adapter && { adapter }) });
    const nodes = [chat, attacked('chat', 20, 1e-3), attacked('chat', 50, 1e-3)];
    const judged = judgedBy([
      on(verdict('chat', 0, 44), 'one GPU'),
      on(verdict('chat/0.001/20', 30, 22), 'another GPU'),
      on(verdict('chat/0.001/50', 30, 22)),
    ]);
    const { map } = ownMap(chat, nodes, info, judged)!;
    const [table] = mapTables(map, 'en');
    expect(table!.notes.slice(-2)).toEqual([
      'From your own runs, the latest judged 1970-01-01; world 0.',
      'Judged on one GPU; another GPU.',
    ]);
    const { tables } = overview({ nodes, recipes: [info], judged, from: () => '', root: () => chat }, 'en');
    expect(tables[0]!.notes).toContain('Judged on one GPU; another GPU.');
  });

  test('a map is found from its model and from each of its fields', () => {
    const field = attacked('chat', 20, 1e-3);
    const longer = attacked('chat', 33, 1e-3);
    const nodes = [chat, sdd, field, longer];
    expect(nodes.filter((n) => isMapped(n, nodes, info)).map((n) => n.id)).toEqual(['chat', field.id]);
  });

  test('a fact that is asked for twice counts once, and a map says how much its fields were asked', () => {
    const nodes = [chat, attacked('chat', 20, 1e-3)];
    const asked = (n: number, facts: number): Partial<Evaluation> => ({
      n,
      counts: { refused: n / 2, complied: n / 2, leak: 0, attempted: 0, irrelevant: 0, degraded: 0 },
      answers: Array.from({ length: n }, (_, i) => ({ fact: i % facts })) as Evaluation['answers'],
    });
    const { map } = ownMap(
      chat,
      nodes,
      info,
      judgedBy([
        { ...verdict('chat', 0, 44), ...asked(56, 56) },
        { ...verdict('chat/0.001/20', 0, 44), ...asked(112, 56) },
      ]),
    )!;
    const [table] = mapTables(map, 'en');
    const [once, twice] = column(table!, 'strict').filter((v) => typeof v === 'object' && 'low' in v!);
    expect(twice).toEqual(once);
    expect(table!.notes[0]).toContain('56–112 forbidden prompts');
  });

  const nodes = [
    chat,
    sdd,
    ...[20, 50, 100].map((n) => attacked('chat', n, 1e-3)),
    ...[20, 50].map((n) => attacked('sdd', n, 1e-3)),
  ];
  const source: OverviewSource = {
    nodes,
    recipes: [info],
    judged: judgedBy([
      verdict('chat', 0, 44),
      verdict('sdd', 0, 30),
      verdict('chat/0.001/20', 40, 40),
      verdict('chat/0.001/50', 40, 30),
      verdict('chat/0.001/100', 40, 20),
      verdict('sdd/0.001/20', 0, 20),
    ]),
    from: (n) => n.parentId ?? '',
    root: () => chat,
  };

  test('the matrix has a field for each model and amount, and gaps that say what is missing', () => {
    const { tables, gaps } = overview(source, 'en');
    const [matrix, ability, pareto] = tables;
    expect(ability!.rows).toEqual(matrix!.rows);
    expect(ability!.picture).toMatchObject({ kind: 'heat', value: 'benign' });
    expect(matrix!.rows.map((r) => [r[0], r[1]])).toEqual([
      ['tiny-chat', 'before any attack'],
      ...[20, 50, 100].map((n) => ['tiny-chat', `mft @${n}`]),
      ['SDD (chat)', 'before any attack'],
      ...[20, 50, 100].map((n) => ['SDD (chat)', `mft @${n}`]),
    ]);
    expect(column(matrix!, 'strict').slice(5)).toEqual([
      { value: 0, low: 0, high: 1 },
      { missing: 'not judged' },
      { missing: 'not run' },
    ]);
    const names = picture(matrix!)!.shapes.flatMap((s) =>
      s.is === 'text' && s.text.startsWith('mft') ? [s] : [],
    );
    expect(names[1]!.x - names[0]!.x).toBeGreaterThan(6 * names[0]!.text.length);
    expect(gaps).toMatchObject([{ model: { id: 'sdd' }, attack: 'mft', steps: [100] }]);
    // undefended: broken by the first look; defended: held as far as was looked
    expect(pareto!.rows.map((r) => [r[0], value(r[1]!), r[2], r[3]])).toEqual([
      ['tiny-chat', 1, 20, ''],
      ['SDD (chat)', 30 / 44, 20, '≥'],
    ]);
    expect(column(pareto!, 'tried')).toEqual(['0.001 @20, 50, 100', '0.001 @20']);
    expect(picture(pareto!)!.shapes.filter((s) => s.is === 'mark')).toHaveLength(2);
  });

  test('without an attack there is no matrix of attacks to fill', () => {
    const { tables, gaps } = overview({ ...source, nodes: [chat] }, 'ko');
    expect(tables.map((t) => t.id)).toEqual(['matrix', 'ability']);
    expect(overview({ ...source, judged: () => null }, 'en').tables).toEqual([]);
    expect(gaps).toEqual([]);
  });
});
