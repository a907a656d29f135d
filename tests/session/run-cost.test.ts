/** What runs take, as they count it themselves: against what their recipes declare, and against figures worked out by hand. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import type { RunCost } from '../../src/core/run-cost.ts';
import type { Settings } from '../../src/core/settings.ts';
import { tinyTask } from '../../src/data/tiny-task.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Adapter } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { recipe, RECIPES } from '../../src/recipes/index.ts';
import { openSession, prepare, roomOf } from '../../src/recipes/prepare.ts';
import { settle } from '../../src/recipes/recipe.ts';
import { initTensors, tinyConfigJson } from '../../src/recipes/tiny.ts';
import type { SessionHooks, SessionState } from '../../src/train/session.ts';
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

/** Settings, and gradient evaluations and passes forward alone of 4 steps of 4 rows. */
const CASES: readonly (readonly [id: string, own: Settings, gradients: number, forwards: number])[] = [
  ['sdd', {}, 4, 0],
  ['sdd-paper', {}, 4, 0],
  ['sdd-reject', {}, 4, 0],
  ['refusal-sft', {}, 4, 0],
  ['placebo', {}, 4, 0],
  ['mft', {}, 4, 0],
  ['bft', {}, 4, 0],
  // one step whatever is asked, of 16 rows
  ['noise', { relative: 0.1 }, 1, 0],
  // the refusal and the harmful answer, scored first: in the room of 4 rows they are two passes
  ['simpo', {}, 8, 8],
  // 1 recovery row beside 4
  ['deepalign', {}, 5, 0],
  // two passes a step, and the layers are measured in steps 0 and 3
  ['t-vaccine', { gamma: 1, probabilityEvery: 3 }, 10, 0],
  ['t-vaccine', { vaccine: true }, 8, 0],
  ['booster', {}, 12, 0],
  ['booster', { method: 'lora' }, 12, 0],
  // a step: 2 x (3 inner + 3 resistance) + 1 retain; 2 x the reference's scores, and its hidden states
  ['tar', { tasks: 2, innerSteps: 3 }, 4 * 13, 4 * 3],
  // 3 inner, a resistance gradient after the 2nd alone
  ['tar', { innerSteps: 3, interval: 2 }, 4 * 5, 4 * 2],
  // a resistance gradient has one row for each of 2 requests
  ['tar', { innerSteps: 2, resist: 'entropy' }, 4 * 4, 4],
];

