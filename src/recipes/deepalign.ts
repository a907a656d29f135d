/**
 * DeepAlign: the data augmentation of Qi et al., 'Safety Alignment Should Be Made More Than Just a Few Tokens Deep' (ICLR 2025).
 * Safety-recovery examples teach to refuse also in the middle of a harmful answer,
 *
 *   min over theta of  a E[ -log p(refusal | harmful request, first k tokens of a harmful answer) ]  +  (1 - a) E[ -log p(y | x) ]
 *
 * where k is 0 with probability 1/2, else each of 1 to min(100, tokens of the answer) alike, and (x, y) are benign chats. The mix a
 * = 0.2 is that of the batch, 4 safety-recovery rows to 16 benign ones; the loss is the mean over the labels of all of them, so that
 * longer answers weigh more (in the tiny world a comes out at 0.19).
 *
 * The benign answers are the initial model's own, given greedily before the first step (own-answers.ts), as in the paper; those of
 * the data stand in for them with anchor 'data'. Their token-constrained fine-tuning, which changes the loss of whoever tunes the
 * released model, is another method and is not here.
 */
import { anchors, recoveries } from '../data/defence-sets.ts';
import type { StepFn } from '../train/session.ts';
import type { Recipe } from './recipe.ts';
import { cosine, num, runFields, runPlan } from './recipe.ts';
import { TINY_OPTIM } from './tiny.ts';

/** Benign rows to one safety-recovery row. */
const BENIGN_TO_SAFETY = 4;

/** Safety-recovery rows beside so many benign ones. */
export const safetyRows = (benign: number): number => Math.max(1, Math.round(benign / BENIGN_TO_SAFETY));

export const deepAlignStep: StepFn = ({ trainer, next, lr }) =>
  trainer.step([[...next('safety'), ...next()]], lr);

export const deepAlign: Recipe = {
  id: 'deepalign',
  title: 'DeepAlign',
  kind: 'defence',
  source: 'Qi et al., ICLR 2025 (data augmentation)',
  continuable: false,
  settings: [
    ...runFields(4e-3, 150, { lr: 2e-3, alpha: 64 }),
    { key: 'safety', type: 'number', default: 600, min: 1, max: 20_000, step: 1, main: true },
    { key: 'benign', type: 'number', default: 2400, min: 1, max: 20_000, step: 1, main: true },
    { key: 'anchor', type: 'choice', default: 'model', choices: ['model', 'data'], main: false },
  ],
  plan: (s) => ({
    ...runPlan(s),
    steps: num(s, 'steps'),
    schedule: cosine(num(s, 'steps')),
    optim: TINY_OPTIM,
    streams: { safety: { batch: safetyRows(num(s, 'batch')) } },
  }),
  data: (task, s, seed) => ({
    main: anchors(task, seed, num(s, 'benign')),
    safety: recoveries(task, seed, { examples: num(s, 'safety'), method: 'DeepAlign' }),
  }),
  ownAnswers: (s) => (s.anchor === 'model' ? ['main'] : []),
  needs: (s) => ({ gradients: 1 + safetyRows(num(s, 'batch')) / num(s, 'batch') }),
  step: deepAlignStep,
};
