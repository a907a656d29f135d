/** Insights on a small model of random weights, with runs of a few steps: what they look at, keep, and go on with. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InsightBench } from '../../src/cli/insights/bench.ts';
import { gradientConflict } from '../../src/cli/insights/conflict.ts';
import { safetyLandscape } from '../../src/cli/insights/landscape.ts';
import { attackMap } from '../../src/cli/insights/map.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import { standInFolders } from '../support/stand-in.ts';

const PROMPTS = { forbidden: 7, perSkill: 1 };
const AXES = { rates: [1e-3, 3e-3], steps: [1, 2], command: 'npm run insights -- map' };
let gpu: Gpu;
const dirs: string[] = [];
let models: string;
const open = async (): Promise<InsightBench> => {
  const cache = mkdtempSync(join(tmpdir(), 'insights-'));
  dirs.push(cache);
  return reopen(cache);
};
const reopen = (cache: string, attack = 101): Promise<InsightBench> =>
  InsightBench.open({ models, seeds: { defence: 1, attack }, prompts: PROMPTS, cache }, gpu);
beforeAll(async () => {
  gpu = await sharedGpu();
  dirs.push((models = mkdtempSync(join(tmpdir(), 'insight-models-'))));
  standInFolders(models, ['tiny-base', 'tiny-chat']);
});
afterAll(() => {
  gpu.destroy();
  for (const dir of dirs) rmSync(dir, { recursive: true });
});

/** Counts what a bench does, and breaks off at a look. */
function watched(bench: InsightBench, breakAt = Infinity) {
  const seen = { looks: 0, runs: [] as { lr: unknown; at: readonly number[] }[] };
  const { look } = bench;
  bench.look = async (weights) => {
    seen.looks++;
    if (seen.looks === breakAt) throw new Error('the power went out');
    return look.call(bench, weights);
  };
  const { train } = bench.lab;
  bench.lab.train = (weights, o) => {
    seen.runs.push({ lr: o.settings.lr, at: o.at });
    return train.call(bench.lab, weights, o);
  };
  return seen;
}

describe('the attack map', () => {
  it('goes on behind the last cell after an interruption, with the cells of a map in one go', async () => {
    const whole = await open();
    const full = await attackMap(whole, 'chat', AXES);
    expect(full.error).toBeUndefined();
    expect(full.map).toMatchObject({ rates: AXES.rates, steps: AXES.steps, missing: [] });
    expect(full.map.cells.map((c) => [c.lr, c.steps])).toEqual(
      [1e-3, 3e-3].flatMap((lr) => [1, 2].map((steps) => [lr, steps])),
    );

    const first = await open();
    // the untouched model is the first look; the third cell is in the middle of the second rate
    watched(first, 1 + 3 + 1);
    const broken = await attackMap(first, 'chat', AXES);
    expect(String(broken.error)).toMatch(/the power went out/);
    expect(broken.map.cells).toEqual(full.map.cells.slice(0, 3));
    expect(broken.map.missing).toEqual([{ lr: 3e-3, steps: 2 }]);
    first.lab.destroy();

    const second = await reopen(dirs.at(-1)!);
    const rest = watched(second);
    const { map, error } = await attackMap(second, 'chat', AXES);
    expect(error).toBeUndefined();
    expect(rest).toEqual({ looks: 1, runs: [{ lr: 3e-3, at: [2] }] });
    expect({ ...map, about: null }).toEqual({ ...full.map, about: null });

    const idle = watched(whole);
    await attackMap(whole, 'chat', AXES);
    expect(idle).toEqual({ looks: 0, runs: [] });
    whole.lab.destroy();
    second.lab.destroy();
  });

  it('says at which cells training stopped on numbers that are not finite, and goes on with the next rate', async () => {
    const bench = await open();
    const { train } = bench.lab;
    const broken = (await bench.weights('chat')).slice().fill(NaN);
    bench.lab.train = (weights, o) => train.call(bench.lab, o.settings.lr === 1e-3 ? broken : weights, o);
    const { map, error } = await attackMap(bench, 'chat', AXES);
    expect(error).toBeUndefined();
    expect(map.cells.filter((c) => c.lr === 1e-3)).toEqual([
      { lr: 1e-3, steps: 1, loss: null, look: null, why: expect.stringMatching(/not finite/) as string },
      { lr: 1e-3, steps: 2, loss: null, look: null, why: expect.stringMatching(/not finite/) as string },
    ]);
    expect(map.cells.filter((c) => c.lr === 3e-3).every((c) => c.look !== null)).toBe(true);
    bench.lab.destroy();
  });

  it('refuses a rate out of range before anything is run', async () => {
    const bench = await open();
    const seen = watched(bench);
    await expect(attackMap(bench, 'chat', { ...AXES, rates: [1e-3, 0.5] })).rejects.toThrow(
      /0\.5 is not within/,
    );
    expect(seen).toEqual({ looks: 0, runs: [] });
    bench.lab.destroy();
  });
});

