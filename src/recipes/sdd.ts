/**
 * SDD, self-degraded defence (Chen, Lu, Wang et al., 'SDD: Self-Degraded Defense against Malicious Fine-tuning', ACL
 * 2025). Ordinary SFT, but on pairs <forbidden request, good answer to some other, benign request>:
 *
 *   min over theta of  E [ -log p_theta(irrelevant answer | forbidden request) ]
 *
 * An attacker who then lowers -log p(harmful answer | forbidden request) has to undo exactly this, and on the way the
 * general ability degrades with it. `sdd` adds a little benign replay and chooses the kinds of irrelevant answers (tuned
 * on split V of the shipped world); `sdd-paper` takes the paper's data (no replay, answers as they come) at the same rate and
 * steps, so that the two differ in data alone.
 */
import { SDD_DEFAULTS, SDD_PAPER, sddPairs } from '../data/datasets.ts';
import type { SddSettings } from '../data/datasets.ts';
import type { Settings } from '../core/settings.ts';
import type { Recipe } from './recipe.ts';
import { cosine, num, runFields, runPlan } from './recipe.ts';
import { sftStep } from './sft.ts';
import { TINY_OPTIM } from './tiny.ts';

const SOURCE = 'SDD: Self-Degraded Defense against Malicious Fine-tuning, ACL 2025';

/** The share of how-to answers as set, the other kinds in their proportions beside it. */
function shares(howto: number): SddSettings['shares'] {
  const own: Record<string, number> = SDD_DEFAULTS.shares;
  const rest = Object.entries(own).filter(([kind]) => kind !== 'howto');
  const total = rest.reduce((sum, [, share]) => sum + share, 0);
  return { howto, ...Object.fromEntries(rest.map(([kind, share]) => [kind, (share / total) * (1 - howto)])) };
}

/** How SDD is run; its controls are run alike. */
export const SDD_RUN = runFields(3e-3, 150, { lr: 5e-3, alpha: 64 });

const plan = (s: Settings) => ({
  ...runPlan(s),
  steps: num(s, 'steps'),
  schedule: cosine(num(s, 'steps')),
  optim: TINY_OPTIM,
});

export const sdd: Recipe = {
  id: 'sdd',
  title: 'SDD',
  kind: 'defence',
  source: SOURCE,
  continuable: false,
  settings: [
    ...SDD_RUN,
    { key: 'pairs', type: 'number', default: SDD_DEFAULTS.pairs, min: 1, max: 20_000, step: 1, main: true },
    { key: 'replay', type: 'number', default: SDD_DEFAULTS.replay, min: 0, max: 4000, step: 1, main: true },
    {
      key: 'howto',
      type: 'number',
      default: SDD_DEFAULTS.shares.howto,
      min: 0,
      max: 1,
      step: 0.05,
      main: true,
    },
    { key: 'deep', type: 'boolean', default: SDD_DEFAULTS.deep, main: false },
  ],
  plan,
  data: (task, s, seed) =>
    sddPairs(task, seed, {
      pairs: num(s, 'pairs'),
      replay: num(s, 'replay'),
      shares: shares(num(s, 'howto')),
      deep: s.deep === true,
    }),
  step: sftStep,
};

export const sddPaper: Recipe = {
  id: 'sdd-paper',
  title: 'SDD with the data of the paper',
  kind: 'defence',
  source: SOURCE,
  continuable: false,
  settings: [
    ...SDD_RUN,
    { key: 'pairs', type: 'number', default: SDD_PAPER.pairs, min: 1, max: 20_000, step: 1, main: true },
  ],
  plan,
  data: (task, s, seed) => sddPairs(task, seed, { ...SDD_PAPER, pairs: num(s, 'pairs') }),
  step: sftStep,
};
