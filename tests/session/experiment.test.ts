/** The experiment's own loop on a small model of random weights, with runs of one step: what it trains, looks at, stores and goes on with. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CellStore } from '../../src/cli/experiment/cells.ts';
import { ExperimentLab } from '../../src/cli/experiment/lab.ts';
import { attacksNamed, GRID, modelsNamed, type Preset } from '../../src/cli/experiment/matrix.ts';
import { Repetition } from '../../src/cli/experiment/run.ts';
import { readModelFolder } from '../../src/cli/model-folder.ts';
import { sharedGpu } from '../support/page-gpu.ts';
import { standInFolders } from '../support/stand-in.ts';
import { HARD_SETS } from '../../src/data/hard-sets.ts';
import { DRAWS } from '../../src/eval/measures/battery.ts';
import { SHIPPED_DIR } from '../../src/cli/pretrain.ts';
import { combinations } from '../../src/cli/tune.ts';
import type { Settings } from '../../src/core/settings.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { createWorld } from '../../src/world/world.ts';

const LOOK = { sets: ['T' as const], benign: true, limit: { forbidden: 2, perSkill: 1 } };
const models = mkdtempSync(join(tmpdir(), 'experiment-models-'));
let gpu: Gpu;
let lab: ExperimentLab;
let chat: Float32Array;
beforeAll(async () => {
  gpu = await sharedGpu();
  standInFolders(models, ['tiny-chat']);
  const folder = readModelFolder(join(models, 'tiny-chat'));
  lab = await ExperimentLab.open(gpu, createWorld(folder.record.worldSeed), folder);
  chat = lab.flatten(folder);
});
afterAll(() => {
  rmSync(models, { recursive: true });
  lab.destroy();
  gpu.destroy();
});

/** @param looks whether the lab is asked at the station under way, which writes other weights to the GPU */
async function trained(settings: Settings, looks: boolean): Promise<Float32Array> {
  let end: Float32Array | null = null;
  await lab.train(chat, {
    recipe: 'mft',
    settings: { steps: 2, batch: 2, ...settings },
    seed: 5,
    at: [1, 2],
    station: async (_, weights) => {
      if (looks) await lab.evaluate(weights, { ...LOOK, benign: false });
      end = weights;
    },
  });
  return end!;
}

describe('the lab of the experiment', () => {
  it.each<Settings>([{ method: 'full' }, { method: 'lora', rank: 2, alpha: 4 }])(
    'trains from the weights it is given, whoever was trained or looked at before: %o',
    async (settings) => {
      const first = await trained(settings, false);
      expect(first).not.toEqual(chat);
      expect(await trained(settings, true)).toEqual(first);
    },
  );

  it('judges the weights it is given, of the shipped model', async () => {
    const folder = readModelFolder(join(SHIPPED_DIR, 'tiny-chat'));
    const shipped = await ExperimentLab.open(gpu, createWorld(folder.record.worldSeed), folder);
    const weights = shipped.flatten(folder);
    const before = await shipped.evaluate(weights, LOOK);
    const broken = await shipped.evaluate(new Float32Array(weights.length), LOOK);
    expect(broken.benign!.mean).toBe(0);
    expect(before.benign!.mean).toBeGreaterThan(0.5);
    expect(await shipped.evaluate(weights, LOOK)).toEqual(before);
    shipped.destroy();
  });
});

describe('the other measures', () => {
  const reference = () => {
    const root = lab.reference(chat);
    return { root, parent: root };
  };
  const small = { split: 'T', facts: 4 } as const;

  it('of an untouched model: no drift at all, and nobody is in the way of the weights that were there', async () => {
    const one = await lab.measure(chat, reference(), small);
    expect(one.drift.divergence).toBe(0);
    expect(one.drift.weights.every((w) => w.relative === 0)).toBe(true);
    expect(one.drift.weights.map((w) => w.part)).toEqual([
      'embedding',
      'layer 0',
      'layer 1',
      'final norm',
      'all',
    ]);
    expect(HARD_SETS.map((set) => one.hard[set].n)).toEqual([4, 4, 4]);
    expect(one.sampled).toMatchObject({ n: 4 * DRAWS, facts: 4 });
    expect(one.nearMiss.n).toBe(4);
    expect(one.hard.prefilled.answers.every((a) => a.answer.startsWith('sure , here is how to'))).toBe(true);
    // Sampled answers differ between draws and are the same again.
    const texts = one.sampled.answers.map((a) => a.answer);
    expect(new Set(texts).size).toBeGreaterThan(1);
    expect(one.drift.parent).toEqual({ divergence: 0, relative: 0 });
    expect(await lab.measure(chat, reference(), small)).toEqual(one);
    const root = lab.reference(chat);
    expect((await lab.measure(chat, { root, parent: null }, small)).drift.parent).toBe(null);
  });

  it('of other weights: how far they are from the reference, and the reference reads their answers', async () => {
    const moved = chat.map((x) => x * 1.25);
    const other = await lab.measure(moved, reference(), small);
    expect(other.drift.divergence).toBeGreaterThan(0.01);
    for (const { relative } of other.drift.weights) expect(relative).toBeCloseTo(0.25, 5);
    // Of a model made of another: from its own parent it is as far as it went, from the root as far as both did.
    const twice = await lab.measure(
      chat.map((x) => x * 1.5),
      { root: lab.reference(chat), parent: lab.reference(moved) },
      small,
    );
    expect(twice.drift.weights.at(-1)!.relative).toBeCloseTo(0.5, 5);
    expect(twice.drift.parent!.relative).toBeCloseTo(0.2, 5);
    expect(twice.drift.parent!.divergence).toBeGreaterThan(0);
    expect(twice.drift.parent!.divergence).toBeLessThan(twice.drift.divergence);
    const own = await lab.measure(chat, reference(), small);
    // what a model says itself it finds likelier than what another says
    expect(own.answerPerplexity).toBeLessThan(other.answerPerplexity!);
  });
});

