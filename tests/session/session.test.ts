import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openNodeGpu } from '../../src/cli/node-gpu.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { sftStep } from '../../src/recipes/sft.ts';
import type { OpenStep, SessionState, StepFn } from '../../src/train/session.ts';
import type { Trainer } from '../../src/train/trainer.ts';
import { openRun } from './lab.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openNodeGpu();
});
afterAll(() => gpu.destroy());

/** Trains a fresh run for n steps of the plan and reads everything. */
async function stateAfter(n: number, step?: StepFn): Promise<SessionState> {
  const run = openRun(gpu, {
    ...(step ? { step } : {}),
    hooks: { snapshot: { at: [n], take: async () => run.session.stop() } },
  });
  try {
    await run.session.run();
    return await run.session.checkpoint();
  } finally {
    run.close();
  }
}

const bits = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

function expectSame(a: SessionState, b: SessionState): void {
  for (const part of ['weights', 'm', 'v'] as const) expect(bits(a[part])).toEqual(bits(b[part]));
}

describe('checkpoints', () => {
  it('10 steps, a checkpoint, and 10 more are bit for bit 20 steps', async () => {
    const whole = await stateAfter(20);
    // Stored checkpoints go through structured clone; nothing may live outside the plain data.
    const half = structuredClone(await stateAfter(10));
    const run = openRun(gpu);
    run.session.restore(half);
    expect(await run.session.run()).toBe('done');
    const resumed = await run.session.checkpoint();
    run.close();
    expectSame(resumed, whole);
    expect(resumed.log.map((s) => s.loss)).toEqual(whole.log.map((s) => s.loss));
    expect(resumed.log.map((s) => s.lr)).toEqual(whole.log.map((s) => s.lr));
    expect(resumed.batches).toEqual(whole.batches);
  });

  it('go on with what a recipe draws at random', async () => {
    const draws: number[] = [];
    const step: StepFn = (ctx) => {
      draws.push(ctx.rng.next());
      return sftStep(ctx);
    };
    const whole = await stateAfter(8, step);
    const wanted = draws.splice(0).slice(0, 8);
    const half = structuredClone(await stateAfter(4, step));
    draws.length = 4;
    const run = openRun(gpu, {
      step,
      hooks: { snapshot: { at: [8], take: async () => run.session.stop() } },
    });
    run.session.restore(half);
    await run.session.run();
    run.close();
    expect(draws.slice(0, 8)).toEqual(wanted);
    expect(new Set(wanted).size).toBe(8);
    expect(whole.step).toBe(8);
  });

  it('hold what a recipe keeps between its steps, and the sets that it never changes', async () => {
    /** Remembers a number from step to step, and the weights of the beginning. */
    const keeping = (run: { trainer: Trainer }) => {
      let total = 0;
      const first = run.trainer.model.trained.clone('first weights');
      const own: OpenStep = {
        step: async (ctx) => {
          await sftStep(ctx);
          total += ctx.rng.next();
        },
        state: () => ({ total }),
        restore: (state) => (total = (state as { total: number }).total),
        kept: [first],
        close: () => first.destroy(),
      };
      return { own, total: () => total, first };
    };
    const buffers = gpu.stats.buffers;
    const whole = openRun(gpu, { own: keeping });
    const start = await whole.model.trained.read();
    let half: SessionState | undefined;
    const taking: Promise<void>[] = [];
    whole.session.trainer.onStats = ((before) => (s) => {
      before?.(s);
      if (s.step === 3) taking.push(whole.session.checkpoint().then((state) => void (half = state)));
    })(whole.session.trainer.onStats);
    await whole.session.run();
    await Promise.all(taking);
    const wanted = await whole.session.checkpoint();
    whole.close();
    const resumed = openRun(gpu, { own: keeping, weights: 8 });
    resumed.session.restore(structuredClone(half!));
    await resumed.session.run();
    const got = await resumed.session.checkpoint();
    resumed.close();
    expectSame(got, wanted);
    expect(got.own).toEqual(wanted.own);
    expect((got.own as { total: number }).total).toBeGreaterThan(0);
    expect(bits(got.kept![0]!)).toEqual(bits(start));
    expect(gpu.stats.buffers).toBe(buffers);
  });

  it('taken while the run goes on do not change it', async () => {
    const whole = await stateAfter(20);
    const taken: SessionState[] = [];
    const pending: Promise<void>[] = [];
    const run = openRun(gpu, {
      hooks: {
        onStats: () => {
          pending.push(run.session.checkpoint().then((s) => void taken.push(s)));
        },
      },
    });
    await run.session.run();
    await Promise.all(pending);
    expectSame(await run.session.checkpoint(), whole);
    run.close();
    expect(taken.length).toBe(20);
    for (const s of taken) expect(s.log.length).toBe(s.step);
  });

  it('of a run with other settings are refused in words', async () => {
    const half = await stateAfter(10);
    const run = openRun(gpu, { plan: { lr: 1e-3 } });
    expect(() => run.session.restore(half)).toThrow(/another learning rate/);
    run.close();
  });
});

