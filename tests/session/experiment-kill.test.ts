/** The experiment as a command that is killed and started again: it goes on, and looks at nothing twice. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Result } from '../../src/cli/summary/result.ts';
import { long } from '../support/long.ts';
import { standInFolders } from '../support/stand-in.ts';

const root = join(import.meta.dirname, '../..');
/** Where the command is given: its cache lies below. */
const home = mkdtempSync(join(tmpdir(), 'experiment-killed-'));
const running = new Set<ChildProcess>();
beforeAll(() => standInFolders(join(home, 'models'), ['tiny-base', 'tiny-chat']));
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(home, { recursive: true });
});

function experiment(...more: string[]): {
  child: ChildProcess;
  ended: Promise<{ code: number | null; said: string }>;
} {
  const args = ['src/cli/experiment.ts', '--preset', 'smoke', '--models', join(home, 'models')];
  const own = ['--defended', 'chat+booster', '--attack', 'mft', '--attack', 'none', ...more];
  // this very process computes: a child of run.mjs would outlive it
  const child = spawn(process.execPath, [join(root, 'scripts/lib/entry.mjs'), ...args, ...own], {
    cwd: home,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, FORCE_COLOR: '1' },
  });
  running.add(child);
  let said = '';
  child.stderr!.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const ended = new Promise<{ code: number | null; said: string }>((resolve) =>
    child.on('close', (code) => {
      running.delete(child);
      resolve({ code, said });
    }),
  );
  return { child, ended };
}

const cells = (): string[] => {
  const [digest, ...others] = readdirSync(join(home, '.cache/experiment'));
  expect(others).toEqual([]);
  const dir = join(home, '.cache/experiment', digest!);
  return readdirSync(dir)
    .filter((name) => /_\d+\.json$/.test(name))
    .map((name) => join(dir, name));
};

long(
  'killed in the middle of the matrix it goes on where it was, and tells the time that is left',
  async () => {
    const first = experiment();
    await expect
      .poll(
        () => {
          try {
            return cells().filter((path) => path.includes('booster_d1_mft')).length;
          } catch {
            return 0; // nothing was written yet
          }
        },
        { timeout: 300_000, interval: 50 },
      )
      .toBeGreaterThan(0);
    first.child.kill('SIGKILL');
    const { code, said } = await first.ended;
    expect(code).not.toBe(0);
    expect(said).toMatch(/making chat\+booster step \d+\/15/);
    const before = new Map(cells().map((path) => [path, statSync(path).mtimeMs]));
    expect(before.size).toBeLessThan(8);

    const file = join(home, 'result.json');
    const second = await experiment('--json', file).ended;
    expect(second).toMatchObject({ code: 0 });
    // what was made and looked at stays
    for (const [path, time] of before) expect(statSync(path).mtimeMs, path).toBe(time);
    expect(second.said).not.toMatch(/making|chat x mft/);
    expect(second.said).toMatch(/chat\+booster x mft .* left/);
    const { cells: came, failures, planned } = JSON.parse(readFileSync(file, 'utf8')) as Result;
    expect(failures).toEqual([]);
    expect(came.map((c) => [c.model, c.attack, c.steps])).toEqual(
      planned.map((p) => [p.model, p.attack, p.steps]),
    );
    expect(planned).toHaveLength(8);
    // 15 steps of three gradients, of the process that was killed; an attack of 10 steps, looked at after 2, 5 and 10
    const attacked = came.filter((c) => c.model === 'chat+booster' && c.attack === 'mft');
    for (const c of attacked)
      expect(c.made).toMatchObject([{ model: 'chat+booster', cost: { steps: 15, gradients: 45 } }]);
    expect(attacked.map((c) => c.cost!.gradients)).toEqual([2, 5, 10]);
  },
  600_000,
);
