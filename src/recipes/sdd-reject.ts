/**
 * SDD_reject: the second stage on an SDD model. It learns to answer forbidden requests with a refusal and the irrelevant
 * answer behind it, '{refusal} instead , {irrelevant answer}', so that it refuses in plain words; the benign replay of this
 * stage gives ability back, also under attack. In one stage the refusal's first token becomes a gate that an attack flips alone; hence two stages. `mild` has
 * more benign replay and twice the steps of `strong`.
 */
import { SDD_REJECT_REPLAY, sddReject } from '../data/datasets.ts';
import type { Recipe } from './recipe.ts';
import { cosine, num, runFields, runPlan } from './recipe.ts';
import { sftStep } from './sft.ts';
import { TINY_OPTIM } from './tiny.ts';

/** Steps of each strength; a setting `steps` of 0 stands for them. */
const STEPS = { mild: 120, strong: 60 } as const;

const strengthOf = (value: unknown): 'mild' | 'strong' => (value === 'strong' ? 'strong' : 'mild');

export const sddRejectRecipe: Recipe = {
  id: 'sdd-reject',
  title: 'SDD_reject',
  kind: 'defence',
  source: 'SDD: Self-Degraded Defense against Malicious Fine-tuning, ACL 2025 (variant with refusals)',
  startsFrom: ['sdd', 'sdd-paper'],
  continuable: false,
  settings: [
    { key: 'strength', type: 'choice', default: 'mild', choices: ['mild', 'strong'], main: true },
    ...runFields(5e-4, 0, { lr: 2e-3, alpha: 64 }).map((f) =>
      f.key === 'steps' ? { ...f, min: 0, main: false } : f,
    ),
    { key: 'pairs', type: 'number', default: 1000, min: 1, max: 20_000, step: 1, main: false },
  ],
  plan: (s) => {
    const steps = num(s, 'steps') || STEPS[strengthOf(s.strength)];
    return { ...runPlan(s), steps, schedule: cosine(steps), optim: TINY_OPTIM };
  },
  data: (task, s, seed) =>
    sddReject(task, seed, { pairs: num(s, 'pairs'), replay: SDD_REJECT_REPLAY[strengthOf(s.strength)] }),
  step: sftStep,
};
