/** Shapes of which the pictures of tables are made, and how a table's values are read for them. */
import type { VerdictKind } from '../core/verdicts.ts';
import { valueText, type ReportTable, type ReportValue } from './document.ts';

export type Shape =
  | {
      is: 'rect';
      style: string;
      x: number;
      y: number;
      width: number;
      height: number;
      title: string;
      /** 0..1; default 1. */
      strength?: number;
    }
  | { is: 'text'; style: string; x: number; y: number; text: string }
  | { is: 'line'; style: string; x1: number; x2: number; y1: number; y2: number }
  | { is: 'path'; style: string; dash: string; points: string; title: string }
  /** Closed and filled. */
  | { is: 'area'; style: string; points: string; title: string }
  | { is: 'dot'; style: string; x: number; y: number }
  /** One of the forms of `markPath`. */
  | { is: 'mark'; style: string; mark: number; x: number; y: number; title: string }
  /** Many points without names, as one shape; x and y of each in turn. */
  | { is: 'dots'; style: string; at: readonly number[] };

/** Of a path that leaves a round dot at each place. */
export function dotsPath(at: readonly number[]): string {
  let path = '';
  for (let i = 0; i < at.length; i += 2) path += `M${at[i]!.toFixed(1)},${at[i + 1]!.toFixed(1)}h0`;
  return path;
}

/** Corners of marks, in radii; none: a circle. */
const CORNERS: readonly (readonly (readonly [number, number])[])[] = [
  [],
  [
    [-0.9, -0.9],
    [0.9, -0.9],
    [0.9, 0.9],
    [-0.9, 0.9],
  ],
  [
    [0, -1.25],
    [1.15, 0.85],
    [-1.15, 0.85],
  ],
  [
    [0, -1.3],
    [1.3, 0],
    [0, 1.3],
    [-1.3, 0],
  ],
  [
    [0, 1.25],
    [1.15, -0.85],
    [-1.15, -0.85],
  ],
  [
    [-0.4, -1.2],
    [0.4, -1.2],
    [0.4, -0.4],
    [1.2, -0.4],
    [1.2, 0.4],
    [0.4, 0.4],
    [0.4, 1.2],
    [-0.4, 1.2],
    [-0.4, 0.4],
    [-1.2, 0.4],
    [-1.2, -0.4],
    [-0.4, -0.4],
  ],
  [
    [0, -1.3],
    [1.24, -0.4],
    [0.76, 1.05],
    [-0.76, 1.05],
    [-1.24, -0.4],
  ],
  [
    [-1.2, -0.7],
    [-0.7, -1.2],
    [0, -0.5],
    [0.7, -1.2],
    [1.2, -0.7],
    [0.5, 0],
    [1.2, 0.7],
    [0.7, 1.2],
    [0, 0.5],
    [-0.7, 1.2],
    [-1.2, 0.7],
    [-0.5, 0],
  ],
];
/** Different marks. */
export const MARKS = CORNERS.length;

/** The outline of a mark: colour is never the only sign. */
export function markPath(mark: number, x: number, y: number, r = 5): string {
  const corners = CORNERS[mark % MARKS]!;
  const at = (n: number): string => n.toFixed(1);
  if (corners.length === 0)
    return `M${at(x - r)},${at(y)}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0z`;
  return `M${corners.map(([dx, dy]) => `${at(x + r * dx)},${at(y + r * dy)}`).join('L')}z`;
}

export interface Drawing {
  width: number;
  height: number;
  /** What it shows, for those who do not see it; the table below holds the same numbers. */
  label: string;
  shapes: Shape[];
  legend: (
    | { kind: VerdictKind; sign: string; text: string }
    | { style: string; dash: string; text: string }
    | { style: string; mark: number; text: string }
  )[];
}

export const WIDTH = 720;

/** A number, or the middle of an interval; null where there is none. */
export function numberOf(value: ReportValue | undefined): number | null {
  if (typeof value === 'number') return value;
  if (value !== null && typeof value === 'object' && 'value' in value) return value.value;
  return null;
}

export const columnAt = (table: ReportTable, id: string): number =>
  table.columns.findIndex((c) => c.id === id);

/** @param named numbers after the name of their column: there is room for it */
export const labelOf = (
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

export const PLOT = { left: 48, right: 12, top: 12, bottom: 34, height: 260 };
export const DASHES = ['', '7 4', '2 4', '10 4 2 4'];
export const COLOURS = 8;
