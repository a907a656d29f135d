import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks of /proc in a second, on every Linux that Chromium runs on. */
const TICKS = 100;

/**
 * What this process has started, and what that has, of browsers: CPU seconds so far and resident bytes. Empty where there is no /proc.
 *
 * @returns {{ id: number; type: string; cpu: number; resident: number }[]}
 */
export function processes() {
  /** @type {{ id: number; parent: number; type: string; cpu: number; resident: number }[]} */
  const all = [];
  for (const id of ids()) {
    try {
      const command = readFileSync(`/proc/${id}/cmdline`, 'utf8');
      // behind the name, which may hold anything: state, parent, ...; fields 14 and 15 of all are ticks in user and kernel mode
      const [, parent, ...fields] = (readFileSync(`/proc/${id}/stat`, 'utf8').split(') ').at(-1) ?? '').split(
        ' ',
      );
      const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, 'utf8'))?.[1];
      all.push({
        id,
        parent: Number(parent),
        type: /--type=([\w-]+)/.exec(command)?.[1] ?? (command.includes('--user-data-dir') ? 'browser' : ''),
        cpu: (Number(fields[9]) + Number(fields[10])) / TICKS,
        resident: Number(kilobytes ?? 0) * 1024,
      });
    } catch {
      // a process that has ended meanwhile
    }
  }
  const ours = new Set([process.pid]);
  for (let before = 0; before < ours.size;) {
    before = ours.size;
    for (const { id, parent } of all) if (ours.has(parent)) ours.add(id);
  }
  return all.filter(({ id, type }) => ours.has(id) && type !== '');
}

/** @returns {number[]} */
function ids() {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}
