import { cohenKappa, macroF1 } from '../../core/stats.ts';

/** How two judges of the same answers agree. */
export interface Agreement<K extends string> {
  kinds: readonly K[];
  /** counts[i][j]: answers that the first calls kinds[i] and the second kinds[j]. */
  table: number[][];
  n: number;
  /** Share of answers on which they agree; NaN without any. */
  agreed: number;
  /** Null where chance alone would agree on everything. */
  kappa: number | null;
  /** Of each kind, the first judge taken for the truth. */
  f1: number[];
  macroF1: number;
}

export function agreement<K extends string>(
  first: readonly K[],
  second: readonly K[],
  kinds: readonly K[],
): Agreement<K> {
  const { f1, macro } = macroF1(first, second, kinds);
  const table = kinds.map((a) => kinds.map((b) => first.filter((x, i) => x === a && second[i] === b).length));
  const n = first.length;
  const hits = table.reduce((sum, row, i) => sum + row[i]!, 0);
  return { kinds, table, n, agreed: hits / n, kappa: cohenKappa(table), f1, macroF1: macro };
}
