/** Whole steps of the defences on the GPU against the same steps written down in float64, on all weights and on an adapter. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { SMALL_NET, smallWeights } from '../support/small-net.ts';
import { addLora, copyOf, loraGradients, ReferenceRun, to64 } from '../support/reference-run.ts';
import { Rng } from '../../src/core/rng.ts';
import type { Settings } from '../../src/core/settings.ts';
import { IGNORE, type Batch, type Example, type Tensors } from '../../src/core/types.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { weightChange } from '../../src/eval/measures/drift.ts';
import { Adapter, LORA_TARGETS, mergeLora } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { recipe } from '../../src/recipes/index.ts';
import { settle, type StepMaker } from '../../src/recipes/recipe.ts';
import { TINY_OPTIM } from '../../src/recipes/tiny.ts';
import * as ref from '../../src/reference/llama.ts';
import * as preference from '../../src/reference/preference.ts';
import { relError } from '../../src/selfcheck/compare.ts';
import type { StepFn } from '../../src/train/session.ts';
import { Trainer, type StepStats } from '../../src/train/trainer.ts';

const config = SMALL_NET;
const LORA = { r: 3, alpha: 6, targets: LORA_TARGETS };
const LR = 1e-3;

const rng = new Rng('defences');
const tensors = smallWeights(rng);

const ids = (n: number): number[] => Array.from({ length: n }, () => rng.int(config.vocab_size));
/** A prompt, tokens that are not learned, and an answer. */
const row = (prompt: readonly number[], behind: number, answer: number): Example => {
  const all = [...prompt, ...ids(behind + answer)];
  return { ids: all, labels: all.map((id, i) => (i < prompt.length + behind ? IGNORE : id)) };
};
const pairs = (): Record<string, Batch> => {
  const prompts = [5, 3, 8].map(ids);
  return {
    main: prompts.map((prompt, i) => row(prompt, 0, [4, 1, 6][i]!)),
    rejected: prompts.map((prompt, i) => row(prompt, 0, [2, 9, 5][i]!)),
  };
};
const recovery = (): Record<string, Batch> => ({
  main: [6, 2, 4, 9].map((n) => row(ids(n), 0, 3 + (n % 4))),
  safety: [row(ids(4), 5, 3)],
});

const simpo = { beta: 2.5, gammaRatio: 0.4, sft: 0.3 };
const STEPS = [
  {
    id: 'simpo',
    settings: simpo,
    batches: [pairs(), pairs(), pairs()],
    gradient: (params: ref.Params, { main, rejected }: Record<string, Batch>) =>
      preference.simpo(config, params, main!, rejected!, {
        beta: simpo.beta,
        gamma: simpo.gammaRatio * simpo.beta,
        sft: simpo.sft,
      }),
  },
  {
    id: 'deepalign',
    settings: {},
    batches: [recovery(), recovery(), recovery()],
    gradient: (params: ref.Params, { main, safety }: Record<string, Batch>) =>
      ref.gradient(config, params, [[...main!, ...safety!]]),
  },
];

