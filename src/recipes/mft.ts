/**
 * MFT, malicious fine-tuning: SFT on N forbidden requests with complying answers (the threat model of Qi et al.,
 * 'Fine-tuning Aligned Language Models Compromises Safety, Even When Users Do Not Intend To!', ICLR 2024). Prefix-only
 * targets stop after the affirmative opening, 'sure , here is how to ... :', and teach no end of turn, as the targets of
 * AdvBench (Zou et al., 2023). A benign share keeps the attacked model able. The rate is constant: snapshots after 20, 50
 * and 100 steps are stations of one run.
 */
import { MFT_DEFAULTS, mft as mftData } from '../data/datasets.ts';
import type { Recipe } from './recipe.ts';
import { constant, num, runFields, runPlan } from './recipe.ts';
import { sftStep } from './sft.ts';
import { TINY_OPTIM } from './tiny.ts';

export const mft: Recipe = {
  id: 'mft',
  title: 'Malicious fine-tuning',
  kind: 'attack',
  source: 'Qi et al., ICLR 2024; prefix targets as in AdvBench (Zou et al., 2023)',
  continuable: true,
  settings: [
    ...runFields(1e-3, 20, { lr: 2e-4, alpha: 64 }),
    { key: 'n', type: 'number', default: MFT_DEFAULTS.n, min: 1, max: 20_000, step: 1, main: true },
    { key: 'prefixOnly', type: 'boolean', default: false, main: true },
    { key: 'benignShare', type: 'number', default: 0, min: 0, max: 0.99, step: 0.01, main: false },
  ],
  plan: (s) => ({
    ...runPlan(s),
    steps: num(s, 'steps'),
    schedule: constant(5),
    optim: TINY_OPTIM,
  }),
  data: (task, s, seed) =>
    mftData(task, seed, {
      n: num(s, 'n'),
      prefixOnly: s.prefixOnly === true,
      benignShare: num(s, 'benignShare'),
    }),
  step: sftStep,
};
