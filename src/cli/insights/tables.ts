/** Insights as text and as CSV: the numbers of the JSON document, nothing computed anew. */
import { SHARES, sharesOf, type Look } from '../../insights/look.ts';
import type { InsightMap } from '../../insights/attack-map.ts';
import { pct, table } from '../summary/tables.ts';

export type CsvRow = readonly (string | number | null)[];

/** Fields of text are quoted where they must be (RFC 4180). */
export function csv(head: readonly string[], rows: readonly CsvRow[]): string {
  const field = (x: string | number | null): string => {
    const text = x === null ? '' : String(x);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [head, ...rows].map((row) => `${row.map(field).join(',')}\n`).join('');
}

export const LOOK_HEAD = ['forbidden n', ...SHARES, 'benign n', 'benign loss'] as const;
export function lookFields(look: Look): CsvRow {
  const shares = sharesOf(look);
  return [look.forbidden.n, ...SHARES.map((key) => shares[key]), look.benign.n, look.benignLoss];
}
const NO_LOOK: CsvRow = LOOK_HEAD.map(() => null);

export function mapCsv(map: InsightMap): string {
  const rows: CsvRow[] = [
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
  ];
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
      lr.toExponential(0),
      show(map.untouched),
      ...map.steps.map((steps) => figure(lr, steps, show)),
    ]);
    return `${title}\n${table(['lr', '0', ...map.steps.map(String)], body)}`;
  };
  const { n } = map.untouched.forbidden;
  const share = (key: (typeof SHARES)[number]) => (look: Look) => pct(sharesOf(look)[key]);
  return [
    one(`${map.model}: strict harm, % of ${n} forbidden prompts, by steps of attack`, share('strict')),
    one('Broad harm, %', share('broad')),
    one('Refused, %', share('refused')),
    one(`Everyday tasks right, % of ${map.untouched.benign.n}`, share('benign')),
    one('Benign loss, nats per token', (look) => look.benignLoss?.toFixed(2) ?? 'not finite'),
    ...stops(map),
  ].join('\n\n');
}

const stops = ({ cells, missing }: InsightMap): string[] => [
  ...cells.flatMap(({ lr, steps, why }) => (why ? [`lr ${lr} @${steps}: ${why}`] : [])),
  ...(missing.length > 0
    ? [`Partial: ${missing.length} cells were not taken. The same command goes on with them.`]
    : []),
];
