/** One table or picture as a file of its own. */
import { csv } from './csv.ts';
import { Markup, markup } from './markup.ts';
import type { ReportTable, ReportValue } from './document.ts';
import { markPath, type Drawing } from './drawing.ts';
import { drawn } from './html.ts';
import { PALETTE, pictureRules } from './palette.ts';

/** As CSV: the numbers as they are, not as they are rounded for reading. An interval has columns of its own. */
export function tableCsv(table: ReportTable): string {
  const spread = table.columns.map((_, i) =>
    table.rows.some((row) => {
      const value = row[i];
      return value !== null && typeof value === 'object' && 'low' in value!;
    }),
  );
  const head = table.columns.flatMap(({ title }, i) =>
    spread[i] ? [title, `${title}, low`, `${title}, high`] : [title],
  );
  const fields = (value: ReportValue, wide: boolean): (string | number)[] => {
    if (value !== null && typeof value === 'object') {
      if ('low' in value) return [value.value, value.low, value.high];
      return wide ? [value.missing, '', ''] : [value.missing];
    }
    return wide ? [value ?? '', '', ''] : [value ?? ''];
  };
  return csv(
    head,
    table.rows.map((row) => row.flatMap((value, i) => fields(value, spread[i]!))),
  );
}

const LEGEND = 22;

/** A picture that stands for itself: its colours, its legend and its title are in it. */
export function drawingSvg(drawing: Drawing, scheme: 'light' | 'dark'): string {
  const { width, legend } = drawing;
  const top = 28;
  const height = top + drawing.height + legend.length * LEGEND + 12;
  const keys = legend.map((entry, i) => {
    const y = top + drawing.height + 16 + i * LEGEND;
    const sign =
      'kind' in entry
        ? markup`<rect class="v-${entry.kind}" x="0" y="${y - 12}" width="16" height="16"/><text class="in" x="8" y="${y}">${entry.sign}</text>`
        : 'mark' in entry
          ? markup`<path class="${entry.style}" d="${markPath(entry.mark, 15, y - 4)}"/>`
          : markup`<line class="${entry.style}" stroke-dasharray="${entry.dash}" x1="0" x2="30" y1="${y - 4}" y2="${y - 4}"/>`;
    return markup`${sign}<text x="38" y="${y}">${entry.text}</text>`;
  });
  const colour = (name: keyof typeof PALETTE): string => PALETTE[name][scheme === 'light' ? 0 : 1];
  const rules = `.paper{fill:${colour('paper')}}${pictureRules(colour)}`;
  return markup`<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 ${width + 24} ${height}" width="${width + 24}" height="${height}" role="img" aria-label="${drawing.label}"><style>${new Markup(rules)}</style><rect class="paper" x="-12" y="0" width="${width + 24}" height="${height}"/><text class="head" x="0" y="18">${drawing.label}</text><g transform="translate(0 ${top})">${drawn(drawing)}</g>${keys}</svg>`
    .text;
}
