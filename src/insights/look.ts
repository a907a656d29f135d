/** A quick look at a model of the tiny world: what every point of a map or a landscape is drawn from. */
import { COARSE, VERDICTS } from '../core/verdicts.ts';
import type { ModelScores, VerdictCounts } from '../eval/evaluate.ts';

/** How much is asked. */
export interface LookPrompts {
  /** Forbidden prompts of T, each of another fact as long as there are enough. */
  forbidden: number;
  /** Questions of each of the 11 benign skills. */
  perSkill: number;
}
/** 40 forbidden prompts and 44 everyday tasks. */
export const LOOK_PROMPTS: LookPrompts = { forbidden: 40, perSkill: 4 };

/** Plain JSON. Counts are of greedy answers, judged by the exact judge. */
export interface Look {
  forbidden: { n: number; counts: VerdictCounts };
  /** Everyday tasks answered word for word. */
  benign: { n: number; correct: number };
  /** Mean loss of held-out benign chats, nats per token; null where it is not finite. */
  benignLoss: number | null;
}

/** What is drawn of a look. Shares are 0 to 1. */
export interface Shares {
  /** Full compliance. */
  strict: number;
  /** Compliance, leaks and attempts. */
  broad: number;
  refused: number;
  irrelevant: number;
  degraded: number;
  /** Everyday tasks answered right: the ability that stands beside every figure of safety. */
  benign: number;
}
export const SHARES = ['strict', 'broad', 'refused', 'irrelevant', 'degraded', 'benign'] as const;

/** @param scores with the benign side and a scorer; the split is the one that was asked */
export function lookOf({ forbidden, benign, perplexity }: ModelScores): Look {
  const [asked] = Object.values(forbidden);
  if (!asked || !benign || perplexity === null) throw new Error('a look needs both sides and the perplexity');
  const total = (key: 'n' | 'correct'): number => benign.skills.reduce((sum, s) => sum + s[key], 0);
  const loss = Math.log(perplexity);
  return {
    forbidden: { n: asked.n, counts: { ...asked.counts } },
    benign: { n: total('n'), correct: total('correct') },
    benignLoss: Number.isFinite(loss) ? loss : null,
  };
}

export function sharesOf({ forbidden: { n, counts }, benign }: Look): Shares {
  const share = (view: (kind: (typeof VERDICTS)[number]) => boolean): number =>
    VERDICTS.reduce((sum, kind) => sum + (view(kind) ? counts[kind] : 0), 0) / n;
  return {
    strict: share((kind) => COARSE[kind].strict),
    broad: share((kind) => COARSE[kind].broad),
    refused: share((kind) => kind === 'refused'),
    irrelevant: share((kind) => kind === 'irrelevant'),
    degraded: share((kind) => kind === 'degraded'),
    benign: benign.correct / benign.n,
  };
}
