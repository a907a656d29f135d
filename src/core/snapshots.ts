/**
 * Which steps of a training run are kept, so that one can move through it afterwards. Step 0 is the model that it started from and
 * needs no copy; neither do the steps at which the run saves a checkpoint.
 */

/** Dense where an attack changes most. */
const FIRST = [1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100] as const;
/** Beyond them: every so many steps, up to so many. */
const LATER = [
  { every: 20, to: 200 },
  { every: 50, to: 500 },
  { every: 100, to: Infinity },
] as const;

/** Bytes that the kept steps of one run may take unless its user says otherwise. */
export const KEEP_LIMIT = 60e6;

/** Steps after `from` and before or at `total`, ascending. */
function schedule(from: number, total: number): number[] {
  const steps: number[] = FIRST.filter((step) => step <= total);
  for (let at: number = FIRST.at(-1)!; at < total;) {
    const { every } = LATER.find(({ to }) => at < to)!;
    at += every;
    if (at <= total) steps.push(at);
  }
  return steps.filter((step) => step > from);
}

/**
 * The steps of a run that are kept. Where not all of them fit, some over its whole length, the first and the last among them.
 * @param o.total the run's length in steps
 * @param o.from steps up to this one have been kept before
 * @param o.saved steps with a checkpoint of their own
 * @param o.room how many fit
 */
export function keptSteps(o: {
  total: number;
  from?: number;
  saved: readonly number[];
  room: number;
}): number[] {
  const wanted = schedule(o.from ?? 0, o.total).filter((step) => step < o.total && !o.saved.includes(step));
  const n = Math.max(0, Math.floor(o.room));
  if (wanted.length <= n) return wanted;
  if (n < 2) return wanted.slice(0, n);
  return Array.from({ length: n }, (_, i) => wanted[Math.round((i * (wanted.length - 1)) / (n - 1))]!);
}
