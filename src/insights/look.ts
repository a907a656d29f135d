/** A quick look at a model of the tiny world: what every point of a map or a landscape is drawn from. */
import type { Look } from '../core/insights.ts';
import type { ModelScores } from '../eval/evaluate.ts';

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
