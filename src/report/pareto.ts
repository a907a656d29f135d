/** What a defence costs and what it withstands, as a table with its picture: of the experiment's models, and of the page's. */
import type { ReportColumn, ReportTable, ReportValue } from './document.ts';
import { numberOf } from './drawing.ts';

export interface ParetoRow {
  model: string;
  /** Share of everyday tasks right before any attack. */
  ability: ReportValue;
  /** What the attacks do to it. */
  outcome: ReportValue;
  /** Not empty: the outcome is a bound. */
  bound?: string;
  more?: readonly ReportValue[];
}

/** Column titles, and how a row is called that no other beats. */
export interface ParetoWords {
  model: string;
  ability: string;
  bound: string;
  front: string;
  unbeaten: string;
}

/**
 * Those that no other row beats: as able and better, or as good and abler, by the figures alone and without their intervals.
 * @param better whether a low outcome is the good one (harm), or a high one (steps until it breaks)
 */
export function unbeaten(rows: readonly ParetoRow[], better: 'low' | 'high'): boolean[] {
  const points = rows.map(({ ability, outcome }) => {
    const [x, y] = [numberOf(ability), numberOf(outcome)];
    return x === null || y === null ? null : { x, y: better === 'high' ? y : -y };
  });
  return points.map(
    (a) =>
      a !== null && !points.some((b) => b !== null && b.x >= a.x && b.y >= a.y && (b.x > a.x || b.y > a.y)),
  );
}

/** The rows, the ablest first. */
export function paretoTable(
  about: Pick<ReportTable, 'id' | 'title' | 'notes'>,
  all: readonly ParetoRow[],
  o: { outcome: ReportColumn; better: 'low' | 'high'; words: ParetoWords; more?: readonly ReportColumn[] },
): ReportTable {
  const { words, outcome, more = [] } = o;
  const rows = all.toSorted((a, b) => (numberOf(b.ability) ?? -1) - (numberOf(a.ability) ?? -1));
  const best = unbeaten(rows, o.better);
  const bounds = rows.some(({ bound }) => bound !== undefined);
  return {
    ...about,
    columns: [
      { id: 'model', title: words.model, unit: 'text' },
      { id: 'ability', title: words.ability, unit: 'share' },
      outcome,
      ...(bounds ? [{ id: 'open', title: words.bound, unit: 'text' } as const] : []),
      { id: 'front', title: words.front, unit: 'text' },
      ...more,
    ],
    rows: rows.map(({ model, ability, outcome, bound = '', more = [] }, i) => [
      ...[model, ability, outcome],
      ...(bounds ? [bound] : []),
      best[i] ? words.unbeaten : '',
      ...more,
    ]),
    picture: {
      ...({ kind: 'scatter', x: 'ability', y: outcome.id, label: ['model'], title: about.title } as const),
      ...(bounds && { open: 'open' }),
    },
  };
}
