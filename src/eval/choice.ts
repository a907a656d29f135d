import type { Example } from '../core/types.ts';
import { IGNORE } from '../core/types.ts';
import { chunks, rowLosses } from './perplexity.ts';
import type { LossScorer, Scorer } from './perplexity.ts';

/** One multiple-choice item in tokens. */
export interface ChoiceItem {
  /** Everything before the choice, template included. */
  prompt: readonly number[];
  /** Tokens of each choice, as they would follow the prompt. */
  choices: readonly (readonly number[])[];
  /** Index of the right choice. */
  right: number;
}

export interface ChoiceScore {
  /** log p(choice tokens | prompt), summed. */
  sum: number[];
  /** `sum` divided by the number of the choice's tokens. */
  normalised: number[];
  /** Index of the best choice by each rule; ties go to the first. */
  bySum: number;
  byNormalised: number;
}

/** Likelihood of every choice after its prompt: summed, and normalised by length in tokens (lm-eval's acc and acc_norm). */
export async function scoreChoices(scorer: LossScorer, items: readonly ChoiceItem[]): Promise<ChoiceScore[]> {
  const rows: Example[] = items.flatMap((item) =>
    item.choices.map((choice) => ({
      ids: [...item.prompt, ...choice],
      labels: [...item.prompt.map(() => IGNORE), ...choice],
    })),
  );
  const losses = await rowLosses(scorer, rows);
  let at = 0;
  return items.map((item) => {
    const own = losses.slice(at, (at += item.choices.length));
    const sum = own.map((x) => -x.sum);
    const normalised = own.map((x) => -x.sum / x.labels);
    return { sum, normalised, bySum: argmax(sum), byNormalised: argmax(normalised) };
  });
}

/**
 * log p of single-token choices (the letters) directly after the prompt, as MMLU is scored: the model picks the likeliest
 * letter whatever it would have said freely. One forward pass per item.
 */
export async function scoreLetters(
  scorer: Scorer,
  items: readonly { prompt: readonly number[]; letters: readonly number[] }[],
): Promise<{ logp: number[]; chosen: number }[]> {
  const rows: Example[] = items.map(({ prompt }) => ({ ids: prompt, labels: prompt.map(() => IGNORE) }));
  const out: { logp: number[]; chosen: number }[] = [];
  // Logits are kept for every token, so both limits bound the tokens.
  const most = Math.min(scorer.cap.maxTokens, scorer.cap.maxLabels);
  for (const batch of chunks(rows, { maxTokens: most, maxLabels: most })) {
    const logits = await scorer.logits(batch);
    batch.forEach((row, r) => {
      const all = logits[r]!;
      const vocab = all.length / row.ids.length;
      const last = all.subarray((row.ids.length - 1) * vocab);
      const max = last.reduce((a, b) => Math.max(a, b), -Infinity);
      const logZ = max + Math.log(last.reduce((a, x) => a + Math.exp(x - max), 0));
      const logp = items[out.length]!.letters.map((id) => last[id]! - logZ);
      out.push({ logp, chosen: argmax(logp) });
    });
  }
  return out;
}

function argmax(xs: readonly number[]): number {
  let best = 0;
  for (let i = 1; i < xs.length; i++) if (xs[i]! > xs[best]!) best = i;
  return best;
}
