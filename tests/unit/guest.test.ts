import { describe, expect, it } from 'vitest';
import { Guest, type Host } from '../../src/worker/guest.ts';
import type { RunInfo } from '../../src/worker/protocol.ts';

const run = (state: RunInfo['state'], more: Partial<RunInfo> = {}): RunInfo =>
  ({ id: 'run-1', name: 'mft', state, error: null, ...more }) as RunInfo;

function setting(o: { run?: RunInfo | null; bytes?: number } = {}) {
  const log: string[] = [];
  let current = o.run ?? null;
  const host: Host = {
    run: () => current,
    release: async () => {
      log.push('release');
      // as a run does that is put on disk
      if (current) current.state = 'stopped';
      current = null;
      return o.bytes ?? 0;
    },
    reopen: async (id) => {
      log.push(`reopen ${id}`);
      current = run('paused');
    },
  };
  const visitor = { name: 'WebLLM', leave: async () => void log.push('leave') };
  return { guest: new Guest(host), visitor, log };
}
const never = new Promise<void>(() => {});

describe('the GPU and its guest', () => {
  it('is given up whole before the guest comes; a paused run stands paused again after it went', async () => {
    const { guest, visitor, log } = setting({ run: run('paused') });
    await guest.lend(visitor, async () => void log.push('work'));
    expect(guest.present).toBe('WebLLM');
    await guest.lend(visitor, async () => void log.push('more'));
    await guest.leave();
    expect(log).toEqual(['release', 'work', 'more', 'leave', 'reopen run-1']);
    expect(guest.present).toBeNull();
  });

  it('goes back to the lab when the lab wants it and the guest is idle', async () => {
    const { guest, visitor, log } = setting({ run: run('paused') });
    await guest.lend(visitor, async () => {});
    await guest.own(async () => void log.push('own'));
    expect(log).toEqual(['release', 'leave', 'reopen run-1', 'own']);
  });

  it.each([
    ['a run trains', { run: run('running') }, /mft.*is training/],
    ['a run begins', { run: run('starting') }, /mft.*is training/],
    ['a run could not save', { run: run('failed') }, /something to save/],
    [
      'a paused run could not save',
      { run: run('paused', { error: { code: 'quota', what: '', safe: '', next: '' } }) },
      /something to save/,
    ],
  ])('is refused to the guest, with nothing touched, while %s', async (_name, o, words) => {
    const { guest, visitor, log } = setting(o);
    await expect(guest.lend(visitor, async () => {})).rejects.toThrow(words);
    expect(log).toEqual([]);
  });

  it('is refused while the lab answers, and to the lab while the guest works', async () => {
    const { guest, visitor, log } = setting();
    void guest.own(() => never);
    await expect(guest.lend(visitor, async () => {})).rejects.toThrow(/at work/);
    const other = setting();
    void other.guest.lend(other.visitor, () => never);
    await Promise.resolve();
    await expect(other.guest.own(async () => {})).rejects.toThrow(/WebLLM.* at work/);
    expect(log).toEqual([]);
  });

  it('is refused where buffers are left, and the run that was put on disk comes back', async () => {
    const { guest, visitor, log } = setting({ run: run('paused'), bytes: 64 });
    await expect(guest.lend(visitor, async () => {})).rejects.toThrow(/at work/);
    expect(log).toEqual(['release', 'reopen run-1']);
    expect(guest.present).toBeNull();
  });

  it('comes back after the guest failed', async () => {
    const { guest, visitor, log } = setting();
    await expect(guest.lend(visitor, () => Promise.reject(new Error('boom')))).rejects.toThrow('boom');
    await guest.own(async () => void log.push('own'));
    expect(log).toEqual(['release', 'leave', 'own']);
  });
});
