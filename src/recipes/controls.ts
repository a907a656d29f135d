/**
 * Controls of SDD: what of its effect comes from training at this rate for so long on such requests, and what from its answers.
 * Each takes over SDD's rate, steps, pairs and replay, and changes one thing.
 *
 *   refusal-sft: <forbidden request, refusal> where SDD has <forbidden request, irrelevant answer>
 *   placebo:     <benign request, irrelevant answer>
 *
 * The third one, noise, stands in noise.ts.
 */
import { placeboPairs, refusalPairs, SDD_AMOUNTS } from '../data/defence-sets.ts';
import { SDD_DEFAULTS } from '../data/datasets.ts';
import type { Settings } from '../core/settings.ts';
import type { Recipe } from './recipe.ts';
import { cosine, num, runPlan } from './recipe.ts';
import { SDD_RUN } from './sdd.ts';
import { sftStep } from './sft.ts';
import { TINY_OPTIM } from './tiny.ts';

const SETTINGS: Recipe['settings'] = [
  ...SDD_RUN,
  { key: 'pairs', type: 'number', default: SDD_AMOUNTS.pairs, min: 1, max: 20_000, step: 1, main: true },
  { key: 'replay', type: 'number', default: SDD_AMOUNTS.replay, min: 0, max: 4000, step: 1, main: true },
];

const plan = (s: Settings) => ({
  ...runPlan(s),
  steps: num(s, 'steps'),
  schedule: cosine(num(s, 'steps')),
  optim: TINY_OPTIM,
});

const amounts = (s: Settings) => ({ pairs: num(s, 'pairs'), replay: num(s, 'replay') });

export const refusalSft: Recipe = {
  id: 'refusal-sft',
  title: 'Control: refusals',
  kind: 'defence',
  source: 'control of this lab',
  continuable: false,
  settings: SETTINGS,
  plan,
  data: (task, s, seed) => refusalPairs(task, seed, amounts(s)),
  step: sftStep,
};

export const placebo: Recipe = {
  id: 'placebo',
  title: 'Control: placebo',
  kind: 'defence',
  source: 'control of this lab',
  continuable: false,
  settings: SETTINGS,
  plan,
  data: (task, s, seed) => placeboPairs(task, seed, { ...amounts(s), shares: SDD_DEFAULTS.shares }),
  step: sftStep,
};
