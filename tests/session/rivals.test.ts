/** Runs of the rivals that are stopped and taken up again, and one whose inner attack diverges. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import type { Settings } from '../../src/core/settings.ts';
import { tinyTask } from '../../src/data/tiny-task.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Model } from '../../src/model/model.ts';
import { recipe } from '../../src/recipes/index.ts';
import { openSession, prepare, roomOf } from '../../src/recipes/prepare.ts';
import { settle } from '../../src/recipes/recipe.ts';
import { initTensors, tinyConfigJson } from '../../src/recipes/tiny.ts';
import type { SessionState } from '../../src/train/session.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { createWorld } from '../../src/world/world.ts';

/** The shape of session.test.ts, whose kernels are compiled already. */
const config = parseLlamaConfig({
  ...tinyConfigJson(),
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  head_dim: 16,
});
const task = tinyTask(createWorld(0));
const bits = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);

describe('runs of the rivals', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await sharedGpu();
  });
  afterAll(() => {
    expect(gpu.stats.bytes).toBe(0);
    gpu.destroy();
  });

  /** Trains from the same weights, or from a stored state, up to a step. */
  async function train(
    id: string,
    own: Settings,
    until: number,
    from: SessionState | null = null,
    seed = 3,
  ): Promise<{ state: SessionState; start: Float32Array; error: unknown }> {
    const r = recipe(id);
    const prepared = prepare(r, task, settle(r, { steps: 6, batch: 4, pairs: 20, ...own }), seed);
    const model = Model.create(gpu, config, initTensors(config, 7));
    const trainer = new Trainer(model, prepared.plan.optim, roomOf(prepared, 4));
    const start = await model.params.read();
    const opened = await openSession(prepared, trainer, {
      snapshot: { at: [until], take: () => Promise.resolve(opened.session.stop()) },
    });
    try {
      if (from) opened.session.restore(structuredClone(from));
      const error = await opened.session.run().then(
        () => null,
        (e: unknown) => e,
      );
      return { state: await opened.session.checkpoint(), start, error };
    } finally {
      opened.close();
      trainer.destroy();
      model.destroy();
    }
  }

  it.each<[string, Settings]>([
    ['booster', {}],
    ['t-vaccine', { gamma: 1, drawEvery: 2, probabilityEvery: 3 }],
    ['tar', { retain: 20, innerSteps: 2 }],
    ['tar', { retain: 20, innerSteps: 2, resist: 'entropy', inner: 'adamw' }],
  ])('%s %j goes on bit for bit, with all that outlives a step', async (id, own) => {
    const whole = await train(id, own, 6);
    const half = await train(id, own, 4);
    const rest = await train(id, own, 6, half.state);
    expect([whole.error, half.error, rest.error]).toEqual([null, null, null]);
    for (const part of ['weights', 'm', 'v'] as const)
      expect(bits(rest.state[part])).toEqual(bits(whole.state[part]));
    expect(rest.state.log).toEqual(whole.state.log);
    expect(rest.state.own).toEqual(whole.state.own);
    expect(bits(whole.state.weights)).not.toEqual(bits(whole.start));
    // TAR's reference is the model that the run started from
    const kept = (rest.state.kept ?? []).map(bits);
    expect(kept).toEqual(id === 'tar' ? [bits(whole.start)] : []);
  });

  it('an inner attack that diverges is named, and the run stands where it was before that step', async () => {
    const wild = { retain: 20, innerSteps: 40, inner: 'sgd', sgdRate: 100 };
    const { state, error } = await train('tar', wild, 6, null, 2);
    expect(String(error)).toMatch(/The inner attack \(SGD at \d+\) diverged in its step \d+/);
    expect(error).toMatchObject({ code: 'non-finite' });
    expect(state.step).toBe(1);
    const good = await train('tar', wild, 1, null, 2);
    for (const part of ['weights', 'm', 'v'] as const)
      expect(bits(state[part])).toEqual(bits(good.state[part]));
    expect(state.batches).toEqual(good.state.batches);
  });
});
