/**
 * Booster (Huang, Hu, Ilhan, Tekin and Liu, 'Booster: Tackling Harmful Fine-tuning for Large Language Models via Attenuating
 * Harmful Perturbation', 2024, arXiv 2409.01586). It learns to refuse, and beside that makes the harmful loss h fall less when a
 * step down its own gradient is taken:
 *
 *   min over w of  f(w) + lambda (h(w) - h(w - alpha grad h(w) / ||grad h(w)||))
 *
 *   f: <harmful request, refusal>    h: <harmful request, harmful answer>, the same batch at both places
 *
 * As the authors do, the gradient leaves out how the perturbed place moves with w (no second-order terms):
 *
 *   grad f(w) + lambda (grad h(w) - grad h(w'))    w' = w - alpha grad h(w) / (||grad h(w)|| + 1e-7)
 *
 * with one norm over all trained tensors. Three gradients a step; w' stands where the weights stand, which are copied back.
 */
import { preferencePairs } from '../data/defence-sets.ts';
import type { Batch } from '../core/types.ts';
import { ParamSet } from '../model/params.ts';
import type { Trainer } from '../train/trainer.ts';
import type { Recipe, StepMaker } from './recipe.ts';
import { cosine, num, runFields, runPlan } from './recipe.ts';
import { TINY_OPTIM } from './tiny.ts';

export interface BoosterOptions {
  /** Length of the perturbation. */
  alpha: number;
  lambda: number;
}

/** What Booster keeps beside the trainer: a copy of the weights, and a gradient. */
export class Booster {
  readonly #trainer: Trainer;
  readonly #weights: ParamSet;
  /** grad h(w) - grad h(w') */
  readonly #harm: ParamSet;

  /** See Gpu.allocate. */
  constructor(trainer: Trainer) {
    const { gpu, layout } = trainer.grads;
    this.#trainer = trainer;
    this.#weights = new ParamSet(gpu, layout, 'weights of the step');
    this.#harm = new ParamSet(gpu, layout, 'harmful gradients');
  }

  /**
   * Leaves the combined gradient in the trainer's `grads`; the weights are as they were, also after an error.
   * @param watch is told what has just been computed, before anything else is
   * @returns tokens of all three passes, and labels of f
   * @throws LabError 'non-finite' where the harmful gradient is not finite
   */
  async gradient(
    { f, h }: { f: Batch; h: Batch },
    { alpha, lambda }: BoosterOptions,
    watch?: (what: 'h' | 'perturbed' | 'h perturbed' | 'f') => Promise<void>,
  ): Promise<{ tokens: number; labels: number }> {
    const trainer = this.#trainer;
    const params = trainer.model.trained;
    const { grads } = trainer;
    const { gradNorm } = await trainer.gradient([h]);
    await watch?.('h');
    this.#harm.copyFrom(grads);
    this.#weights.copyFrom(params);
    let harmful: number;
    try {
      params.axpy(-alpha / (gradNorm + 1e-7), grads);
      await watch?.('perturbed');
      harmful = trainer.accumulate([h]).tokens;
      await watch?.('h perturbed');
      this.#harm.axpy(-1, grads);
    } finally {
      params.copyFrom(this.#weights);
    }
    const { tokens, labels } = trainer.accumulate([f]);
    await watch?.('f');
    grads.axpy(lambda, this.#harm);
    return { tokens: tokens + 2 * harmful, labels };
  }

  close(): void {
    this.#weights.destroy();
    this.#harm.destroy();
  }
}

const step: StepMaker = {
  open: async (trainer, settings) => {
    const booster = await trainer.grads.gpu.allocate(() => new Booster(trainer));
    const o = { alpha: num(settings, 'perturbation'), lambda: num(settings, 'lambda') };
    return {
      step: async ({ next, lr }) => {
        const { tokens, labels } = await booster.gradient({ f: next(), h: next('harmful') }, o);
        trainer.applyGradients(lr, tokens, labels);
      },
      close: () => booster.close(),
    };
  },
};

export const booster: Recipe = {
  id: 'booster',
  title: 'Booster',
  kind: 'defence',
  source: 'Booster, Huang et al., 2024 (arXiv 2409.01586)',
  continuable: false,
  settings: [
    ...runFields(3e-4, 150, { lr: 2e-3, alpha: 64 }),
    { key: 'lambda', type: 'number', default: 5, min: 0, max: 1000, main: true },
    { key: 'perturbation', type: 'number', default: 0.01, min: 1e-6, max: 100, main: true },
    { key: 'pairs', type: 'number', default: 1000, min: 1, max: 20_000, step: 1, main: false },
  ],
  plan: (s) => ({
    ...runPlan(s),
    steps: num(s, 'steps'),
    schedule: cosine(num(s, 'steps')),
    optim: TINY_OPTIM,
  }),
  data: (task, s, seed) => {
    const { chosen, rejected } = preferencePairs(task, seed, { pairs: num(s, 'pairs'), method: 'Booster' });
    return { main: chosen, harmful: rejected };
  },
  needs: () => ({ copies: 2, gradients: 3 }),
  step,
};
