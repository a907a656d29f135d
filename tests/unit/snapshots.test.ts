import { describe, expect, it } from 'vitest';
import { phaseOf, phaseStarts, type PhaseShares } from '../../src/core/phases.ts';
import { packSight, partsAt, unpackSight } from '../../src/core/sights.ts';
import { KEEP_LIMIT, keptSteps } from '../../src/core/snapshots.ts';
import { narrowSnapshot, widenSnapshot } from '../../src/model/snapshot.ts';

describe('the schedule of kept steps', () => {
  it('is dense at first, and leaves out what has a checkpoint of its own', () => {
    expect(keptSteps({ total: 20, saved: [20], room: 99 })).toEqual([1, 2, 3, 5, 7, 10, 15]);
    expect(keptSteps({ total: 50, saved: [20, 50], room: 99 })).toEqual([1, 2, 3, 5, 7, 10, 15, 25, 30, 40]);
    expect(keptSteps({ total: 400, saved: [400], room: 99 }).slice(-8)).toEqual([
      120, 140, 160, 180, 200, 250, 300, 350,
    ]);
    expect(keptSteps({ total: 1, saved: [1], room: 99 })).toEqual([]);
  });

  it('goes on where it stood when the run is made longer', () => {
    expect(keptSteps({ total: 100, from: 50, saved: [20, 50, 100], room: 99 })).toEqual([60, 80]);
  });

  it('is thinned over its whole length where not all fit', () => {
    expect(keptSteps({ total: 100, saved: [100], room: 4 })).toEqual([1, 7, 30, 80]);
    expect(keptSteps({ total: 100, saved: [100], room: 1.9 })).toEqual([1]);
    expect(keptSteps({ total: 100, saved: [100], room: 0 })).toEqual([]);
  });

  it('keeps fifty steps of the tiny model within its usual limit', () => {
    const all = keptSteps({ total: 3000, saved: [], room: KEEP_LIMIT / (2 * 432_192) });
    expect(all.length).toBeGreaterThanOrEqual(50);
    expect(all.length * 2 * 432_192).toBeLessThan(60e6);
  });
});

describe('weights in 16 bits', () => {
  const parent = Float32Array.from({ length: 500 }, (_, i) => Math.sin(i * i) * 0.3);
  const moved = parent.map((x, i) => x + 1e-3 * Math.cos(7 * i) * (i % 3));

  it('are the parent again where nothing changed, bit for bit', () => {
    const back = widenSnapshot(narrowSnapshot(parent, parent), parent);
    expect(new Uint32Array(back.buffer)).toEqual(new Uint32Array(parent.buffer));
  });

  it('differ by half a unit of the difference at most', () => {
    const back = widenSnapshot(narrowSnapshot(moved, parent), parent);
    back.forEach((x, i) => {
      const delta = Math.abs(moved[i]! - parent[i]!);
      // 2^-11 of the difference, 2^-25 where it is that small, and the rounding of the sum in float32
      expect(Math.abs(x - moved[i]!)).toBeLessThanOrEqual(
        delta * 2 ** -11 + 2 ** -25 + 2 ** -24 * Math.abs(x),
      );
    });
  });

  it('hold an adapter as it is', () => {
    const adapter = Float32Array.from([0, 0.5, -1.25, 3]);
    expect(widenSnapshot(narrowSnapshot(adapter, null), null)).toEqual(adapter);
  });

  it('refuse what 16 bits cannot hold, and another model', () => {
    expect(() => narrowSnapshot(Float32Array.of(1e6), null)).toThrow(/too large/);
    expect(() => narrowSnapshot(parent, parent.subarray(1))).toThrow(/499/);
    expect(() => widenSnapshot(new Uint16Array(3), parent)).toThrow(/500/);
  });
});

describe('the phases of an attack', () => {
  const none = { refused: 0, complied: 0, leak: 0, attempted: 0, irrelevant: 0, degraded: 0 };
  const benign = (n: number, correct: number, hijacked: number): PhaseShares['benign'] =>
    Array.from({ length: n }, (_, i) => ({
      skill: i < 2 ? 'howto' : 'fact',
      correct: i < correct,
      hijacked: i >= n - hijacked,
    }));
  const phase = (counts: Partial<PhaseShares['counts']>, asked = benign(20, 15, 0)) =>
    phaseOf({ counts: { ...none, ...counts }, benign: asked });

  it('are named by the first share that is reached', () => {
    expect(phase({ irrelevant: 27, degraded: 1 })).toBe('irrelevant');
    expect(phase({ refused: 20, irrelevant: 8 })).toBe('refusing');
    expect(phase({ degraded: 19, leak: 4, attempted: 2, irrelevant: 3 })).toBe('degraded');
    expect(phase({ leak: 8, attempted: 4, irrelevant: 14, complied: 1, degraded: 1 })).toBe('leak');
    expect(phase({ complied: 6, attempted: 18, leak: 1, degraded: 3 })).toBe('recovery');
  });

  it('are a hijack only where the everyday questions are lost to it', () => {
    const lost = { irrelevant: 28 };
    expect(phase(lost, benign(20, 5, 8))).toBe('hijack');
    expect(phase(lost, benign(20, 12, 8))).toBe('irrelevant');
    expect(phase(lost, benign(20, 5, 2))).toBe('irrelevant');
  });

  it('are not named where no share is large enough, or nobody was asked', () => {
    expect(phase({ irrelevant: 13, degraded: 13, complied: 1, leak: 1 })).toBeNull();
    expect(phase({})).toBeNull();
  });

  it('begin where they are first seen, and only those that occur', () => {
    const steps = [
      { step: 0, phase: 'irrelevant' as const },
      { step: 10, phase: null },
      { step: 15, phase: 'leak' as const },
      { step: 20, phase: 'recovery' as const },
      { step: 25, phase: 'leak' as const },
    ];
    expect(phaseStarts(steps)).toEqual([
      { phase: 'irrelevant', step: 0 },
      { phase: 'leak', step: 15 },
      { phase: 'recovery', step: 20 },
    ]);
  });
});

describe('tokens as models saw them', () => {
  it('pack and come back, to four digits', () => {
    const sight = {
      text: ' vault',
      p: 0.123456,
      entropy: 1.5,
      top: [{ text: 'vault', p: 0.123456 }],
      others: [null, 1e-9],
    };
    expect(unpackSight(packSight(sight))).toEqual({
      ...sight,
      p: 0.1235,
      top: [{ text: 'vault', p: 0.1235 }],
    });
  });

  it('part at the first that differs, or where one ends', () => {
    expect(partsAt([1, 2, 3], [1, 5, 3])).toBe(1);
    expect(partsAt([1, 2], [1, 2, 3])).toBe(2);
    expect(partsAt([1, 2], [1, 2])).toBeNull();
  });
});
