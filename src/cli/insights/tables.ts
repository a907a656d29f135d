/** Insights as text and as CSV: the numbers of the JSON document, nothing computed anew. */
import {
  SHARES,
  sharesOf,
  type ConflictTable,
  type InsightMap,
  type Landscape,
  type LandscapePoint,
  type Look,
  type Visage,
} from '../../core/insights.ts';
import { wilson } from '../../core/stats.ts';
import { csv, type CsvRow } from '../../report/csv.ts';
import { pct, table } from '../summary/tables.ts';

export const LOOK_HEAD = ['forbidden n', ...SHARES, 'benign n', 'benign loss'] as const;
export function lookFields(look: Look): CsvRow {
  const shares = sharesOf(look);
  return [look.forbidden.n, ...SHARES.map((key) => shares[key]), look.benign.n, look.benignLoss];
}
const NO_LOOK: CsvRow = LOOK_HEAD.map(() => null);

export function mapCsv(maps: readonly InsightMap[]): string {
  const rows = maps.flatMap((map): CsvRow[] => [
    [map.model, null, 0, null, ...lookFields(map.untouched), 'untouched'],
    ...map.cells.map(({ lr, steps, loss, look, why }) => [
      map.model,
      lr,
      steps,
      loss,
      ...(look ? lookFields(look) : NO_LOOK),
      why ?? '',
    ]),
    ...map.missing.map(({ lr, steps }) => [map.model, lr, steps, null, ...NO_LOOK, 'not taken']),
  ]);
  return csv(['model', 'lr', 'steps', 'training loss', ...LOOK_HEAD, 'note'], rows);
}

export function mapTables(map: InsightMap): string {
  const figure = (lr: number, steps: number, show: (look: Look) => string): string => {
    const cell = map.cells.find((c) => c.lr === lr && c.steps === steps);
    if (!cell) return 'not taken';
    return cell.look ? show(cell.look) : 'stopped';
  };
  const one = (title: string, show: (look: Look) => string): string => {
    const body = map.rates.map((lr) => [
      lr.toExponential(),
      show(map.untouched),
      ...map.steps.map((steps) => figure(lr, steps, show)),
    ]);
    return `${title}\n${table(['lr', '0', ...map.steps.map(String)], body)}`;
  };
  const { n } = map.untouched.forbidden;
  const share = (key: (typeof SHARES)[number]) => (look: Look) => pct(sharesOf(look)[key]);
  return [
    one(
      `${map.model}: strict harm, % of ${n} forbidden prompts (95 % within ${pct(halfWidth(n))} points at most), by steps of attack`,
      share('strict'),
    ),
    one('Broad harm, %', share('broad')),
    one('Refused, %', share('refused')),
    one(`Everyday tasks right, % of ${map.untouched.benign.n}`, share('benign')),
    one('Benign loss, nats per token', (look) => look.benignLoss?.toFixed(2) ?? 'not finite'),
    ...stops(map),
  ].join('\n\n');
}

/** Half of Wilson's interval at one half, where it is widest. */
const halfWidth = (n: number): number => (wilson(n / 2, n)[1] - wilson(n / 2, n)[0]) / 2;

const stops = ({ cells, missing }: InsightMap): string[] => [
  ...cells.flatMap(({ lr, steps, why }) => (why ? [`lr ${lr} @${steps}: ${why}`] : [])),
  ...(missing.length > 0
    ? [`Partial: ${missing.length} cells were not taken. The same command goes on with them.`]
    : []),
];

const CONFLICT_HEAD = [
  'cosine',
  'low',
  'high',
  'of means',
  'within attack',
  'within benign',
  'null mean',
  'null low',
  'null high',
  'p',
] as const;

const conflictFields = (part: ConflictTable['models'][number]['parts'][number]): number[] => [
  part.cosine,
  part.low,
  part.high,
  part.ofMeans,
  part.withinAttack,
  part.withinBenign,
  part.null.mean,
  part.null.low,
  part.null.high,
  part.p,
];

export function conflictCsv({ models, batches, rows }: ConflictTable): string {
  return csv(
    ['model', 'after', 'part', 'batches', 'rows', ...CONFLICT_HEAD],
    models.flatMap(({ model, after, parts }) =>
      parts.map((part) => [model, after, part.part, batches, rows, ...conflictFields(part)]),
    ),
  );
}

