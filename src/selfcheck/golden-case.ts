import type { GoldenGroup } from '../core/checks.ts';
import { LabError } from '../core/errors.ts';
import { readSafetensors } from '../model/safetensors.ts';
import { largestDifference, relError, ZERO_TOL, type Numbers } from './compare.ts';

/** Content of a golden case's folder by file name. */
export type CaseFiles = Record<string, ArrayBuffer>;

/** Relative L2 error that a golden case allows. */
export const TOL = 1e-4;

/** Keeps the worst error of every group. */
export class Report {
  readonly groups = new Map<string, GoldenGroup>();

  add(group: string, error: number, tolerance: number): void {
    const before = this.groups.get(group);
    // NaN is the worst error there is, and no comparison with it is true.
    if (before && !(Number.isNaN(error) || error / tolerance > before.error / before.tolerance)) return;
    this.groups.set(group, { group, error, tolerance, ok: error <= tolerance });
  }

  rel(group: string, actual: Numbers, expected: Numbers, tolerance = TOL): void {
    const zero = expected.every((x) => x === 0);
    this.add(group, relError(actual, expected), zero ? ZERO_TOL : tolerance);
  }
}

export function file(files: CaseFiles, name: string): Uint8Array {
  const bytes = files[name];
  if (!bytes) throw new LabError('bad-input', `The golden case lacks ${name}.`);
  return new Uint8Array(bytes);
}

export function json(files: CaseFiles, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(file(files, name)));
  } catch (cause) {
    if (cause instanceof LabError) throw cause;
    throw new LabError('bad-input', `${name} of the golden case is not JSON.`, { cause });
  }
}

/** What a case says of its own values. */
interface CompareMeta {
  compare?: Record<string, { kind: 'abs' | 'rel'; tol: number }>;
  ill_conditioned?: Record<string, { suggested_tol: number }>;
  /** In float64; as tensors they are rounded, and an accuracy of 1/3 is then off by more than allowed. */
  scalars: Record<string, number | number[]>;
}

/** Compares values with the stored ones by the case's own rules, and counts those that were never asked for. */
export function checkerOf(files: CaseFiles, report: Report) {
  const meta = json(files, 'meta.json') as CompareMeta;
  const expected = readSafetensors(file(files, 'expected.safetensors')).tensors;
  const missing = new Set(expected.keys());
  const stored = (name: string): Float32Array => {
    const tensor = expected.get(name);
    if (!tensor) throw new LabError('bad-input', `expected.safetensors of the golden case lacks ${name}.`);
    missing.delete(name);
    return tensor.data;
  };
  /** @param of the stored tensor -> the part of it that is compared */
  const check = (name: string, actual: Numbers, of = (values: Float32Array): Numbers => values): void => {
    const values = stored(name);
    const group = name.split('.')[0]!;
    const exact = meta.scalars[name];
    const want = exact === undefined ? of(values) : Float64Array.from([exact].flat());
    const rule = meta.compare?.[group];
    const tolerance = Math.max(rule?.tol ?? TOL, meta.ill_conditioned?.[name]?.suggested_tol ?? 0);
    if (rule?.kind === 'abs') report.add(group, largestDifference(actual, want), tolerance);
    else report.rel(group, actual, want, tolerance);
  };
  return Object.assign(check, { left: (): string[] => [...missing] });
}
