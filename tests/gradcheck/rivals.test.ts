/** Whole steps of Booster, T-Vaccine, Vaccine and TAR on the GPU against the same steps written down in float64. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sharedGpu } from '../support/page-gpu.ts';
import { SMALL_NET, smallWeights } from '../support/small-net.ts';
import { addLora, copyOf, loraGradients, to64 } from '../support/reference-run.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Batch, type Example, type Tensors } from '../../src/core/types.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Adapter, LORA_TARGETS } from '../../src/model/lora.ts';
import { Model } from '../../src/model/model.ts';
import { recipe } from '../../src/recipes/index.ts';
import { roomWith } from '../../src/recipes/prepare.ts';
import { settle } from '../../src/recipes/recipe.ts';
import { TINY_OPTIM } from '../../src/recipes/tiny.ts';
import { drawLayers } from '../../src/recipes/tvaccine.ts';
import * as ref from '../../src/reference/llama.ts';
import * as ops from '../../src/reference/ops.ts';
import { dpo } from '../../src/reference/preference.ts';
import { updateError } from '../../src/selfcheck/compare.ts';
import { layerOf } from '../../src/train/layer-updates.ts';
import type { OpenStep } from '../../src/train/session.ts';
import { Trainer, type StepStats } from '../../src/train/trainer.ts';

type Params = ref.Params;

const config = SMALL_NET;
const LORA = { r: 3, alpha: 6, targets: LORA_TARGETS };
const LR = 1e-3;

let rng = new Rng('rivals');
const tensors = smallWeights(rng);
const row = (prompt: number, answer: number): Example => {
  const ids = Array.from({ length: prompt + answer }, () => rng.int(config.vocab_size));
  return { ids, labels: ids.map((id, i) => (i < prompt ? IGNORE : id)) };
};
const rows = (...lengths: [number, number][]): Batch => lengths.map(([p, a]) => row(p, a));

// ------------------------------------------------------------------------------------------------ arithmetic in float64

const zip = (a: Params, b: Params, f: (x: number, y: number) => number): Params =>
  new Map([...a].map(([name, x]) => [name, x.map((v, i) => f(v, b.get(name)![i]!))]));
const times = (a: Params, by: number): Params =>
  new Map([...a].map(([name, x]) => [name, x.map((v) => v * by)]));
const plus = (a: Params, b: Params): Params => zip(a, b, (x, y) => x + y);
const normOf = (vectors: Iterable<Float64Array>): number => {
  let sum = 0;
  for (const v of vectors) for (const x of v) sum += x * x;
  return Math.sqrt(sum);
};
const zeros = (like: Params): Params => times(like, 0);

/** What is trained, seen from its own parameters: those of the model, or of the adapter. */
class Trained {
  readonly frozen = to64(tensors);
  readonly lora: boolean;

  constructor(lora: boolean) {
    this.lora = lora;
  }

  /** The whole model's weights. */
  merged(params: Params): Params {
    if (!this.lora) return params;
    const all = copyOf(this.frozen);
    addLora(config, all, LORA, params);
    return all;
  }

  /** Gradients of what is trained from those of all weights. */
  pull(params: Params, grads: Params): Params {
    return this.lora ? loraGradients(config, LORA, params, grads) : grads;
  }

  gradient(params: Params, batch: Batch): { loss: number; grads: Params } {
    const { loss, grads } = ref.gradient(config, this.merged(params), [batch]);
    return { loss, grads: this.pull(params, grads) };
  }
}

interface Step {
  /** Before clipping. */
  grads: Params;
  loss: number;
}

/** AdamW that counts each tensor's own updates, on some of the tensors. */
class Updates {
  readonly #counts = new Map<string, number>();
  readonly #m: Params;
  readonly #v: Params;