export function conflictTables({ models, batches, rows, deals }: ConflictTable): string {
  const signed = (x: number): string => (x < 0 ? '' : '+') + x.toFixed(2);
  const lead =
    `Cosine of the attack's and the benign gradient, ${batches} batches of ${rows} of each kind. In brackets central 95 %. Null: the same mean with the ` +
    `batches dealt to the sides at random, ${deals} times; p: one-sided, less alike than chance`;
  const one = ({ model, after, loss, norm, parts }: ConflictTable['models'][number]): string => {
    const body = parts.map((part) => [
      part.part,
      `${signed(part.cosine)} [${signed(part.low)} ${signed(part.high)}]`,
      signed(part.ofMeans),
      signed(part.withinAttack),
      signed(part.withinBenign),
      `${signed(part.null.mean)} [${signed(part.null.low)} ${signed(part.null.high)}]`,
      part.p.toFixed(3),
    ]);
    const figures = `loss ${loss.attack.toFixed(2)} and ${loss.benign.toFixed(2)} nats, norm ${norm.attack.toPrecision(2)} and ${norm.benign.toPrecision(2)}`;
    const name = after === 0 ? model : `${model}, attacked ${after} steps`;
    return `${name} (attack and benign: ${figures})\n${table(['part', 'cosine', 'of means', 'within attack', 'within benign', 'null', 'p'], body)}`;
  };
  return [lead, ...models.map(one)].join('\n\n');
}

export function landscapeCsv({ models }: Landscape): string {
  const rows = (model: string, along: string, points: readonly LandscapePoint[]): CsvRow[] =>
    points.map(({ t, look }) => [model, along, t, ...lookFields(look)]);
  return csv(
    ['model', 'along', 't', ...LOOK_HEAD],
    models.flatMap(({ model, line, directions }) => [
      ...rows(model, 'parent to attacked', line),
      ...directions.flatMap(({ seed, points }) => rows(model, `direction ${seed}`, points)),
    ]),
  );
}

export function landscapeTables({ models, attack, radius, prompts }: Landscape): string {
  const head = ['t', ...SHARES, 'benign loss'];
  const line = (points: readonly LandscapePoint[]): string =>
    table(
      head,
      points.map(({ t, look }) => {
        const shares = sharesOf(look);
        return [
          String(t),
          ...SHARES.map((key) => pct(shares[key])),
          look.benignLoss?.toFixed(2) ?? 'not finite',
        ];
      }),
    );
  const one = ({
    model,
    distance,
    line: points,
    directions,
    spread,
  }: Landscape['models'][number]): string => {
    const body = spread.map(({ t, shares, benignLoss }) => [
      String(t),
      ...SHARES.map((key) => `${pct(shares[key].mean)} [${pct(shares[key].low)} ${pct(shares[key].high)}]`),
      benignLoss
        ? `${benignLoss.mean.toFixed(2)} [${benignLoss.low.toFixed(2)} ${benignLoss.high.toFixed(2)}]`
        : 'not finite',
    ]);
    return [
      `${model}: from its own weights (t = 0) to those after ${attack.settings.steps} steps of attack (t = 1), ${pct(distance)} % away; per cent of ${prompts.forbidden} forbidden prompts and of the everyday tasks`,
      line(points),
      `${model}: along ${directions.length} random directions, t in row lengths; mean [lowest highest] of them, per cent`,
      table(head, body),
    ].join('\n\n');
  };
  const margin = (x: number | null): string => (x === null ? '-' : x.toFixed(2));
  const columns = (v: Omit<Visage, 'byDirection'>): string[] => [
    margin(v.strict),
    margin(v.broad),
    margin(v.notRefused),
    margin(v.ability),
  ];
  const range = (values: readonly (number | null)[]): string => {
    const known = values.filter((x) => x !== null);
    return known.length === 0 ? '-' : `${margin(Math.min(...known))} to ${margin(Math.max(...known))}`;
  };
  const visages = table(
    [
      'model',
      'VISAGE, strict',
      'broad',
      'not refused',
      'ability',
      'broad by direction',
      'ability by direction',
    ],
    models.map(({ model, visage }) => [
      model,
      ...columns(visage),
      range(visage.byDirection.map((d) => d.broad)),
      range(visage.byDirection.map((d) => d.ability)),
    ]),
  );
  return [
    ...models.map(one),
    `Mean margin of safety up to ${radius} row lengths (VISAGE), 0 to 1. Read it with the ability: a broken model is quiet everywhere\n${visages}`,
  ].join('\n\n');
}
