/** The pictures of a report: plain SVG, made of a table and of nothing else. */
import { VERDICTS } from '../core/verdicts.ts';
import { valueText, type ReportTable, type ReportValue } from './document.ts';
import { Markup, markup, nothing } from './markup.ts';

const WIDTH = 720;

export function picture(table: ReportTable): Markup {
  const p = table.picture;
  if (!p || table.rows.length === 0) return nothing;
  return p.kind === 'verdicts' ? verdictBars(table, p.label) : curves(table, p);
}

/** A number, or the middle of an interval; null where there is none. */
export function numberOf(value: ReportValue | undefined): number | null {
  if (typeof value === 'number') return value;
  if (value !== null && typeof value === 'object' && 'value' in value) return value.value;
  return null;
}

const columnAt = (table: ReportTable, id: string): number => table.columns.findIndex((c) => c.id === id);

const labelOf = (table: ReportTable, row: readonly ReportValue[], ids: readonly string[]): string =>
  ids
    .map((id) => columnAt(table, id))
    .filter((at) => at >= 0)
    .map((at) => valueText(row[at]!, table.columns[at]!))
    .filter((text) => text !== '')
    .join(' · ');

const BAR = 16;
const GAP = 6;
const LABELS = 250;

function verdictBars(table: ReportTable, label: readonly string[]): Markup {
  const columns = VERDICTS.map((kind) => ({ kind, at: columnAt(table, kind) })).filter((c) => c.at >= 0);
  const bars = table.rows.map((row, r) => {
    const y = r * (BAR + GAP);
    let x = LABELS;
    const parts = columns.map(({ kind, at }) => {
      const share = numberOf(row[at]) ?? 0;
      const width = share * (WIDTH - LABELS);
      const part =
        width > 0
          ? markup`<rect class="v-${kind}" x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR}"><title>${table.columns[at]!.title}: ${valueText(share, { unit: 'share' })} %</title></rect>${width > 22 ? markup`<text class="in" x="${(x + width / 2).toFixed(1)}" y="${y + 12}">${SIGNS[kind]}</text>` : nothing}`
          : nothing;
      x += width;
      return part;
    });
    return markup`<text class="label" x="${LABELS - 8}" y="${y + 12}">${labelOf(table, row, label)}</text>${parts}`;
  });
  const legend = columns.map(
    ({ kind, at }) =>
      markup`<li><span class="key v-${kind}">${SIGNS[kind]}</span> ${table.columns[at]!.title}</li>`,
  );
  const height = table.rows.length * (BAR + GAP);
  return markup`<figure><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${table.title}">${bars}</svg><figcaption><ul class="legend">${legend}</ul></figcaption></figure>`;
}

/** Letters in the bars: colour is never the only sign. */
export const SIGNS = {
  refused: 'R',
  complied: 'C',
  leak: 'L',
  attempted: 'A',
  irrelevant: 'O',
  degraded: 'B',
} as const;

const PLOT = { left: 48, right: 12, top: 12, bottom: 34, height: 260 };
const DASHES = ['', '7 4', '2 4', '10 4 2 4'];

function curves(
  table: ReportTable,
  p: Extract<NonNullable<ReportTable['picture']>, { kind: 'curves' }>,
): Markup {
  const [xAt, yAt] = [columnAt(table, p.x), columnAt(table, p.y)];
  if (xAt < 0 || yAt < 0) return nothing;
  const lines = new Map<string, { x: number; y: number }[]>();
  for (const row of table.rows) {
    const [x, y] = [numberOf(row[xAt]), numberOf(row[yAt])];
    if (x === null || y === null) continue;
    const key = labelOf(table, row, p.line);
    lines.set(key, [...(lines.get(key) ?? []), { x, y }]);
  }
  const xs = [...new Set([...lines.values()].flat().map((point) => point.x))].sort((a, b) => a - b);
  if (xs.length === 0) return nothing;
  // Steps are looked at ever more seldom: each look has the same room.
  const place = (x: number): number =>
    PLOT.left + ((WIDTH - PLOT.left - PLOT.right) * xs.indexOf(x)) / Math.max(1, xs.length - 1);
  const inner = PLOT.height - PLOT.top - PLOT.bottom;
  const level = (y: number): number => PLOT.top + inner * (1 - y);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(
    (y) =>
      markup`<line class="grid" x1="${PLOT.left}" x2="${WIDTH - PLOT.right}" y1="${level(y)}" y2="${level(y)}"/><text class="tick" x="${PLOT.left - 6}" y="${level(y) + 4}">${100 * y}</text>`,
  );
  const steps = xs.map(
    (x) =>
      markup`<text class="step" x="${place(x).toFixed(1)}" y="${PLOT.height - PLOT.bottom + 16}">${x}</text>`,
  );
  const drawn = [...lines].map(([name, points], i) => {
    const sorted = [...points].sort((a, b) => a.x - b.x);
    const d = sorted.map(({ x, y }) => `${place(x).toFixed(1)},${level(y).toFixed(1)}`).join(' ');
    const style = `line l${i % 8}`;
    const dots = sorted.map(
      ({ x, y }) =>
        markup`<circle class="${style}" cx="${place(x).toFixed(1)}" cy="${level(y).toFixed(1)}" r="3"/>`,
    );
    return markup`<polyline class="${style}" stroke-dasharray="${DASHES[i % DASHES.length]!}" points="${d}"><title>${name}</title></polyline>${dots}`;
  });
  const legend = [...lines.keys()].map(
    (name, i) =>
      markup`<li><svg class="key" viewBox="0 0 30 8" aria-hidden="true"><line class="line l${i % 8}" stroke-dasharray="${DASHES[i % DASHES.length]!}" x1="0" x2="30" y1="4" y2="4"/></svg> ${name}</li>`,
  );
  return markup`<figure><svg viewBox="0 0 ${WIDTH} ${PLOT.height}" role="img" aria-label="${p.title}">${ticks}${steps}<text class="step" x="${WIDTH / 2}" y="${PLOT.height - 4}">${table.columns[xAt]!.title}</text>${drawn}</svg><figcaption>${p.title}<ul class="legend">${legend}</ul></figcaption></figure>`;
}
