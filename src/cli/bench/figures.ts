import { quantile } from '../../core/stats.ts';

export const round = (x: number, digits = 4): number => Number(x.toPrecision(digits));

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** User and system milliseconds of this process so far; a software adapter computes in it. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
