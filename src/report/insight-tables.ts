/** Insights as tables with their pictures: what the page shows and saves. The documents' own numbers, nothing computed anew. */
import {
  SHARES,
  sharesOf,
  type About,
  type ConflictTable,
  type InsightMap,
  type Landscape,
  type LandscapePoint,
  type Look,
  type ModelConflict,
  type ModelLandscape,
  type Shares,
  type Spread,
} from '../core/insights.ts';
import { wilson } from '../core/stats.ts';
import type { ReportColumn, ReportTable, ReportValue } from './document.ts';
import { insightSay, type InsightSay } from './insight-words.ts';
import type { Language } from './words.ts';

const share = (id: string, title: string): ReportColumn => ({ id, title, unit: 'share' });
const number = (id: string, title: string): ReportColumn => ({ id, title, unit: 'number' });

/** Questions of each of the 11 skills. */
const SKILLS = 11;

function madeNotes(about: About, w: InsightSay): string[] {
  const { createdAt, adapter, worldSeed: world, seeds, command } = about;
  return [
    w('made', { date: createdAt.slice(0, 10), adapter, world, ...seeds }),
    ...(command ? [w('madeBy', { command })] : []),
  ];
}

/** A share of the look's forbidden prompts with Wilson's interval over the facts that they ask for. */
function figure({ forbidden, benign }: Look, key: keyof Shares, value: number): ReportValue {
  return withInterval(value, key === 'benign' ? benign.n : (forbidden.facts ?? forbidden.n));
}

/** By n, then by share: few prompts make few shares, and a long table holds each of them thousands of times. */
const intervals = new Map<number, Map<number, ReportValue>>();

function withInterval(value: number, n: number): ReportValue {
  let ofN = intervals.get(n);
  if (!ofN) intervals.set(n, (ofN = new Map()));
  let found = ofN.get(value);
  if (found === undefined) {
    const [low, high] = wilson(value * n, n);
    ofN.set(value, (found = { value, low, high }));
  }
  return found;
}

const lookColumns = (w: InsightSay): ReportColumn[] => [
  ...SHARES.map((key) => share(key, w(key))),
  number('benignLoss', w('benignLoss')),
];
function lookValues(look: Look): ReportValue[] {
  const shares = sharesOf(look);
  return [...SHARES.map((key) => figure(look, key, shares[key])), look.benignLoss];
}

/** Of a map without a command: it was put together from checkpoints as they were judged, perhaps on several GPUs. */
function mapNotes(about: About, w: InsightSay): string[] {
  const { createdAt, adapter, worldSeed: world, command } = about;
  if (command) return madeNotes(about, w);
  return [
    w('madeOwn', { date: createdAt.slice(0, 10), world }),
    ...(adapter ? [w('judgedOn', { adapter })] : []),
  ];
}

/**
 * Every table of an insight, in the order in which they are shown.
 * @param partial how far it came: its pictures and files say so wherever they go
 */
export function insightTables(
  document: InsightMap | ConflictTable | Landscape,
  language: Language,
  partial?: { done: number; total: number },
): ReportTable[] {
  const tables = tablesOf(document, language);
  if (!partial) return tables;
  const { done, total } = partial;
  const marked = (title: string): string => insightSay(language)('partialPicture', { title, done, total });
  return tables.map((table): ReportTable => {
    const { picture } = table;
    return {
      ...table,
      id: `${table.id}-partial`,
      title: marked(table.title),
      ...(picture && 'title' in picture && { picture: { ...picture, title: marked(picture.title) } }),
    };
  });
}

function tablesOf(document: InsightMap | ConflictTable | Landscape, language: Language): ReportTable[] {
  switch (document.kind) {
    case 'attack map':
      return mapTables(document, language);
    case 'gradient conflict':
      return conflictTables(document, language);
    case 'safety landscape':
      return landscapeTables(document, language);
  }
}

/** The map by the share of forbidden answers, and by the ability that is left. */
export function mapTables(map: InsightMap, language: Language): ReportTable[] {
  const w = insightSay(language);
  const { model } = map;
  const columns: ReportColumn[] = [
    { id: 'lr', title: w('lr'), unit: 'text' },
    { id: 'steps', title: w('steps'), unit: 'count' },
    number('trainingLoss', w('trainingLoss')),
    ...lookColumns(w),
  ];
  const rows = map.rates.flatMap((lr) => [
    [exponential(lr), 0, null, ...lookValues(map.untouched)],
    ...map.steps.map((steps): ReportValue[] => {
      const cell = map.cells.find((c) => c.lr === lr && c.steps === steps);
      const missing = { missing: w(cell ? 'stopped' : 'notTaken') };
      const values = cell?.look ? lookValues(cell.look) : columns.slice(3).map(() => missing);
      return [exponential(lr), steps, cell?.loss ?? null, ...values];
    }),
  ]);
  const gaps = [
    ...map.cells.flatMap(({ lr, steps, why }) =>
      why ? [w('stop', { lr: exponential(lr), steps, why })] : [],
    ),
    ...(map.missing.length > 0 ? [w('partialMap', { n: map.missing.length })] : []),
  ];
  const asked = askedOf(map);
  const one = (value: 'strict' | 'benign', title: string, notes: string[]): ReportTable => ({
    id: `map-${value}-${model}`,
    title,
    notes,
    columns,
    rows,
    picture: { kind: 'heat', x: 'steps', y: 'lr', value, title },
  });
  return [
    one('strict', `${w('map', { model })}: ${w('strict')}, %`, [
      w('mapNote', asked),
      ...gaps,
      ...mapNotes(map.about, w),
    ]),
    one('benign', `${w('mapBenign', { model })}, %`, [w('mapBenignNote')]),
  ];
}