  constructor(like: Params) {
    [this.#m, this.#v] = [zeros(like), zeros(like)];
  }

  apply(
    params: Params,
    grads: Params,
    lr: number,
    o: { betas: readonly [number, number]; eps: number; clip: number } = TINY_OPTIM,
  ): void {
    const scale = ops.clipScale(normOf(grads.values()), o.clip);
    for (const [name, g] of grads) {
      const step = (this.#counts.get(name) ?? 0) + 1;
      this.#counts.set(name, step);
      const [m, v] = [this.#m.get(name)!, this.#v.get(name)!];
      const adam = { lr, betas: o.betas, eps: o.eps, weight_decay: 0, step };
      ops.adamw(
        params.get(name)!,
        g.map((x) => x * scale),
        m,
        v,
        adam,
      );
    }
  }
}

// ------------------------------------------------------------------------------------------------------------- the steps

const boosterStep =
  (alpha: number, lambda: number) =>
  (t: Trained, params: Params, { main, harmful }: Record<string, Batch>): Step => {
    const f = t.gradient(params, main!);
    const h = t.gradient(params, harmful!).grads;
    const by = alpha / (normOf(h.values()) + 1e-7);
    const there = t.gradient(
      zip(params, h, (w, g) => w - by * g),
      harmful!,
    ).grads;
    return {
      loss: f.loss,
      grads: plus(
        f.grads,
        times(
          zip(h, there, (x, y) => x - y),
          lambda,
        ),
      ),
    };
  };

/** Gradients at the attention outputs. */
const attentionGradients = (t: Trained, params: Params, batch: Batch) => {
  const all = t.merged(params);
  const f = ref.forward(config, all, batch);
  return ref.backward(config, all, f, 1 / f.labels).attn;
};

const pushedStep = (
  t: Trained,
  params: Params,
  batch: Batch,
  layers: readonly number[],
  rho: number,
): Step => {
  const g = attentionGradients(t, params, batch);
  const by = rho / (normOf(layers.map((l) => g[l]!)) + 1e-7);
  const attn = g.map((x, l) => (layers.includes(l) ? x.map((v) => v * by) : undefined));
  const all = t.merged(params);
  const f = ref.forward(config, all, batch, { attn });
  const grads = t.pull(params, ref.backward(config, all, f, 1 / f.labels).grads);
  const loss = f.tokenLoss.reduce((a, b) => a + b, 0) / f.labels;
  // with an adapter nothing outside of the layers is trained anyway
  const own = [...grads].filter(([name]) => layers.length === 2 || layers.includes(layerOf(name) ?? -1));
  return { loss, grads: new Map(own) };
};

/** Negative entropy over every position. */
const entropy = (t: Trained, params: Params, batch: Batch): Step => {
  const all = t.merged(params);
  const f = ref.forward(config, all, batch);
  const n = f.ids.length;
  const scale = new Float64Array(n).fill(1 / n);
  const d = ops.negativeEntropyBackward(f.logits, n, config.vocab_size, scale);
  const loss = ops.negativeEntropy(f.logits, n, config.vocab_size).reduce((a, b) => a + b / n, 0);
  return { loss, grads: t.pull(params, ref.backwardFrom(config, all, f, d).grads) };
};

/** Token loss and mean distance of hidden states. */
const retain = (t: Trained, params: Params, reference: Params, batch: Batch): Step => {
  const all = t.merged(params);
  const f = ref.forward(config, all, batch);
  const h = config.hidden_size;
  const n = f.ids.length;
  const own = ref.forward(config, t.merged(reference), batch).hiddenOut;
  let loss = f.tokenLoss.reduce((a, b) => a + b, 0) / f.labels;
  const hidden = f.hiddenOut.map((x, l) => {
    const d = x.map((v, i) => v - own[l]![i]!);
    return d.map((v, i) => {
      const at = Math.floor(i / h) * h;
      const length = Math.hypot(...d.subarray(at, at + h));
      if (i === at) loss += length / n / f.hiddenOut.length;
      return length === 0 ? 0 : v / length / n / f.hiddenOut.length;
    });
  });
  return { loss, grads: t.pull(params, ref.backward(config, all, f, 1 / f.labels, { hidden }).grads) };
};

const RATES = [1, 0.3, 0.1];
const TAR = { innerSteps: 2, tasks: 2, sgdRate: 0.2, adamwRate: 1e-2, scaleResist: 3, scaleRetain: 0.5 };

function tarStep(
  t: Trained,
  params: Params,
  reference: Params,
  batches: { inner: Batch[][]; chosen: Batch[]; rejected: Batch[]; main: Batch },
  o: { objective: 'dpo' | 'entropy'; inner: 'sgd' | 'adamw'; interval: number; draws: Rng },
): Step {
  let grads = zeros(params);
  let loss = 0;
  batches.inner.forEach((steps, m) => {
    const rate = o.draws.pick(RATES) * (o.inner === 'sgd' ? TAR.sgdRate : TAR.adamwRate);
    const attacked = copyOf(params);
    const adam = new Updates(params);
    const taken = steps.filter((_, k) => (k + 1) % o.interval === 0).length;
    for (const [k, batch] of steps.entries()) {
      const g = t.gradient(attacked, batch).grads;
      if (o.inner === 'sgd')
        for (const [name, x] of g) attacked.get(name)!.forEach((v, i, a) => (a[i] = v - rate * x[i]!));
      else adam.apply(attacked, g, rate, { betas: [0.9, 0.999], eps: 1e-8, clip: 0 });
      if ((k + 1) % o.interval !== 0) continue;
      const [chosen, rejected] = [batches.chosen[m]!, batches.rejected[m]!];
      const resisted =
        o.objective === 'entropy'
          ? entropy(t, attacked, rejected)
          : dpo(config, t.merged(attacked), t.merged(reference), chosen, rejected, 0.1);
      const own = o.objective === 'entropy' ? resisted.grads : t.pull(attacked, resisted.grads);
      const share = TAR.scaleResist / TAR.tasks / taken;
      grads = plus(grads, times(own, share));
      loss += share * resisted.loss;
    }
  });
  const kept = retain(t, params, reference, batches.main);
  return { grads: plus(grads, times(kept.grads, TAR.scaleRetain)), loss: loss + TAR.scaleRetain * kept.loss };
}

// ------------------------------------------------------------------------------------------------------------- the tests

const METHODS = ['full', 'lora'] as const;
const bits = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);

describe('one step after the other is the step in float64', () => {
  let gpu: Gpu;
  let base: Model;
  beforeAll(async () => {
    gpu = await sharedGpu();
    base = Model.create(gpu, config, tensors);
  });
  // the same rows whichever tests are run
  beforeEach(() => {
    rng = new Rng('rows');
  });
  afterAll(() => {
    base.destroy();
    expect(gpu.stats.bytes).toBe(0);
    gpu.destroy();
  });

  /** A recipe's step on the GPU, and whatever stands in float64 beside it. */
  async function runs(
    id: string,
    method: (typeof METHODS)[number],
    settings: Record<string, number | string | boolean>,
    steps: readonly Record<string, Batch[]>[],
    expected: (t: Trained, params: Params, step: number, own: OpenStep) => Step,
    seed = 'draws',
  ): Promise<void> {
    base.writeTensors(tensors);
    const r = recipe(id);
    const adapter = method === 'lora' ? new Adapter(gpu, config, LORA) : null;
    const values = new Rng('adapter');
    adapter?.params.write(
      Float32Array.from({ length: adapter.params.layout.length }, () => 0.2 * values.normal()),
    );
    const all = settle(r, settings);
    const room = roomWith(r.needs?.(all) ?? {}, { maxTokens: 64, maxLabels: 64 });
    const trainer = new Trainer(adapter ? base.with(adapter) : base, TINY_OPTIM, room);
    const stats: StepStats[] = [];
    trainer.onStats = (s) => stats.push(s);
    const t = new Trained(adapter !== null);
    const { trained } = trainer.model;
    const read = async (): Promise<Tensors> => trained.tensors(await trained.read());
    const params = to64(await read());
    const updates = new Updates(params);
    if (typeof r.step === 'function') throw new Error(`${id} owns nothing`);
    const own = await r.step.open(trainer, all);
    const draws = new Rng(seed);
    try {
      for (const [i, streams] of steps.entries()) {
        const cursors = new Map<string, number>();
        const before = await read();
        const next = (name = 'main'): Batch => {
          const at = cursors.get(name) ?? 0;
          cursors.set(name, at + 1);
          return streams[name]![at]!;
        };
        await own.step({ trainer, next, lr: LR, step: i, rng: draws });
        await trainer.flush();
        const { grads, loss } = expected(t, params, i, own);
        const start = copyOf(params);
        updates.apply(params, grads, LR);
        expect(Math.abs(stats[i]!.loss - loss)).toBeLessThan(2e-4 * Math.max(1, Math.abs(loss)));
        expect(Math.abs(stats[i]!.gradNorm / normOf(grads.values()) - 1)).toBeLessThan(1e-3);
        for (const [name, { data }] of await read()) {
          const was = before.get(name)!.data;
          const g = grads.get(name);
          if (!g) expect(bits(data), `step ${i + 1}, frozen ${name}`).toEqual(bits(was));
          else {
            const moved = data.map((x, k) => x - was[k]!);
            const wanted = params.get(name)!.map((x, k) => x - start.get(name)![k]!);
            const error = updateError(moved, wanted, new Float64Array(moved.length), g);
            expect(error, `step ${i + 1}, ${name}`).toBeLessThan(2e-3);
          }
          // one step is what is compared: the next one starts from the same numbers on both sides
          params.set(name, Float64Array.from(data));
        }
      }
      // whoever asks the trainer afterwards gets the model's own loss: nothing is added any more
      const batch = steps[0]!.main![0]!.slice(0, 2);
      const { loss } = await trainer.evaluate(batch);
      const { loss: plain } = ref.gradient(config, t.merged(params), [batch]);
      expect(Math.abs(loss / plain - 1)).toBeLessThan(1e-5);
      if (adapter) expect(await base.readTensors()).toEqual(tensors);
    } finally {
      own.close();
      trainer.destroy();
      adapter?.destroy();
    }
  }

  it.each(METHODS)('Booster, %s', async (method) => {
    const settings = { perturbation: 0.2, lambda: 2 };
    const steps = [1, 2].map(() => ({
      main: [rows([5, 4], [3, 6])],
      harmful: [rows([4, 7], [6, 2], [3, 3])],
    }));
    const step = boosterStep(0.2, 2);
    await runs('booster', method, settings, steps, (t, params, i) =>
      step(t, params, { main: steps[i]!.main[0]!, harmful: steps[i]!.harmful[0]! }),
    );
  });

  it.each(METHODS)(
    'T-Vaccine, %s, layers drawn anew in every step, a batch in two passes',
    async (method) => {
      const settings = { rho: 1.5, gamma: 1, drawEvery: 1, probabilityEvery: 2 };
      const long = (): Batch => rows([12, 9], [8, 13], [9, 8], [7, 6], [3, 4]);
      const steps = [1, 2, 3, 4].map(() => ({ main: [long()], harmful: [long()] }));
      const draws = new Rng('draws');
      let norms: number[] = [];
      const layers: number[] = [];
      await runs('t-vaccine', method, settings, steps, (t, params, i, own) => {
        if (i % 2 === 0) norms = attentionGradients(t, params, steps[i]!.harmful[0]!).map((g) => normOf([g]));
        const sum = norms.reduce((a, b) => a + b, 0);
        const { probabilities, drawn } = own.state!() as { probabilities: number[]; drawn: number[] };
        probabilities.forEach((p, l) => expect(Math.abs(p - norms[l]! / sum)).toBeLessThan(1e-4));
        expect(drawn).toEqual(drawLayers(draws, probabilities, 1));
        layers.push(drawn[0]!);
        return pushedStep(t, params, steps[i]!.main[0]!, drawn, 1.5);
      });
      // each layer's second update has its own number
      expect(new Set(layers).size).toBe(2);
    },
  );

  it.each(METHODS)('Vaccine, %s', async (method) => {
    const steps = [1, 2].map(() => ({ main: [rows([5, 4], [3, 6])] }));
    await runs('t-vaccine', method, { vaccine: true, rho: 2 }, steps, (t, params, i) =>
      pushedStep(t, params, steps[i]!.main[0]!, [0, 1], 2),
    );
  });

  it.each([
    ['entropy', 'adamw', 'full', 1],
    ['dpo', 'sgd', 'full', 1],
    ['dpo', 'sgd', 'full', 2],
    ['dpo', 'adamw', 'lora', 1],
  ] as const)('TAR, %s, inner attacks by %s, %s, every %i', async (objective, inner, method, interval) => {
    const steps = [1, 2].map(() => ({
      main: [rows([5, 8], [9, 11], [12, 9], [4, 13])],
      inner: [1, 2, 3, 4].map(() => rows([4, 6], [5, 5])),
      chosen: [rows([4, 3], [6, 2]), rows([3, 5], [5, 1])],
      rejected: [rows([4, 6], [6, 5]), rows([3, 8], [5, 4])],
    }));
    const draws = new Rng('draws');
    let reference: Params | null = null;
    await runs('tar', method, { ...TAR, resist: objective, inner, interval }, steps, (t, params, i) => {
      reference ??= copyOf(params);
      const { main, inner: all, ...held } = steps[i]!;
      const batches = { ...held, main: main[0]!, inner: [all.slice(0, 2), all.slice(2)] };
      return tarStep(t, params, reference, batches, { objective, inner, interval, draws });
    });
  });
});
