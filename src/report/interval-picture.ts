/** Figures with their intervals, and the line where chance lies. */
import { valueText, type ReportTable, type ReportValue } from './document.ts';
import { COLOURS, columnAt, labelOf, numberOf, PLOT, WIDTH, type Drawing, type Shape } from './drawing.ts';

/** Room for names at the left. */
const LABELS = 250;
const LINE = 20;
/** Room for what stands above and below the lines. */
const SCALE = 22;
const CHANCE = { style: 'line chance', dash: '5 4' };

type Intervals = Extract<NonNullable<ReportTable['picture']>, { kind: 'intervals' }>;

/** A line for each value of a row, its dot in its interval, and a dashed line where chance lies. */
export function intervals(table: ReportTable, p: Intervals): Drawing | null {
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