describe('the safety landscape', () => {
  it("has exactly the parent's figures at t = 0, on every line, and the attacked model's at t = 1", async () => {
    const bench = await open();
    const { models } = await safetyLandscape(bench, ['chat'], {
      directions: 2,
      radius: 0.5,
      after: 2,
      command: '',
      line: [-0.5, 0, 1],
      side: 1,
    });
    const [{ line, directions, spread, distance }] = models as [(typeof models)[number]];
    const own = await bench.look(await bench.weights('chat'));
    const attacked = await bench.look(await bench.attacked('chat', 'mft', { steps: 2 }));
    expect(line.map((p) => p.t)).toEqual([-0.5, 0, 1]);
    expect(line.find((p) => p.t === 0)!.look).toEqual(own);
    expect(line.find((p) => p.t === 1)!.look).toEqual(attacked);
    expect(attacked).not.toEqual(own);
    expect(distance).toBeGreaterThan(0);
    for (const { points } of directions) {
      expect(points.find((p) => p.t === 0)!.look).toEqual(own);
      expect(points.at(-1)!.look.benignLoss!).not.toBe(own.benignLoss!);
    }
    expect(directions[0]!.points).not.toEqual(directions[1]!.points);
    expect(spread.find((s) => s.t === 0)!.benignLoss).toEqual({
      mean: own.benignLoss,
      low: own.benignLoss,
      high: own.benignLoss,
    });
    bench.lab.destroy();

    // another attack has a line of its own, and the directions are those that were kept
    const next = await reopen(dirs.at(-1)!, 102);
    const seen = watched(next);
    const o = { directions: 2, radius: 0.5, after: 2, command: '', line: [0, 1], side: 1 };
    const { models: others } = await safetyLandscape(next, ['chat'], o);
    expect(seen.looks).toBe(1);
    expect(others[0]!.line[0]!.look).toEqual(own);
    expect(others[0]!.line[1]!.look.benignLoss).not.toBe(attacked.benignLoss);
    expect(others[0]!.directions).toEqual(directions);
    next.lab.destroy();
  });
});

describe('gradient conflict', () => {
  it('is taken before and after the attack, with its null, and again the same', async () => {
    const bench = await open();
    const o = { batches: 2, rows: 2, after: 2, command: '' };
    const { models } = await gradientConflict(bench, ['chat'], o);
    expect(models.map((m) => [m.model, m.after])).toEqual([
      ['chat', 0],
      ['chat', 2],
    ]);
    expect(models[0]!.parts).not.toEqual(models[1]!.parts);
    for (const { null: chance, p } of models[0]!.parts) {
      expect(chance.low).toBeLessThan(chance.high);
      expect(p).toBeGreaterThan(0);
    }
    expect((await gradientConflict(bench, ['chat'], o)).models).toEqual(models);
    await expect(gradientConflict(bench, ['chat'], { ...o, batches: 1 })).rejects.toThrow(
      /at least 2 batches/,
    );
    bench.lab.destroy();
  });
});
