/** A mark for each row: a share across; upwards a share too, or numbers of steps in equal ratios. */
import { valueText, type ReportTable, type ReportValue } from './document.ts';
import { columnAt, labelOf, MARKS, numberOf, WIDTH, type Drawing, type Shape } from './drawing.ts';

type Scatter = Extract<NonNullable<ReportTable['picture']>, { kind: 'scatter' }>;

const PLOT = { left: 48, right: 16, top: 28, bottom: 38, height: 376 };
/** Most rows whose marks are drawn one by one; of more only the points. */
const NAMED = 40;
/** Of the marks; shapes repeat after as many as there are, hollow then. */
const HUES = 7;
/** Width of a letter and height of a line of a label, on the safe side. */
const LETTER = { width: 7, height: 13 };

interface Point {
  x: number;
  y: number;
  /** Ends of the intervals. */
  across: readonly number[];
  up: readonly number[];
  name: string;
  title: string;
}

interface Axis {
  place(value: number): number;
  ticks: readonly { at: number; text: string }[];
}

const right = WIDTH - PLOT.right;
const bottom = PLOT.height - PLOT.bottom;
const acrossOf = (share: number): number => PLOT.left + share * (right - PLOT.left);
const upOf = (share: number): number => bottom - share * (bottom - PLOT.top);

export function scatter(table: ReportTable, p: Scatter): Drawing | null {
  const [xAt, yAt] = [columnAt(table, p.x), columnAt(table, p.y)];
  if (xAt < 0 || yAt < 0) return null;
  const shares = table.columns[yAt]!.unit === 'share';
  const points = table.rows.flatMap((row) => pointOf(table, row, p, shares) ?? []);
  if (points.length === 0) return null;
  const axis = shares ? SHARES : steps(points.map(({ y }) => y));
  const at = points.map((point) => ({ ...point, left: acrossOf(point.x), top: axis.place(point.y) }));
  const shapes: Shape[] = [
    ...axis.ticks.flatMap(({ at, text }): Shape[] => [
      { is: 'line', style: 'grid', x1: PLOT.left, x2: right, y1: axis.place(at), y2: axis.place(at) },
      { is: 'text', style: 'tick', x: PLOT.left - 6, y: axis.place(at) + 4, text },
    ]),
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((share): Shape[] => [
      { is: 'line', style: 'grid', x1: acrossOf(share), x2: acrossOf(share), y1: PLOT.top, y2: bottom },
      { is: 'text', style: 'step', x: acrossOf(share), y: bottom + 16, text: String(100 * share) },
    ]),
    { is: 'text', style: 'name', x: 0, y: 12, text: `${table.columns[yAt]!.title}${shares ? ', %' : ''}` },
    { is: 'text', style: 'step', x: WIDTH / 2, y: PLOT.height - 4, text: `${table.columns[xAt]!.title}, %` },
  ];
  const about = { width: WIDTH, height: PLOT.height, label: p.title };
  if (at.length > NAMED) {
    shapes.push({ is: 'dots', style: 'line l0', at: at.flatMap(({ left, top }) => [left, top]) });
    return { ...about, shapes, legend: [] };
  }
  for (const { left, top, across, up } of at) {
    const [x1, x2] = across.map(acrossOf);
    const [y1, y2] = up.map(axis.place);
    if (x1 !== undefined && x2 !== undefined)
      shapes.push({ is: 'line', style: 'zero', x1, x2, y1: top, y2: top });
    if (y1 !== undefined && y2 !== undefined)
      shapes.push({ is: 'line', style: 'zero', x1: left, x2: left, y1, y2 });
  }
  const styles = at.map((_, i) => ({
    mark: i % MARKS,
    style: `mark l${i % HUES}${Math.floor(i / MARKS) % 2 === 1 ? ' hollow' : ''}`,
  }));
  at.forEach(({ left, top, title }, i) => shapes.push({ is: 'mark', ...styles[i]!, x: left, y: top, title }));
  shapes.push(...labels(at));
  return { ...about, shapes, legend: at.map(({ name }, i) => ({ ...styles[i]!, text: name })) };
}

function pointOf(
  table: ReportTable,
  row: readonly ReportValue[],
  p: Scatter,
  shares: boolean,
): Point | undefined {
  const [xAt, yAt] = [columnAt(table, p.x), columnAt(table, p.y)];
  const openAt = p.open === undefined ? -1 : columnAt(table, p.open);
  const [x, y] = [numberOf(row[xAt]), numberOf(row[yAt])];
  if (x === null || y === null || (!shares && y <= 0)) return undefined;
  const ends = (value: ReportValue | undefined): number[] =>
    value !== null && typeof value === 'object' && 'low' in value ? [value.low, value.high] : [];
  const bound = openAt >= 0 && typeof row[openAt] === 'string' ? row[openAt] : '';
  const label = labelOf(table, row, p.label);
  const name = bound ? `${label} (${bound} ${y})` : label;
  const told = [xAt, yAt].map((i) => `${table.columns[i]!.title} ${valueText(row[i]!, table.columns[i]!)}`);
  return { x, y, across: ends(row[xAt]), up: ends(row[yAt]), name, title: `${name}: ${told.join('; ')}` };
}

const SHARES: Axis = {
  place: upOf,
  ticks: [0, 0.25, 0.5, 0.75, 1].map((at) => ({ at, text: String(100 * at) })),
};

function steps(ys: readonly number[]): Axis {
  const [from, to] = [Math.log(Math.min(...ys, 5)), Math.log(Math.max(...ys, 200) * 1.3)];
  const within = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].filter(
    (y) => Math.log(y) >= from && Math.log(y) <= to,
  );
  return {
    place: (y) => upOf((Math.log(y) - from) / (to - from)),
    ticks: within.map((at) => ({ at, text: String(at) })),
  };
}

interface Box {
  x1: number;
  x2: number;
  y1: number;
  y2: number;
}

const meet = (a: Box, b: Box): boolean => a.x1 < b.x2 && b.x1 < a.x2 && a.y1 < b.y2 && b.y1 < a.y2;

/** A name beside each mark, off its whiskers, where it meets neither a mark nor another name; the legend has them all. */
function labels(at: readonly { left: number; top: number; name: string }[]): Shape[] {
  const taken: Box[] = at.map(({ left, top }) => ({ x1: left - 6, x2: left + 6, y1: top - 6, y2: top + 6 }));
  return at.flatMap(({ left, top, name }): Shape[] => {
    const width = LETTER.width * name.length;
    const tries = [
      { style: 'name', x: left + 7, y: top - 6, x1: left + 7 },
      { style: 'tick', x: left - 7, y: top - 6, x1: left - 7 - width },
      { style: 'name', x: left + 7, y: top + 15, x1: left + 7 },
      { style: 'tick', x: left - 7, y: top + 15, x1: left - 7 - width },
    ];
    for (const { style, x, y, x1 } of tries) {
      const box = { x1, x2: x1 + width, y1: y - LETTER.height + 2, y2: y + 2 };
      if (box.x1 < PLOT.left || box.x2 > WIDTH || box.y1 < 0 || box.y2 > bottom) continue;
      if (taken.some((other) => meet(box, other))) continue;
      taken.push(box);
      return [{ is: 'text', style, x, y, text: name }];
    }
    return [];
  });
}
