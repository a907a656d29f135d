/**
 * T-Vaccine (Liu, Huang et al., 'Targeted Vaccine: Safety Alignment for Large Language Models against Harmful Fine-Tuning via
 * Layer-wise Perturbation', 2024, arXiv 2410.09760), and Vaccine (Huang, Hu and Liu, 'Vaccine: Perturbation-aware Alignment for
 * Large Language Models against Harmful Fine-tuning Attack', 2024), which is the same with all layers. Refusals are learned while
 * the attention outputs a_l of some layers D are pushed to where the refusal's loss rises most:
 *
 *   min over w of  L(w; a_l + rho g_l / N for l in D)    g_l = dL/da_l at the unpushed place,  N = ||(g_l, l in D)|| + 1e-7
 *
 * in two passes over one batch of <harmful request, refusal>; the push is a constant. T-Vaccine draws D, gamma layers without
 * replacement, every `drawEvery` steps with probabilities that are anew every `probabilityEvery` steps: the norms of dh/da_l on a
 * batch of <harmful request, harmful answer>, normalised. Only the tensors of D are trained; other layers, embeddings, head and
 * final norm keep their bits. Vaccine trains everything and needs no harmful answers.
 */
import type { Rng } from '../core/rng.ts';
import { LabError } from '../core/errors.ts';
import type { Batch } from '../core/types.ts';
import { preferencePairs, refusalPairs } from '../data/defence-sets.ts';
import { LayerUpdates } from '../train/layer-updates.ts';
import type { Trainer } from '../train/trainer.ts';
import type { Recipe, StepMaker } from './recipe.ts';
import { cosine, num, runFields, runPlan } from './recipe.ts';
import { TINY_OPTIM } from './tiny.ts';

/** One buffer for each layer: what a backward pass leaves there is scaled, and added by the next forward pass. */
export const TVACCINE_TAPS = { attn: ['grad as pert'] } as const;

/** By layer of a list, then by pass of the batch: [tokens, hidden]. */
type ByLayer = Float32Array[][];

const squares = (x: Float32Array): number => x.reduce((sum, value) => sum + value * value, 0);
const normOf = (passes: readonly Float32Array[]): number =>
  Math.sqrt(passes.reduce((sum, x) => sum + squares(x), 0));

/** Passes that look at and push the attention outputs of a trainer made with TVACCINE_TAPS. */
export class AttentionPush {
  readonly #trainer: Trainer;

  constructor(trainer: Trainer) {
    this.#trainer = trainer;
  }

  /** Gradient of the mean loss at the attention outputs of these layers. */
  async gradients(batch: Batch, layers: readonly number[]): Promise<ByLayer> {
    const trainer = this.#trainer;
    await trainer.ready();
    const out: ByLayer = layers.map(() => []);
    const { scale, parts } = trainer.split(batch);
    for (const part of parts) {
      trainer.clearTap('attn', 'pert');
      trainer.accumulate([part], { scale });
      const tokens = part.reduce((sum, { ids }) => sum + ids.length, 0);
      for (const [i, l] of layers.entries()) out[i]!.push(await trainer.readTap('attn', 'grad', l, tokens));
    }
    trainer.clearTap('attn', 'pert');
    return out;
  }

