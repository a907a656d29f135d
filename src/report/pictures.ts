/** The pictures of a report as shapes: made of a table and of nothing else, drawn by html.ts and by the page. */
import { VERDICTS, type VerdictKind } from '../core/verdicts.ts';
import { valueText, type ReportTable, type ReportValue } from './document.ts';

export type Shape =
  | { is: 'rect'; style: string; x: number; y: number; width: number; height: number; title: string }
  | { is: 'text'; style: string; x: number; y: number; text: string }
  | { is: 'line'; style: string; x1: number; x2: number; y1: number; y2: number }
  | { is: 'path'; style: string; dash: string; points: string; title: string }
  | { is: 'dot'; style: string; x: number; y: number };

export interface Drawing {
  width: number;
  height: number;
  /** What it shows, for those who do not see it; the table below holds the same numbers. */
  label: string;
  shapes: Shape[];
  legend: (
    { kind: VerdictKind; sign: string; text: string } | { style: string; dash: string; text: string }
  )[];
}

const WIDTH = 720;

/** Null where the table has no picture, or nothing to draw. */
export function picture(table: ReportTable): Drawing | null {
  const p = table.picture;
  if (!p || table.rows.length === 0) return null;
  if (p.kind === 'verdicts') return verdictBars(table, p.label);
  return p.kind === 'intervals' ? intervals(table, p) : curves(table, p);
}

/** A number, or the middle of an interval; null where there is none. */
function numberOf(value: ReportValue | undefined): number | null {
  if (typeof value === 'number') return value;
  if (value !== null && typeof value === 'object' && 'value' in value) return value.value;
  return null;
}

const columnAt = (table: ReportTable, id: string): number => table.columns.findIndex((c) => c.id === id);

/** @param named numbers after the name of their column: there is room for it */
const labelOf = (
  table: ReportTable,
  row: readonly ReportValue[],
  ids: readonly string[],
  named = false,
): string =>
  ids
    .map((id) => columnAt(table, id))
    .filter((at) => at >= 0)
    .map((at) => {
      const text = valueText(row[at]!, table.columns[at]!);
      return named && table.columns[at]!.unit !== 'text' ? `${table.columns[at]!.title}: ${text}` : text;
    })
    .filter((text) => text !== '')
    .join(' · ');

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

const PLOT = { left: 48, right: 12, top: 12, bottom: 34, height: 260 };
const DASHES = ['', '7 4', '2 4', '10 4 2 4'];
const COLOURS = 8;

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

const LINE = 20;
/** Room for what stands above and below the lines. */
const SCALE = 22;
const CHANCE = { style: 'line chance', dash: '5 4' };

type Intervals = Extract<NonNullable<ReportTable['picture']>, { kind: 'intervals' }>;

/** A line for each value of a row, its dot in its interval, and a dashed line where chance lies. */
function intervals(table: ReportTable, p: Intervals): Drawing | null {
  const columns = p.values.map((id) => columnAt(table, id)).filter((at) => at >= 0);
  const shapes: Shape[] = [];
  const chances: { share: number; top: number; bottom: number }[] = [];
  let y = SCALE;
  for (const row of table.rows) {
    const known = columns.filter((at) => numberOf(row[at]) !== null);
    if (known.length === 0) continue;
    shapes.push({ is: 'text', style: 'head', x: 0, y: y + 14, text: labelOf(table, row, p.label, true) });
    const top = y;
    for (const at of known) {
      y += LINE;
      shapes.push(...intervalShapes(row[at]!, table.columns[at]!, y + LINE / 2, columns.indexOf(at)));
    }
    y += LINE;
    const share = typeof p.chance === 'number' ? p.chance : numberOf(row[columnAt(table, p.chance)]);
    if (share !== null) chances.push({ share, top, bottom: y });
  }
  if (shapes.length === 0) return null;
  const ticks = [0, 0.25, 0.5, 0.75, 1].flatMap((x): Shape[] => [
    { is: 'line', style: 'grid', x1: placeOf(x), x2: placeOf(x), y1: SCALE, y2: y },
    { is: 'text', style: 'step', x: placeOf(x), y: y + 16, text: String(100 * x) },
  ]);
  return {
    width: WIDTH,
    height: y + SCALE,
    label: p.title,
    shapes: [...ticks, ...chanceShapes(chances, p.called), ...shapes],
    legend: [{ ...CHANCE, text: p.called }],
  };
}

const placeOf = (share: number): number => LABELS + share * (WIDTH - LABELS - 2 * PLOT.right);

function intervalShapes(
  value: NonNullable<ReportValue>,
  column: ReportTable['columns'][number],
  y: number,
  i: number,
): Shape[] {
  const style = `line l${i % COLOURS}`;
  const ends = typeof value === 'object' && 'low' in value ? [value.low, value.high] : [];
  return [
    { is: 'text', style: 'label', x: LABELS - 8, y: y + 4, text: column.title },
    {
      is: 'path',
      style,
      dash: '',
      points: ends.map((x) => `${placeOf(x).toFixed(1)},${y.toFixed(1)}`).join(' '),
      title: `${column.title}: ${valueText(value, column)} %`,
    },
    { is: 'dot', style, x: placeOf(numberOf(value)!), y },
  ];
}

/** One line through all rows where chance is the same for all, else one in each row; each with its figure. */
function chanceShapes(
  rows: readonly { share: number; top: number; bottom: number }[],
  called: string,
): Shape[] {
  const text = (share: number): string => `${called}: ${valueText(share, { unit: 'share' })} %`;
  const line = (share: number, top: number, bottom: number): Shape => ({
    is: 'path',
    ...CHANCE,
    points: [top, bottom].map((y) => `${placeOf(share).toFixed(1)},${y.toFixed(1)}`).join(' '),
    title: text(share),
  });
  const [first] = rows;
  if (first && rows.every((r) => r.share === first.share))
    return [
      line(first.share, first.top, rows.at(-1)!.bottom),
      { is: 'text', style: 'step', x: placeOf(first.share), y: SCALE - 8, text: text(first.share) },
    ];
  return rows.flatMap(({ share, top, bottom }): Shape[] => [
    line(share, top, bottom),
    { is: 'text', style: 'tick', x: WIDTH, y: top + 14, text: text(share) },
  ]);
}
