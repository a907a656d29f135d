/** The pictures of a report as shapes: made of a table and of nothing else, drawn by html.ts and by the page. */
import { VERDICTS, type VerdictKind } from '../core/verdicts.ts';
import { valueText, type ReportTable } from './document.ts';
import {
  COLOURS,
  columnAt,
  DASHES,
  labelOf,
  numberOf,
  PLOT,
  WIDTH,
  type Drawing,
  type Shape,
} from './drawing.ts';
import { intervals } from './interval-picture.ts';
import { heat, lines, ranges } from './insight-pictures.ts';
import { scatter } from './scatter.ts';

export type { Drawing, Shape } from './drawing.ts';

/** Null where the table has no picture, or nothing to draw. */
export function picture(table: ReportTable): Drawing | null {
  const p = table.picture;
  if (!p || table.rows.length === 0) return null;
  switch (p.kind) {
    case 'verdicts':
      return verdictBars(table, p.label);
    case 'intervals':
      return intervals(table, p);
    case 'curves':
      return curves(table, p);
    case 'heat':
      return heat(table, p);
    case 'lines':
      return lines(table, p);
    case 'ranges':
      return ranges(table, p);
    case 'scatter':
      return scatter(table, p);
  }
}

/** Letters in the bars: colour is never the only sign. */
export const SIGNS: Readonly<Record<VerdictKind, string>> = {
  refused: 'R',
  complied: 'C',
  leak: 'L',
  attempted: 'A',
  irrelevant: 'O',
  degraded: 'B',
};

const BAR = 16;
const GAP = 6;
const LABELS = 250;
/** Narrower parts have no room for their letter. */
const LETTER = 22;

function verdictBars(table: ReportTable, label: readonly string[]): Drawing | null {
  const columns = VERDICTS.map((kind) => ({ kind, at: columnAt(table, kind) })).filter((c) => c.at >= 0);
  // An empty bar would look like a figure; why there is none stands in the table.
  const rows = table.rows.filter((row) => columns.some(({ at }) => numberOf(row[at]) !== null));
  if (rows.length === 0) return null;
  const shapes = rows.flatMap((row, r): Shape[] => {
    const y = r * (BAR + GAP);
    let x = LABELS;
    const parts = columns.flatMap(({ kind, at }): Shape[] => {
      const share = numberOf(row[at]) ?? 0;
      const width = share * (WIDTH - LABELS);
      if (width <= 0) return [];
      const title = `${table.columns[at]!.title}: ${valueText(share, { unit: 'share' })} %`;
      const part: Shape = { is: 'rect', style: `v-${kind}`, x, y, width, height: BAR, title };
      const letter: Shape = { is: 'text', style: 'in', x: x + width / 2, y: y + 12, text: SIGNS[kind] };
      x += width;
      return width > LETTER ? [part, letter] : [part];
    });
    const name: Shape = {
      is: 'text',
      style: 'label',
      x: LABELS - 8,
      y: y + 12,
      text: labelOf(table, row, label),
    };
    return [name, ...parts];
  });
  return {
    width: WIDTH,
    height: rows.length * (BAR + GAP),
    label: table.title,
    shapes,
    legend: columns.map(({ kind, at }) => ({ kind, sign: SIGNS[kind], text: table.columns[at]!.title })),
  };
}

function curves(
  table: ReportTable,
  p: Extract<NonNullable<ReportTable['picture']>, { kind: 'curves' }>,
): Drawing | null {
  const [xAt, yAt] = [columnAt(table, p.x), columnAt(table, p.y)];
  if (xAt < 0 || yAt < 0) return null;
  const lines = new Map<string, { x: number; y: number }[]>();
  for (const row of table.rows) {
    const [x, y] = [numberOf(row[xAt]), numberOf(row[yAt])];
    if (x === null || y === null) continue;
    const key = labelOf(table, row, p.line);
    lines.set(key, [...(lines.get(key) ?? []), { x, y }]);
  }
  const xs = [...new Set([...lines.values()].flat().map((point) => point.x))].sort((a, b) => a - b);
  if (xs.length === 0) return null;
  // Steps are looked at ever more seldom: each look has the same room.
  const place = (x: number): number =>
    PLOT.left + ((WIDTH - PLOT.left - PLOT.right) * xs.indexOf(x)) / Math.max(1, xs.length - 1);
  const level = (y: number): number => PLOT.top + (PLOT.height - PLOT.top - PLOT.bottom) * (1 - y);
  const below = PLOT.height - PLOT.bottom + 16;
  const axes: Shape[] = [
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((y): Shape[] => [
      { is: 'line', style: 'grid', x1: PLOT.left, x2: WIDTH - PLOT.right, y1: level(y), y2: level(y) },
      { is: 'text', style: 'tick', x: PLOT.left - 6, y: level(y) + 4, text: String(100 * y) },
    ]),
    ...xs.map((x): Shape => ({ is: 'text', style: 'step', x: place(x), y: below, text: String(x) })),
    { is: 'text', style: 'step', x: WIDTH / 2, y: PLOT.height - 4, text: table.columns[xAt]!.title },
  ];
  const styled = [...lines].map(([name, points], i) => ({
    name,
    points: points.sort((a, b) => a.x - b.x),
    style: `line l${i % COLOURS}`,
    dash: DASHES[i % DASHES.length]!,
  }));
  const drawn = styled.flatMap(({ name, points, style, dash }): Shape[] => [
    {
      is: 'path',
      style,
      dash,
      points: points.map(({ x, y }) => `${place(x).toFixed(1)},${level(y).toFixed(1)}`).join(' '),
      title: name,
    },
    ...points.map(({ x, y }): Shape => ({ is: 'dot', style, x: place(x), y: level(y) })),
  ]);
  return {
    width: WIDTH,
    height: PLOT.height,
    label: p.title,
    shapes: [...axes, ...drawn],
    legend: styled.map(({ name, style, dash }) => ({ style, dash, text: name })),
  };
}
