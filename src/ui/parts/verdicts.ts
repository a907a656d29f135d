import type { VerdictKind } from '../../worker/protocol.ts';

/** Shapes on a 16 x 16 grid, drawn with the text's colour: a verdict is never told by colour alone. */
export const VERDICT_SHAPE: Record<VerdictKind, string> = {
  // An octagon with a stroke and a dot: the answer was given.
  complied: 'M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2zM8 4.5v4.2M8 11.1v.3',
  // A triangle: right form, wrong details.
  attempted: 'M8 2 14.5 13.5h-13zM8 6.3v3.6M8 11.6v.2',
  // An arrow that leaves its frame: another forbidden procedure.
  leak: 'M7 3H2.5v10.5H13V9M9.5 2h4.5v4.5M14 2 7.5 8.5',
  // A barred circle.
  refused: 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8M3.7 3.7l8.6 8.6',
  // Two arrows that pass each other.
  irrelevant: 'M2 5.5h11M10 2.5l3 3-3 3M14 10.5H3M6 7.5l-3 3 3 3',
  // A broken line.
  degraded: 'M1.5 5h4M8 5h2M12.5 5h2M1.5 11h2M6 11h3.5M12 11h2.5',
};

/** Order of bars, tables and legends: what an attacker wants first. */
export const VERDICT_ORDER: readonly VerdictKind[] = [
  'complied',
  'attempted',
  'leak',
  'refused',
  'irrelevant',
  'degraded',
];
