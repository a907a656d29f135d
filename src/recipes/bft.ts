/**
 * BFT, benign fine-tuning: SFT as an honest user would do it. `familiar` trains on the eleven skills of pretraining, so a
 * gain shows that ability comes back; `new-skill` trains one skill that pretraining never saw, so a gain shows that the
 * model can still be tuned.
 */
import { bft as bftData } from '../data/datasets.ts';
import type { Recipe } from './recipe.ts';
import { constant, num, runFields, runPlan } from './recipe.ts';
import { sftStep } from './sft.ts';
import { TINY_OPTIM } from './tiny.ts';

export const bft: Recipe = {
  id: 'bft',
  title: 'Benign fine-tuning',
  kind: 'benign',
  source: 'SDD: Self-Degraded Defense against Malicious Fine-tuning, ACL 2025 (benign fine-tuning)',
  continuable: true,
  settings: [
    { key: 'skill', type: 'choice', default: 'familiar', choices: ['familiar', 'new-skill'], main: true },
    ...runFields(3e-4, 100, { lr: 2e-4, alpha: 64 }),
    { key: 'n', type: 'number', default: 500, min: 1, max: 5000, step: 1, main: true },
  ],
  plan: (s) => ({
    ...runPlan(s),
    steps: num(s, 'steps'),
    schedule: constant(),
    optim: TINY_OPTIM,
  }),
  data: (task, s, seed) =>
    bftData(task, seed, { n: num(s, 'n'), kind: s.skill === 'new-skill' ? 'new-skill' : 'familiar' }),
  step: sftStep,
};