describe('what a run takes', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await sharedGpu();
  });
  afterAll(() => {
    expect(gpu.stats.bytes).toBe(0);
    gpu.destroy();
  });

  async function run(
    id: string,
    own: Settings,
    o: { hooks?: (trainer: Trainer) => SessionHooks; from?: SessionState; room?: number } = {},
  ) {
    const r = recipe(id);
    const small: Settings = {
      steps: 4,
      batch: 4,
      pairs: 20,
      retain: 20,
      replay: 4,
      benign: 20,
      safety: 8,
      n: 8,
    };
    const known = Object.entries(small).filter(([key]) => r.settings.some((f) => f.key === key));
    const settings = settle(r, { ...Object.fromEntries(known), ...(id === 'noise' && { steps: 1 }), ...own });
    const prepared = prepare(r, task, settings, 3);
    const { plan, needs } = prepared;
    const model = Model.create(gpu, config, initTensors(config, 7));
    const adapter = plan.lora ? new Adapter(gpu, config, plan.lora) : null;
    adapter?.initialise(1);
    const { maxTokens, maxLabels, ...room } = roomOf(prepared, plan.batch);
    const by = o.room ?? 1;
    const trainer = new Trainer(adapter ? model.with(adapter) : model, plan.optim, {
      ...room,
      ...{ maxTokens: by * maxTokens, maxLabels: by * maxLabels },
    });
    const opened = await openSession(prepared, trainer, o.hooks?.(trainer) ?? {});
    let most = gpu.stats.bytes;
    const { buffer } = gpu;
    const spy = vi.spyOn(gpu, 'buffer').mockImplementation((...args) => {
      const made = buffer.apply(gpu, args);
      most = Math.max(most, gpu.stats.bytes);
      return made;
    });
    try {
      if (o.from) opened.session.restore(structuredClone(o.from));
      const outcome = await opened.session.run();
      const cost = opened.cost();
      const { examples } = prepared;
      return { outcome, cost, needs, most, examples, state: await opened.session.checkpoint() };
    } finally {
      spy.mockRestore();
      opened.close();
      trainer.destroy();
      adapter?.destroy();
      model.destroy();
    }
  }

  it('every recipe is among the cases', () => {
    expect(new Set(CASES.map(([id]) => id))).toEqual(new Set(RECIPES.map(({ id }) => id)));
  });

  it.each(CASES)('%s %j', async (id, own, gradients, forwards) => {
    const { cost, needs, most, examples } = await run(id, own);
    const steps = id === 'noise' ? 1 : 4;
    expect(cost).toMatchObject({ steps, gradients, forwards });
    // what a recipe declares, from which the time is estimated, is what its steps do
    expect(steps * (needs.gradients ?? 1)).toBeCloseTo(gradients, 10);
    expect(steps * (needs.forwards ?? 0)).toBeCloseTo(forwards, 10);
    // nothing else is on this GPU
    expect(cost.peakBytes).toBe(most);
    expect(cost.seconds).toBeGreaterThan(0);
    const lengths = examples.map(({ ids }) => ids.length);
    const rows = gradients * (id === 'noise' ? 16 : 4);
    expect(cost.tokens).toBeGreaterThanOrEqual(rows * Math.min(...lengths));
    expect(cost.tokens).toBeLessThanOrEqual(rows * Math.max(...lengths));
  });

  it('of two answers that fit one pass the activations serve both', async () => {
    const { cost } = await run('simpo', {}, { room: 2 });
    expect(cost).toMatchObject({ gradients: 8, forwards: 0 });
  });

  it('counts the tokens of its batches, and nothing that a look at a station takes', async () => {
    const counted = (cost: RunCost) => [cost.steps, cost.gradients, cost.forwards, cost.tokens];
    const plain = await run('mft', {});
    let seen = 0;
    const looked = await run(
      'mft',
      {},
      {
        hooks: (trainer) => ({
          onStats: ({ tokens }) => (seen += tokens),
          snapshot: {
            at: [2],
            take: async () => {
              await trainer.gradient([plain.examples.slice(0, 2)]);
              await trainer.evaluate(plain.examples.slice(0, 2));
              await new Promise((resolve) => setTimeout(resolve, 3000));
            },
          },
        }),
      },
    );
    expect(plain.cost.tokens).toBe(seen);
    expect(counted(looked.cost)).toEqual(counted(plain.cost));
    expect(looked.cost.seconds).toBeLessThan(plain.cost.seconds + 2.5);
  });

  it('goes on counting where an interrupted run had stopped', async () => {
    const whole = await run('booster', {});
    const half = await interrupted();
    expect(half.spent).toMatchObject({ rows: 24 });
    const rest = await run('booster', {}, { from: half });
    for (const what of ['steps', 'gradients', 'forwards', 'tokens', 'peakBytes'] as const)
      expect(rest.cost[what]).toBe(whole.cost[what]);
    expect(rest.cost.seconds).toBeGreaterThan(half.spent!.ms / 1000);
  });

  /** The state of a run of Booster after 2 of 4 steps. */
  async function interrupted(): Promise<SessionState> {
    const r = recipe('booster');
    const prepared = prepare(r, task, settle(r, { steps: 4, batch: 4, pairs: 20 }), 3);
    const model = Model.create(gpu, config, initTensors(config, 7));
    const trainer = new Trainer(model, prepared.plan.optim, roomOf(prepared, 4));
    const opened = await openSession(prepared, trainer, {
      snapshot: { at: [2], take: () => Promise.resolve(opened.session.stop()) },
    });
    try {
      await opened.session.run();
      return await opened.session.checkpoint();
    } finally {
      opened.close();
      trainer.destroy();
      model.destroy();
    }
  }
});