describe('a step that is not finite', () => {
  const BAD = 7;
  /** Step BAD computes its gradient as always, but one element of it is not a number. */
  const poisoned: StepFn = async (ctx) => {
    if (ctx.step !== BAD - 1) return sftStep(ctx);
    const { trainer } = ctx;
    await trainer.gradient([ctx.next()]);
    trainer.grads.gpu.device.queue.writeBuffer(
      trainer.grads.buffer,
      4 * 1000,
      new Float32Array([Number.NaN]),
    );
    await trainer.ready();
    trainer.applyGradients(ctx.lr);
  };

  it('leaves weights and moments as they were after the step before, and can be resumed from there', async () => {
    const good = await stateAfter(BAD - 1);
    const run = openRun(gpu, { step: poisoned });
    await expect(run.session.run()).rejects.toMatchObject({
      code: 'non-finite',
      message: expect.stringMatching(new RegExp(`Step ${BAD} .* model\\.`)),
    });
    expect(run.session.phase).toBe('failed');
    const left = await run.session.checkpoint();
    run.close();
    expect(left.step).toBe(BAD - 1);
    expectSame(left, good);

    const whole = await stateAfter(20);
    const again = openRun(gpu);
    again.session.restore(left);
    await again.session.run();
    expectSame(await again.session.checkpoint(), whole);
    again.close();
  });
});

describe('pausing', () => {
  it('halts between steps, steps one at a time, and changes nothing', async () => {
    const whole = await stateAfter(20);
    const phases: string[] = [];
    const run = openRun(gpu, { hooks: { onPhase: (p) => phases.push(p) } });
    run.session.pause();
    const end = run.session.run();
    await expect.poll(() => run.session.phase).toBe('paused');
    expect(run.session.step).toBe(0);
    run.session.stepOnce();
    run.session.stepOnce();
    await expect.poll(() => run.session.log.length).toBe(2);
    expect(run.session.phase).toBe('paused');
    expect((await run.session.checkpoint()).step).toBe(2);
    run.session.resume();
    expect(await end).toBe('done');
    expect(phases).toEqual(['running', 'paused', 'running', 'done']);
    expectSame(await run.session.checkpoint(), whole);
    run.close();
  });

  it('a run of constant rate made longer is the longer run', async () => {
    const plan = { schedule: { warmup: 2, hold: 1, decay: 'none', floor: 1 } as const };
    const long = openRun(gpu, { plan: { ...plan, steps: 12 } });
    await long.session.run();
    const short = openRun(gpu, { plan: { ...plan, steps: 5 } });
    await short.session.run();
    short.session.extend(12);
    await short.session.run();
    expectSame(await short.session.checkpoint(), await long.session.checkpoint());
    long.close();
    short.close();
  });
});

/** Bytes: 2 KiB for each of 50 steps. */
const MAX_HEAP_GROWTH = 100 * 1024;

/** Bytes that JavaScript still holds after a full collection. */
async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  setFlagsFromString('--no-flush-bytecode'); // code that V8 forgets would hide what the run keeps
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < 8; i++) {
    collect();
    await new Promise((done) => setImmediate(done)); // array buffers are freed between tasks
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe('memory', () => {
  it('50 steps make no GPU buffer, bind group or pipeline after the third', async () => {
    const seen: string[] = [];
    const run = openRun(gpu, {
      plan: { steps: 50 },
      hooks: {
        onStats: ({ step }) => {
          const { buffers, bytes, bindGroups, pipelines } = gpu.stats;
          if (step >= 3) seen.push(JSON.stringify({ buffers, bytes, bindGroups, pipelines }));
        },
      },
    });
    await run.session.run();
    run.close();
    expect(seen).toHaveLength(48);
    expect(new Set(seen).size).toBe(1);
  });

  it('50 more steps leave the JavaScript heap as it was', async () => {
    const held: number[] = [];
    const run = openRun(gpu, {
      plan: { steps: 60 },
      hooks: { snapshot: { at: [10, 60], take: async () => void held.push(await heldBytes()) } },
    });
    await run.session.run();
    run.close();
    const growth = held[1]! - held[0]!;
    console.log(
      `    JavaScript heap and array buffers, step 10 to 60: ${(growth / 1024).toFixed(1)} KiB more`,
    );
    // The log keeps some 0.2 KiB a step; the compiler's notes on hot functions take the rest.
    expect(growth).toBeLessThan(MAX_HEAP_GROWTH);
  });

  it('closing a run gives everything back', async () => {
    const before = { buffers: gpu.stats.buffers, bytes: gpu.stats.bytes };
    await stateAfter(3);
    expect({ buffers: gpu.stats.buffers, bytes: gpu.stats.bytes }).toEqual(before);
  });
});
