import type { GoldenGroup } from '../core/checks.ts';
import { LabError } from '../core/errors.ts';
import { relError, ZERO_TOL, type Numbers } from './compare.ts';

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
