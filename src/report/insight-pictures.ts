/** Pictures of the insights: maps, lines through weights, ranges beside chance. */
import { valueText, type ReportTable, type ReportValue } from './document.ts';
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

type Picture<K> = Extract<NonNullable<ReportTable['picture']>, { kind: K }>;

const distinct = <T>(xs: readonly T[]): T[] => [...new Set(xs)];
const tenths = (x: number): number => Math.round(10 * x) / 10;
const point = (x: number, y: number): string => `${tenths(x)},${tenths(y)}`;

const CELL = { width: 84, least: 56, height: 34, left: 150, top: 8, letter: 6.8 };
/** Of the strongest field: on more of it the letters, in the colour of all others, could not be read in both themes. */
const STRONGEST = 0.5;

/** A field for each row; each says its figure, so that nobody has to read the colour. */
export function heat(table: ReportTable, p: Picture<'heat'>): Drawing | null {
  const [xAt, yAt, valueAt] = [columnAt(table, p.x), columnAt(table, p.y), columnAt(table, p.value)];
  if (xAt < 0 || yAt < 0 || valueAt < 0) return null;
  const text = (row: readonly ReportValue[], at: number): string => valueText(row[at]!, table.columns[at]!);
  const xs = distinct(table.rows.map((row) => text(row, xAt)));
  const ys = distinct(table.rows.map((row) => text(row, yAt)));
  // Names are never cut, and never lie on each other.
  const room = (names: readonly string[]): number =>
    16 + CELL.letter * Math.max(...names.map((name) => name.length));
  const begin = Math.max(CELL.left, room(ys));
  const width = Math.max(CELL.least, room(xs), Math.min(CELL.width, (WIDTH - begin) / xs.length));
  const left = (i: number): number => begin + i * width;
  const top = (i: number): number => CELL.top + i * CELL.height;
  const fields = table.rows.flatMap((row): Shape[] => {
    const [x, y] = [left(xs.indexOf(text(row, xAt))), top(ys.indexOf(text(row, yAt)))];
    const share = numberOf(row[valueAt]);
    const said = share === null ? text(row, valueAt) : `${text(row, valueAt)} %`;
    const title = `${table.columns[yAt]!.title} ${text(row, yAt)}, ${table.columns[xAt]!.title} ${text(row, xAt)}: ${said}`;
    const middle = { x: x + width / 2, y: y + CELL.height / 2 + 4 };
    const box = { x: x + 1, y: y + 1, width: width - 2, height: CELL.height - 2, title };
    const field: Shape =
      share === null
        ? { is: 'rect', style: 'gap', ...box }
        : { is: 'rect', style: 'heat', strength: STRONGEST * share, ...box };
    return [
      field,
      { is: 'text', style: 'step', ...middle, text: share === null ? said : text(row, valueAt) },
    ];
  });
  const bottom = top(ys.length);
  return {
    width: Math.max(WIDTH, left(xs.length)),
    height: bottom + 40,
    label: p.title,
    shapes: [
      ...ys.map((y, i): Shape => ({
        is: 'text',
        style: 'label',
        x: begin - 8,
        y: top(i) + CELL.height / 2 + 4,
        text: y,
      })),
      ...xs.map((x, i): Shape => ({
        is: 'text',
        style: 'step',
        x: left(i) + width / 2,
        y: bottom + 16,
        text: x,
      })),
      {
        is: 'text',
        style: 'step',
        x: left(xs.length / 2),
        y: bottom + 34,
        text: table.columns[xAt]!.title,
      },
      ...fields,
    ],
    legend: [],
  };
}

const level = (share: number): number => PLOT.top + (PLOT.height - PLOT.top - PLOT.bottom) * (1 - share);

const SHARE_TICKS = [0, 0.25, 0.5, 0.75, 1].flatMap((y): Shape[] => [
  { is: 'line', style: 'grid', x1: PLOT.left, x2: WIDTH - PLOT.right, y1: level(y), y2: level(y) },
  { is: 'text', style: 'tick', x: PLOT.left - 6, y: level(y) + 4, text: String(100 * y) },
]);

const across = (from: number, to: number): ((x: number) => number) => {
  const room = WIDTH - PLOT.left - PLOT.right;
  return (x) => PLOT.left + (room * (x - from)) / (to - from || 1);
};

interface Drawn {
  x: number;
  y: number;
  low: number;
  high: number;
}

/** Points in one column of the picture. */
const DENSE = 4;

/**
 * The points of a column of a table. Of more than can be told apart, what can be seen of those that follow each other in one column of
 * the picture: the first, the lowest, the highest and the last, in their order, with the spread of all.
 */
