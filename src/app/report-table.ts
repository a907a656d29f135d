/** What the tables of the page's report are made of. */
import { wilson } from '../core/stats.ts';
import type { ReportColumn, ReportTable, ReportValue } from '../report/document.ts';
import type { Say } from '../report/words.ts';
import type { LabNode } from '../worker/protocol.ts';
import type { Placed } from './measured.ts';
import { differsIn } from './twins.ts';

export interface Column<R> {
  column: ReportColumn;
  of(row: R): ReportValue;
}

export type About = Pick<ReportTable, 'id' | 'title' | 'notes' | 'picture'>;

/** A row for each checkpoint: which it is, and these columns. */
export function nodeTable<R extends Pick<Placed, 'node' | 'from'>>(
  rows: readonly R[],
  w: Say,
  about: About,
  columns: readonly Column<R>[],
): ReportTable {
  const nodes = rows.map((r) => r.node);
  const all: Column<R>[] = [
    {
      column: { id: 'checkpoint', title: w('checkpoint'), unit: 'text' },
      of: ({ node }) => [node.name, ...differsIn(node, nodes)].join(', '),
    },
    { column: { id: 'from', title: w('from'), unit: 'text' }, of: (r) => r.from },
    { column: { id: 'steps', title: w('steps'), unit: 'count' }, of: (r) => r.node.steps },
    ...columns,
  ];
  return { ...about, columns: all.map((c) => c.column), rows: rows.map((row) => all.map((c) => c.of(row))) };
}

const column =
  (unit: ReportColumn['unit']) =>
  (id: string, title: string, definition?: string): ReportColumn => ({
    id,
    title,
    unit,
    ...(definition && { definition }),
  });
export const words = column('text');
export const share = column('share');
export const number = column('number');
export const count = column('count');
export const difference = column('difference');

/** k of n with Wilson's interval; nothing where nothing was asked. */
export function wilsonOf(k: number, n: number): ReportValue {
  const [low, high] = wilson(k, n);
  return n === 0 ? null : { value: k / n, low, high };
}

export const figureOf = ({
  value,
  interval: [low, high],
}: {
  value: number;
  interval: readonly [number, number];
}): ReportValue => ({ value, low, high });

/** Why there is no figure: it was begun and came so far, or the given word. */
export function missing(w: Say, { unfinished }: Placed, work: string, word: string): ReportValue {
  const so = unfinished.find((u) => u.work === work);
  if (!so) return { missing: word };
  const { answered: n, total } = so;
  return { missing: total === null ? w('partialSome', { n }) : w('partialOf', { n, m: total }) };
}

/** How a model was tuned, but for some settings: recipe, settings, seed. */
export const tuningOf = (
  { recipe, settings, seeds, kind }: LabNode,
  without: readonly string[] = [],
): string =>
  [
    recipe ?? '',
    ...Object.entries(settings)
      .filter(([key]) => !without.includes(key))
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, value]) => `${key}=${String(value)}`),
    `seed=${kind === 'defence' ? seeds.defence : seeds.attack}`,
  ].join(' ');