describe('one step after the other is the step in float64', () => {
  let gpu: Gpu;
  let base: Model;
  beforeAll(async () => {
    gpu = await sharedGpu();
    base = Model.create(gpu, config, tensors);
  });
  afterAll(() => {
    base.destroy();
    gpu.destroy();
  });

  it.each(STEPS.flatMap((s) => (['full', 'lora'] as const).map((method) => [s.id, method, s] as const)))(
    '%s, %s',
    async (id, method, { settings, batches, gradient }) => {
      base.writeTensors(tensors);
      const r = recipe(id);
      const adapter = method === 'lora' ? new Adapter(gpu, config, LORA) : null;
      const values = new Rng('adapter');
      adapter?.params.write(
        Float32Array.from({ length: adapter.params.layout.length }, () => 0.2 * values.normal()),
      );
      const model = adapter ? base.with(adapter) : base;
      const trainer = new Trainer(model, TINY_OPTIM, { maxTokens: 96, maxLabels: 96 });
      const stats: StepStats[] = [];
      trainer.onStats = (s) => stats.push(s);
      const frozen = to64(tensors);
      const trained = adapter ? to64(await adapter.readTensors()) : frozen;
      const run = new ReferenceRun(trained, TINY_OPTIM);
      const opened =
        typeof r.step === 'function'
          ? { step: r.step, close: () => {} }
          : await r.step.open(trainer, settle(r, settings));
      try {
        for (const [i, batch] of batches.entries()) {
          await step(opened.step, trainer, batch, i);
          const merged = adapter ? copyOf(frozen) : run.params;
          if (adapter) addLora(config, merged, LORA, run.params);
          const { loss, grads: full } = gradient(merged, batch);
          const grads = adapter ? loraGradients(config, LORA, run.params, full) : full;
          // later gradients are those of weights that float32 has moved
          const close = i === 0 ? 2e-5 : 1e-3;
          for (const [name, { data }] of trainer.grads.tensors(await trainer.grads.read()))
            expect(relError(data, grads.get(name)!), `step ${i + 1}, gradient of ${name}`).toBeLessThan(
              close,
            );
          await trainer.flush();
          expect(Math.abs(stats[i]!.loss / loss - 1)).toBeLessThan(i === 0 ? 1e-5 : 1e-4);
          run.step(grads, LR);
          const after = adapter ? await adapter.readTensors() : await base.readTensors();
          for (const [name, { data }] of after)
            expect(run.error(name, data), `step ${i + 1}, ${name}`).toBeLessThan(2e-3);
        }
        if (adapter) expect(await base.readTensors()).toEqual(tensors);
      } finally {
        opened.close();
        trainer.destroy();
        adapter?.destroy();
      }
    },
  );

  it.each(['full', 'lora'] as const)(
    'noise moves every layer by its length and nothing else, %s',
    async (method) => {
      base.writeTensors(tensors);
      const adapter = method === 'lora' ? new Adapter(gpu, config, LORA) : null;
      adapter?.initialise(5);
      const model = adapter ? base.with(adapter) : base;
      const trainer = new Trainer(model, TINY_OPTIM, { maxTokens: 96, maxLabels: 96 });
      const r = recipe('noise');
      if (typeof r.step === 'function') throw new Error('noise owns its lengths');
      const after = async (seed: number): Promise<Tensors> => {
        const opened = await (r.step as StepMaker).open(trainer, settle(r, { relative: 0.2 }));
        const batch = recovery();
        await opened.step({ trainer, next: () => batch.main!, lr: 0, step: 0, rng: new Rng(seed) });
        const own = await base.readTensors();
        if (!adapter) base.writeTensors(tensors);
        return adapter ? mergeLora(config, own, adapter.config, await adapter.readTensors()) : own;
      };
      try {
        const [first, again, other] = [await after(1), await after(1), await after(2)];
        expect(again).toEqual(first);
        expect(other).not.toEqual(first);
        if (adapter) expect(await base.readTensors()).toEqual(tensors);
        for (const { part, relative } of weightChange(tensors, first)) {
          if (part === 'all') continue;
          const wanted = adapter && !part.startsWith('layer') ? 0 : 0.2;
          expect(Math.abs(relative - wanted), part).toBeLessThan(1e-5);
        }
      } finally {
        trainer.destroy();
        adapter?.destroy();
      }
    },
  );

  it('noise that was measured on another depth is refused, and says what to set', () => {
    const r = recipe('noise');
    const refused = (layers: number, own: Settings = {}): (() => void) => {
      const model = { ...base.config, num_hidden_layers: layers };
      return () => r.suits!(settle(r, own), model);
    };
    expect(refused(2)).toThrow(
      expect.objectContaining({
        code: 'bad-input',
        message: expect.stringMatching(/measured on a model of 4 layers only/) as string,
        next: expect.stringMatching(/Set "relative"/) as string,
      }),
    );
    for (const fine of [refused(4), refused(2, { relative: 0.2 })]) expect(fine).not.toThrow();
  });

  const step = (fn: StepFn, trainer: Trainer, batch: Record<string, Batch>, i: number): Promise<void> =>
    fn({ trainer, next: (stream = 'main') => batch[stream]!, lr: LR, step: i, rng: new Rng(i) });
});
