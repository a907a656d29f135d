/**
 * SimPO, simple preference optimisation (Meng, Xia and Chen, 'SimPO: Simple Preference Optimization with a Reference-Free Reward',
 * NeurIPS 2024), as a defence: of two answers to a harmful request the refusal y_w is preferred to the harmful one y_l,
 *
 *   -log sigmoid( beta / |y_w| log p(y_w) - beta / |y_l| log p(y_l) - gamma )  +  sft * mean token loss of y_w
 *
 * |y| counts the answer's tokens with its end of turn, not the prompt. gamma is given as its ratio to beta, as in the authors' code,
 * which also has the last term; the paper's own loss is the first one. There is no reference model, so it wants to start from one
 * that is tuned to chat. A step is one forward and one backward pass over both answers (see preference.ts).
 */
import { preferencePairs } from '../data/defence-sets.ts';
import { accumulatePreference, simpo } from './preference.ts';
import type { Recipe } from './recipe.ts';
import { cosine, num, runFields, runPlan } from './recipe.ts';
import { TINY_OPTIM } from './tiny.ts';

export const simpoRecipe: Recipe = {
  id: 'simpo',
  title: 'SimPO',
  kind: 'defence',
  source: 'Meng, Xia and Chen, NeurIPS 2024',
  continuable: false,
  settings: [
    ...runFields(2e-4, 150, { lr: 5e-4, alpha: 64 }),
    { key: 'pairs', type: 'number', default: 1000, min: 1, max: 20_000, step: 1, main: true },
    { key: 'beta', type: 'number', default: 2.5, min: 0.01, max: 100, main: true },
    { key: 'gammaRatio', type: 'number', default: 0.55, min: 0, max: 10, main: true },
    { key: 'sft', type: 'number', default: 0, min: 0, max: 10, main: true },
  ],
  plan: (s) => ({
    ...runPlan(s),
    steps: num(s, 'steps'),
    schedule: cosine(num(s, 'steps')),
    optim: TINY_OPTIM,
    streams: { rejected: { with: 'main' } },
  }),
  data: (task, s, seed) => {
    const { chosen, rejected } = preferencePairs(task, seed, { pairs: num(s, 'pairs'), method: 'SimPO' });
    return { main: chosen, rejected };
  },
  // both answers go through the model; in the room of one batch they are two passes, which are scored before they go backward
  needs: () => ({ gradients: 2, forwards: 2 }),
  step: {
    open: (_trainer, s) => {
      const beta = num(s, 'beta');
      const objective = simpo({ beta, gamma: num(s, 'gammaRatio') * beta, sft: num(s, 'sft') });
      return Promise.resolve({
        step: async ({ trainer, next, lr }) => {
          await trainer.ready();
          const [chosen, rejected] = [next(), next('rejected')];
          const { loss, tokens, labels } = await accumulatePreference(trainer, chosen, rejected, objective);
          trainer.applyGradients(lr, tokens, labels, loss);
        },
        close: () => {},
      });
    },
  },
};