  /** Norm of the gradient at each layer's attention output, over all tokens of the batch. */
  async norms(batch: Batch): Promise<number[]> {
    const layers = Array.from({ length: this.#trainer.model.config.num_hidden_layers }, (_, l) => l);
    return (await this.gradients(batch, layers)).map(normOf);
  }

  /**
   * Leaves in `grads` the gradient, by all parameters, of the batch's loss at the pushed place.
   * @param watch is told what is added at each of the layers, and the norm before it was scaled
   */
  async gradient(
    batch: Batch,
    layers: readonly number[],
    rho: number,
    watch?: (norm: number, push: ByLayer) => void,
  ): Promise<{ tokens: number; labels: number }> {
    const trainer = this.#trainer;
    const gradients = await this.gradients(batch, layers);
    const norm = normOf(gradients.flat());
    const by = rho / (norm + 1e-7);
    const push = gradients.map((passes) => passes.map((g) => g.map((x) => by * x)));
    watch?.(norm, push);
    const { queue } = trainer.grads.gpu.device;
    const { tokens, labels } = trainer.accumulate([batch], {
      before: (_, pass) => {
        trainer.clearTap('attn', 'pert'); // where the pass before this one left its gradient
        layers.forEach((l, i) => {
          const values = push[i]![pass]! as Float32Array<ArrayBuffer>;
          queue.writeBuffer(trainer.taps!.attn.pert[l]!.buffer, 0, values);
        });
      },
    });
    trainer.clearTap('attn', 'pert');
    return { tokens: 2 * tokens, labels };
  }
}

/** Norms as probabilities; all alike where every norm is 0. */
export function layerProbabilities(norms: readonly number[]): number[] {
  const sum = norms.reduce((a, b) => a + b, 0);
  return norms.map((n) => (sum > 0 ? n / sum : 1 / norms.length));
}

/** `count` different layers, ascending: one after the other, each by its probability among those that are left. */
export function drawLayers(rng: Rng, probabilities: readonly number[], count: number): number[] {
  const left = probabilities.map((p, layer) => ({ p, layer }));
  const drawn: number[] = [];
  while (drawn.length < count) {
    let at = rng.next() * left.reduce((sum, { p }) => sum + p, 0);
    let i = left.findIndex(({ p }) => (at -= p) < 0);
    if (i < 0) i = left.length - 1; // all that is left has probability 0
    drawn.push(left.splice(i, 1)[0]!.layer);
  }
  return drawn.sort((a, b) => a - b);
}

/** @throws LabError 'bad-input' for more layers than half of the model has */
export function requireLayers(gamma: number, layers: number): void {
  const most = Math.max(1, Math.floor(layers / 2));
  if (gamma <= most) return;
  throw new LabError('bad-input', `T-Vaccine cannot draw ${gamma} layers of a model that has ${layers}.`, {
    safe: 'Nothing was started.',
    next: `Take gamma from 1 to ${most}, or Vaccine, which pushes all layers.`,
  });
}

interface State {
  probabilities: number[];
  drawn: number[];
  /** Updates of each layer. */
  updates: number[];
}

const targeted: StepMaker = {
  open: async (trainer, settings) => {
    const gamma = num(settings, 'gamma');
    const updates = await trainer.grads.gpu.allocate(() => new LayerUpdates(trainer));
    const push = new AttentionPush(trainer);
    let [probabilities, drawn]: [number[], number[]] = [[], []];
    return {
      step: async ({ next, lr, step, rng }) => {
        if (step % num(settings, 'probabilityEvery') === 0)
          probabilities = layerProbabilities(await push.norms(next('harmful')));
        if (step % num(settings, 'drawEvery') === 0) drawn = drawLayers(rng, probabilities, gamma);
        const about = await push.gradient(next(), drawn, num(settings, 'rho'));
        updates.apply(drawn, lr, about);
      },
      state: (): State => ({ probabilities, drawn, updates: [...updates.counts] }),
      restore: (state) => {
        const stored = state as State;
        ({ probabilities, drawn } = stored);
        updates.counts.splice(0, Infinity, ...stored.updates);
      },
      close: () => updates.close(),
    };
  },
};

const everyLayer: StepMaker = {
  open: async (trainer, settings) => {
    const push = new AttentionPush(trainer);
    const layers = Array.from({ length: trainer.model.config.num_hidden_layers }, (_, l) => l);
    return Promise.resolve({
      step: async ({ next, lr }) => {
        const { tokens, labels } = await push.gradient(next(), layers, num(settings, 'rho'));
        trainer.applyGradients(lr, tokens, labels);
      },
      close: () => {},
    });
  },
};

export const tvaccine: Recipe = {
  id: 't-vaccine',
  title: 'T-Vaccine',
  kind: 'defence',
  source: 'Targeted Vaccine, Liu et al., 2024 (arXiv 2410.09760); Vaccine, Huang et al., 2024',
  continuable: false,
  settings: [
    { key: 'vaccine', type: 'boolean', default: false, main: true },
    ...runFields(3e-4, 150, { lr: 2e-3, alpha: 64 }),
    {
      ...{ key: 'rho', type: 'number', default: 10, min: 1e-6, max: 1000, main: true },
      beside: { key: 'vaccine', is: true, default: 3 },
    },
    { key: 'gamma', type: 'number', default: 2, min: 1, max: 64, step: 1, main: true },
    { key: 'probabilityEvery', type: 'number', default: 10, min: 1, max: 10_000, step: 1, main: false },
    { key: 'drawEvery', type: 'number', default: 5, min: 1, max: 10_000, step: 1, main: false },
    { key: 'pairs', type: 'number', default: 1000, min: 1, max: 20_000, step: 1, main: false },
  ],
  plan: (s) => ({
    ...runPlan(s),
    steps: num(s, 'steps'),
    schedule: cosine(num(s, 'steps')),
    optim: TINY_OPTIM,
  }),
  data: (task, s, seed) => {
    const pairs = num(s, 'pairs');
    if (s.vaccine === true) return refusalPairs(task, seed, { pairs, replay: 0 });
    const { chosen, rejected } = preferencePairs(task, seed, { pairs, method: 'T-Vaccine' });
    return { main: chosen, harmful: rejected };
  },
  needs: (s) => ({
    taps: TVACCINE_TAPS,
    // the layers are measured in the first step, and then every so many
    gradients:
      2 +
      (s.vaccine === true ? 0 : Math.ceil(num(s, 'steps') / num(s, 'probabilityEvery')) / num(s, 'steps')),
  }),
  suits: (s, model) => {
    if (s.vaccine !== true) requireLayers(num(s, 'gamma'), model.num_hidden_layers);
  },
  step: {
    open: (trainer, settings) => (settings.vaccine === true ? everyLayer : targeted).open(trainer, settings),
  },
};
