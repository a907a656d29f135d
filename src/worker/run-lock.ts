import { LabError } from '../core/errors.ts';

/**
 * A run belongs to one tab at a time. Holds the lock until the returned function is called (or the tab dies).
 * @throws LabError 'bad-input' when another tab has it
 */
export async function lockRun(runId: string): Promise<() => void> {
  if (typeof navigator === 'undefined' || !navigator.locks) return () => {};
  return new Promise((resolve, reject) => {
    const name = `sdd-lab-run:${runId}`;
    const request = navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (lock) return new Promise<void>((release) => resolve(release));
      reject(
        new LabError('bad-input', 'Another tab of the lab has this run open.', {
          safe: 'The run goes on there.',
          next: 'Use that tab, or close it and try again.',
        }),
      );
      return undefined;
    });
    request.catch(reject); // a page that may not use locks, or is on its way out
  });
}