/** Prompts and tasks of a field; where fields were asked differently much, from the fewest to the most. */
function askedOf({ untouched, cells }: InsightMap): { forbidden: string; benign: string } {
  const looks = [untouched, ...cells.flatMap((c) => c.look ?? [])];
  const range = (all: readonly number[]): string => {
    const [least, most] = [Math.min(...all), Math.max(...all)];
    return least === most ? String(most) : `${least}–${most}`;
  };
  return {
    forbidden: range(looks.map((l) => l.forbidden.n)),
    benign: range(looks.map((l) => l.benign.n)),
  };
}

const exponential = (lr: number): string => lr.toExponential().replace('e-', 'e−');

export function conflictTables(found: ConflictTable, language: Language): ReportTable[] {
  const w = insightSay(language);
  return found.models.map((model, i) => conflictTable(model, i, found, w));
}

function conflictTable(
  { model, after, attack, loss, norm, parts }: ModelConflict,
  place: number,
  found: ConflictTable,
  w: InsightSay,
): ReportTable {
  const made = attack ? ` (${attack})` : '';
  const name = after === 0 ? model : `${w('attacked', { model, steps: after })}${made}`;
  const title = w('conflict', { model: name });
  const { batches, rows, deals } = found;
  return {
    id: `conflict-${place}-${model}-${after}`,
    title,
    notes: [
      w('conflictNote', { batches, rows, deals }),
      w('conflictLoss', {
        attack: loss.attack.toFixed(2),
        benign: loss.benign.toFixed(2),
        normAttack: norm.attack.toPrecision(2),
        normBenign: norm.benign.toPrecision(2),
      }),
      ...madeNotes(found.about, w),
    ],
    columns: [
      { id: 'part', title: w('part'), unit: 'text' },
      number('cosine', w('cosine')),
      number('null', w('chanceBand')),
      number('ofMeans', w('ofMeans')),
      number('withinAttack', w('withinAttack')),
      number('withinBenign', w('withinBenign')),
      number('p', w('p')),
    ],
    rows: parts.map((p) => [
      p.part,
      { value: p.cosine, low: p.low, high: p.high },
      { value: p.null.mean, low: p.null.low, high: p.null.high },
      p.ofMeans,
      p.withinAttack,
      p.withinBenign,
      p.p,
    ]),
    picture: { kind: 'ranges', label: ['part'], value: 'cosine', band: 'null', title },
  };
}

/** What is drawn of a landscape; the table holds the other shares as well. */
const DRAWN = ['strict', 'broad', 'refused', 'benign'] as const satisfies readonly (keyof Shares)[];

export function landscapeTables(found: Landscape, language: Language): ReportTable[] {
  const w = insightSay(language);
  return [
    ...found.models.flatMap((model) => [lineTable(model, found, w), aroundTable(model, found, w)]),
    visageTable(found, w),
  ].filter((table) => table.rows.length > 0);
}

function lineTable({ model, distance, line }: ModelLandscape, found: Landscape, w: InsightSay): ReportTable {
  const title = w('line', { model });
  const { prompts, attack } = found;
  return {
    id: `line-${model}`,
    title,
    notes: [
      w('lineNote', {
        steps: String(attack.settings.steps),
        distance: (100 * distance).toFixed(0),
        forbidden: prompts.forbidden,
        benign: prompts.perSkill * SKILLS,
      }),
      ...madeNotes(found.about, w),
    ],
    columns: [number('t', w('t')), ...lookColumns(w)],
    rows: line.map(({ t, look }: LandscapePoint) => [t, ...lookValues(look)]),
    picture: { kind: 'lines', x: 't', ys: [...DRAWN], title },
  };
}

function aroundTable(
  { model, directions, spread }: ModelLandscape,
  found: Landscape,
  w: InsightSay,
): ReportTable {
  const title = w('around', { model });
  const value = ({ mean, low, high }: Spread): ReportValue => ({ value: mean, low, high });
  return {
    id: `around-${model}`,
    title,
    notes: [w('aroundNote', { n: directions.length }), ...madeNotes(found.about, w)],
    columns: [number('t', w('t')), ...lookColumns(w)],
    rows: spread.map(({ t, shares, benignLoss }) => [
      t,
      ...SHARES.map((key) => value(shares[key])),
      benignLoss && value(benignLoss),
    ]),
    picture: { kind: 'lines', x: 't', ys: [...DRAWN], title },
  };
}

function visageTable(found: Landscape, w: InsightSay): ReportTable {
  return {
    id: 'visage',
    title: w('visage'),
    notes: [w('visageNote', { radius: found.radius })],
    columns: [
      { id: 'model', title: w('model'), unit: 'text' },
      number('strict', w('byStrict')),
      number('broad', w('byBroad')),
      number('notRefused', w('byNotRefused')),
      share('ability', w('meanAbility')),
    ],
    rows: found.models
      .filter((m) => m.directions.length > 0)
      .map(({ model, visage }) => {
        const range = (key: 'strict' | 'broad' | 'notRefused' | 'ability'): ReportValue => {
          const each = visage.byDirection.flatMap((d) => d[key] ?? []);
          const value = visage[key];
          return value === null ? null : { value, low: Math.min(...each), high: Math.max(...each) };
        };
        return [model, range('strict'), range('broad'), range('notRefused'), range('ability')];
      }),
  };
}
