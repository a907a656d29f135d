/** Which kernel family computes what: the defaults of an adapter, and tables that were stored. */

/** NT: C = A Bᵀ (y = x Wᵀ); NN: C = A B (dx = dy W); TN: C = Aᵀ B (dW = dyᵀ x). */
export type Layout = 'NT' | 'NN' | 'TN';

/** Products by layout and by the size of their matrix of weights: rows of the batch change from step to step, weights do not. */
export type MatmulClass = `${Layout} ${'small' | 'large'}`;

export const MATMUL_CLASSES: readonly MatmulClass[] = [
  'NT small',
  'NN small',
  'TN small',
  'NT large',
  'NN large',
  'TN large',
];

/**
 * `subgroup`: register tiles fed by subgroup broadcasts, workgroup = one subgroup; `tile`: shared-memory tile; `plain`: register
 * tile of one invocation, without either.
 */
export type MatmulFamily = 'subgroup' | 'tile' | 'plain';

export const MATMUL_FAMILIES: readonly MatmulFamily[] = ['subgroup', 'tile', 'plain'];

/** A plain JSON value. Part of a run's configuration: another table may round differently. */
export interface KernelTable {
  matmul: Readonly<Record<MatmulClass, MatmulFamily>>;
  /** In decoding, products of at most so many rows are made by the matrix-vector kernel; 0: none. */
  gemv: number;
  attention: 'subgroup' | 'plain';
  reduce: 'subgroup' | 'shared';
  /** Lanes of a subgroup; 0 where the adapter has no single fixed size. */
  subgroupSize: number;
}

/** Most rows of the matrix-vector kernel. */
export const GEMV_ROWS = 8;

/** The same family for every class of products. */
export function everyMatmul(family: MatmulFamily): KernelTable['matmul'] {
  return Object.fromEntries(MATMUL_CLASSES.map((c) => [c, family])) as Record<MatmulClass, MatmulFamily>;
}

/** Families that an adapter can run; the first is the default, measured or not. */
export function matmulFamilies(subgroupSize: number): MatmulFamily[] {
  return MATMUL_FAMILIES.filter((family) => subgroupSize > 0 || family !== 'subgroup');
}

/** What an adapter gets where nothing was measured. */
export function defaultTable(subgroupSize: number): KernelTable {
  const subgroups = subgroupSize > 0;
  return {
    matmul: everyMatmul(matmulFamilies(subgroupSize)[0]!),
    // SwiftShader (4 lanes) gains nothing from the second block of rows
    gemv: subgroupSize === 4 ? 4 : GEMV_ROWS,
    attention: subgroups ? 'subgroup' : 'plain',
    reduce: subgroups ? 'subgroup' : 'shared',
    subgroupSize,
  };
}

/** A stored table; null where it is none, or where an adapter with such subgroups cannot run it. */
export function readTable(stored: unknown, subgroupSize: number): KernelTable | null {
  if (typeof stored !== 'object' || stored === null) return null;
  const { matmul, gemv, attention, reduce, subgroupSize: lanes } = stored as Partial<KernelTable>;
  const usual = defaultTable(subgroupSize);
  const families: readonly unknown[] = matmulFamilies(subgroupSize);
  if (lanes !== subgroupSize || typeof matmul !== 'object') return null;
  if (!MATMUL_CLASSES.every((c) => families.includes(matmul[c]))) return null;
  if (!Number.isInteger(gemv) || gemv! < 0 || gemv! > GEMV_ROWS) return null;
  if (attention !== 'plain' && attention !== usual.attention) return null;
  if (reduce !== 'shared' && reduce !== usual.reduce) return null;
  return { matmul: { ...matmul }, gemv: gemv!, attention, reduce, subgroupSize };
}

/** Products that decide an entry of the table; of 'decode' the number of rows. */
export type MeasuredClass = MatmulClass | `decode ${number}`;

/** One family on the sizes that stand for a class. */
export interface KernelTime {
  what: MeasuredClass;
  family: MatmulFamily | 'gemv';
  /** [M, N, K] */
  sizes: readonly [number, number, number];
  /** Median of one product. */
  microseconds: number;
}

export interface KernelMeasurement {
  times: KernelTime[];
  /** It took so long; in turns with other work. */
  milliseconds: number;
  /** Milliseconds since 1970. */
  at: number;
  /** False where time ran out before everything was measured: the rest is the default. */
  complete: boolean;
  /** The GPU's own, or from submit to done: one for all times. */
  clock: 'timestamp' | 'wall';
}
