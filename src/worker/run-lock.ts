import { LabError } from '../core/errors.ts';

const PREFIX = 'sdd-lab-run:';

/** Ids of the runs that some tab has open, this one included. */
export async function lockedRuns(): Promise<Set<string>> {
  if (typeof navigator === 'undefined' || !navigator.locks) return new Set();
  const { held = [] } = await navigator.locks.query();
  const names = held.map(({ name = '' }) => name).filter((name) => name.startsWith(PREFIX));
  return new Set(names.map((name) => name.slice(PREFIX.length)));
}

/**
 * A run belongs to one tab at a time. Holds the lock until the returned function is called (or the tab dies).
 * @throws LabError 'bad-input' when another tab has it
 */
export const lockRun = (runId: string): Promise<() => void> =>
  lockAlone(`${PREFIX}${runId}`, 'Another tab of the lab has this run open.', 'The run goes on there.');

/** So does a download. @throws LabError 'bad-input' when another tab has it */
export const lockDownload = (id: string): Promise<() => void> =>
  lockAlone(
    `sdd-lab-download:${id}`,
    'This download is in use: a tab of the lab fetches or opens it.',
    'It goes on there.',
  );

/** Bundles are written and swept by one tab at a time. @throws LabError 'bad-input' when another tab is at it */
export const lockBundles = (): Promise<() => void> =>
  lockAlone(
    'sdd-lab-bundles',
    "Another tab of the lab writes into WebLLM's cache.",
    'It goes on there; nothing was changed here.',
  );

async function lockAlone(name: string, what: string, safe: string): Promise<() => void> {
  if (typeof navigator === 'undefined' || !navigator.locks) return () => {};
  return new Promise((resolve, reject) => {
    const request = navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (lock) return new Promise<void>((release) => resolve(release));
      const next = 'Use that tab, or close it and try again.';
      reject(new LabError('bad-input', what, { safe, next }));
      return undefined;
    });
    request.catch(reject); // a page that may not use locks, or is on its way out
  });
}