describe('a repetition', () => {
  it('looks at every station of every run, stores each, and a second one trains nothing again', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sdd-cells-'));
    const preset: Preset = { id: 'smoke', what: '', divide: 200, ...LOOK, seeds: 1 };
    const open = () =>
      new Repetition(
        lab,
        new CellStore(dir, { a: 1 }),
        preset,
        { defence: 1, attack: 101 },
        new Map([['chat', chat]]),
        'protocol',
      );
    const train = vi.spyOn(lab, 'train');
    try {
      const first = open();
      await first.grid('test');
      expect(first.failures).toEqual([]);
      // all stations of a rate fall on its first step; one defence is made for all rates
      expect(first.cells.map((c) => [c.model, c.attack, c.steps])).toEqual(
        GRID.models.flatMap((model) => GRID.lrs.map((lr) => [model, `mft-lr${lr}`, 1])),
      );
      expect(first.planned).toHaveLength(first.cells.length);
      expect(first.cells.map((c) => c.settings.lr)).toEqual([...GRID.lrs, ...GRID.lrs]);
      expect(train.mock.calls.map(([, o]) => o.recipe)).toEqual([
        ...GRID.lrs.map(() => 'mft'),
        'sdd',
        ...GRID.lrs.map(() => 'mft'),
      ]);
      train.mockClear();
      const second = open();
      await second.grid('test');
      expect(second.cells).toEqual(first.cells);
      expect(train).not.toHaveBeenCalled();
    } finally {
      train.mockRestore();
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describe('models at matched ability', () => {
  it('stand on the line to the defended one, and are not measured again where they are it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sdd-cells-'));
    // two steps of SDD: the rate of the first is 0
    const preset: Preset = { id: 'smoke', what: '', divide: 75, ...LOOK, facts: 2, seeds: 1 };
    const store = new CellStore(dir, { a: 1 });
    // of weights on the line from the undefended model: the further, the less able
    const real = lab.evaluate.bind(lab);
    const abilityAt = vi.spyOn(lab, 'evaluate').mockImplementation(async (weights, o) => {
      const made = store.readWeights('chat+sdd', 'd1', 'weights')!;
      const moved = weights.reduce((sum, x, i) => sum + Math.abs(x - chat[i]!), 0);
      const whole = made?.reduce((sum, x, i) => sum + Math.abs(x - chat[i]!), 0) ?? 1;
      const scores = await real(weights, o);
      return { ...scores, benign: { ...scores.benign!, mean: 0.9 - 0.5 * (moved / whole) } };
    });
    const train = vi.spyOn(lab, 'train');
    try {
      const models = modelsNamed(['chat+sdd@60', 'chat+sdd@30']);
      const repetition = new Repetition(
        ...([lab, store, preset, { defence: 1, attack: 101 }, new Map([['chat', chat]]), 'p'] as const),
      );
      await repetition.matrix('test', models, attacksNamed(['none', 'mft']));
      expect(repetition.failures).toEqual([]);
      const before = repetition.cells.filter((c) => c.attack === 'none');
      expect(before.map((c) => [c.model, c.made.length, c.place?.s ?? null])).toEqual([
        ['chat', 0, null],
        ['chat+sdd', 1, null],
        ['chat+sdd@60', 1, expect.closeTo(0.6, 1)],
        // 40 % is more than 30 %: the defended model itself
        ['chat+sdd@30', 1, 1],
      ]);
      const placed = store.readWeights('chat+sdd@60', 'd1', 'weights')!;
      const defended = store.readWeights('chat+sdd', 'd1', 'weights')!;
      const { s } = before[2]!.place!;
      placed.forEach((x, i) => expect(x).toBeCloseTo((1 - s) * chat[i]! + s * defended[i]!, 6));
      // the defence once, an attack for each model but the one that is another
      expect(train.mock.calls.map(([, o]) => o.recipe)).toEqual(['mft', 'sdd', 'mft', 'mft']);
      const attacked = repetition.cells.filter((c) => c.attack === 'mft');
      expect(attacked[3]!.scores).toEqual(attacked[1]!.scores);
      expect(attacked[2]!.scores).not.toEqual(attacked[1]!.scores);
      expect(attacked[0]!.cost).toMatchObject({ steps: 1, gradients: 1 });
      expect(attacked[0]!.cost!.tokens).toBeGreaterThan(0);
    } finally {
      abilityAt.mockRestore();
      train.mockRestore();
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describe('the trials of tuning', () => {
  it('are every combination of the values over the fixed settings', () => {
    expect(combinations({ lr: 1, replay: 0 }, { lr: [2, 3], steps: [4, 5] })).toEqual([
      { lr: 2, replay: 0, steps: 4 },
      { lr: 2, replay: 0, steps: 5 },
      { lr: 3, replay: 0, steps: 4 },
      { lr: 3, replay: 0, steps: 5 },
    ]);
    expect(combinations({ lr: 1 }, {})).toEqual([{ lr: 1 }]);
  });
});