function drawn(table: ReportTable, xAt: number, at: number, place: (x: number) => number): Drawn[] {
  const n = table.rows.length;
  const [xs, ys, lows, highs] = [0, 0, 0, 0].map(() => new Float64Array(n)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let count = 0;
  for (const row of table.rows) {
    const value = row[at];
    const [x, y] = [numberOf(row[xAt]), numberOf(value)];
    if (x === null || y === null) continue;
    const spread = value !== null && typeof value === 'object' && 'low' in value ? value : null;
    xs[count] = place(x);
    ys[count] = y;
    lows[count] = spread?.low ?? y;
    highs[count++] = spread?.high ?? y;
  }
  const points: Drawn[] = [];
  const dense = count > DENSE * WIDTH;
  for (let from = 0; from < count;) {
    let to = from + 1;
    const pixel = Math.round(xs[from]!);
    let [lowest, highest, low, high] = [from, from, lows[from]!, highs[from]!];
    for (; dense && to < count && Math.round(xs[to]!) === pixel; to++) {
      if (ys[to]! < ys[lowest]!) lowest = to;
      if (ys[to]! > ys[highest]!) highest = to;
      low = Math.min(low, lows[to]!);
      high = Math.max(high, highs[to]!);
    }
    const seen = [from, Math.min(lowest, highest), Math.max(lowest, highest), to - 1];
    for (const [k, i] of seen.entries())
      if (k === 0 || i !== seen[k - 1]) points.push({ x: xs[i]!, y: ys[i]!, low, high });
    from = to;
  }
  return points;
}

/** Shares over a number; where a value has an interval, its spread as an area behind the line. */
export function lines(table: ReportTable, p: Picture<'lines'>): Drawing | null {
  const xAt = columnAt(table, p.x);
  const columns = p.ys.map((id) => columnAt(table, id)).filter((at) => at >= 0);
  const xs = table.rows.flatMap((row) => numberOf(row[xAt]) ?? []);
  if (xAt < 0 || columns.length === 0 || xs.length === 0) return null;
  const [from, to] = [Math.min(...xs), Math.max(...xs)];
  const place = across(from, to);
  const shapes: Shape[] = [...SHARE_TICKS];
  const ticks = distinct([from, ...[-0.5, 0, 0.5, 1].filter((x) => x > from && x < to), to]);
  for (const x of ticks)
    shapes.push(
      { is: 'line', style: 'grid', x1: place(x), x2: place(x), y1: level(1), y2: level(0) },
      { is: 'text', style: 'step', x: place(x), y: level(0) + 16, text: String(x) },
    );
  const legend: Drawing['legend'] = [];
  columns.forEach((at, i) => {
    const { title } = table.columns[at]!;
    const [style, dash] = [`line l${i % COLOURS}`, DASHES[i % DASHES.length]!];
    const points = drawn(table, xAt, at, place);
    // of one column of the picture all points have one spread
    const edge = points.filter(
      (q, k) => k === 0 || q.x - points[k - 1]!.x >= 1 || q.low !== points[k - 1]!.low,
    );
    if (points.some((q) => q.low < q.high))
      shapes.push({
        is: 'area',
        style: `area l${i % COLOURS}`,
        points: [
          ...edge.map((q) => point(q.x, level(q.high))),
          ...edge.toReversed().map((q) => point(q.x, level(q.low))),
        ].join(' '),
        title,
      });
    shapes.push({
      is: 'path',
      style,
      dash,
      points: points.map((q) => point(q.x, level(q.y))).join(' '),
      title,
    });
    legend.push({ style, dash, text: title });
  });
  const x = table.columns[xAt]!.title;
  shapes.push({ is: 'text', style: 'step', x: WIDTH / 2, y: PLOT.height - 4, text: x });
  return { width: WIDTH, height: PLOT.height, label: p.title, shapes, legend };
}

const ROW = 24;
const NAMES = 200;

/** A number between -1 and 1 with its interval for each row, before the band that chance leaves. */
export function ranges(table: ReportTable, p: Picture<'ranges'>): Drawing | null {
  const [valueAt, bandAt] = [columnAt(table, p.value), columnAt(table, p.band)];
  if (valueAt < 0 || bandAt < 0) return null;
  const rows = table.rows.filter((row) => numberOf(row[valueAt]) !== null);
  if (rows.length === 0) return null;
  const place = (x: number): number => NAMES + ((WIDTH - NAMES - 24) * (x + 1)) / 2;
  const bottom = rows.length * ROW;
  const shapes: Shape[] = [-1, -0.5, 0, 0.5, 1].flatMap((x): Shape[] => [
    { is: 'line', style: x === 0 ? 'zero' : 'grid', x1: place(x), x2: place(x), y1: 0, y2: bottom },
    { is: 'text', style: 'step', x: place(x), y: bottom + 16, text: String(x) },
  ]);
  rows.forEach((row, i) => {
    const y = i * ROW;
    const band = row[bandAt];
    if (band !== null && typeof band === 'object' && 'low' in band!)
      shapes.push({
        is: 'rect',
        style: 'band',
        x: place(band.low),
        y: y + 4,
        width: Math.max(1, place(band.high) - place(band.low)),
        height: ROW - 8,
        title: `${table.columns[bandAt]!.title}: ${valueText(band, table.columns[bandAt]!)}`,
      });
    const value = row[valueAt]!;
    const ends = typeof value === 'object' && 'low' in value ? [value.low, value.high] : [];
    const middle = y + ROW / 2;
    shapes.push(
      { is: 'text', style: 'label', x: NAMES - 8, y: middle + 4, text: labelOf(table, row, p.label) },
      {
        is: 'path',
        style: 'line l0',
        dash: '',
        points: ends.map((x) => point(place(x), middle)).join(' '),
        title: `${table.columns[valueAt]!.title}: ${valueText(value, table.columns[valueAt]!)}`,
      },
      { is: 'dot', style: 'line l0', x: place(numberOf(value)!), y: middle },
    );
  });
  return {
    width: WIDTH,
    height: bottom + 22,
    label: p.title,
    shapes,
    legend: [
      { style: 'line l0', dash: '', text: table.columns[valueAt]!.title },
      { style: 'line l6', dash: '', text: table.columns[bandAt]!.title },
    ],
  };
}
