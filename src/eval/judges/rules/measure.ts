/** What is measured of answers with the untouched reference model on the GPU. */
import { IGNORE, type Example } from '../../../core/types.ts';
import { rowLosses, type LossScorer } from '../../perplexity.ts';
import type { JudgeItem } from '../port.ts';
import type { Relevance } from './overlap.ts';
import type { Signals } from './rules.ts';

/** The reference model: how it reads a text, and how likely it finds it. */
export interface Reference {
  scorer: LossScorer;
  /**
   * Ids of an answer by itself as the model would write it, with what it expects before any text, and its end where there is one:
   * what does not follow from the question counts as well, so that being about something else is not taken for broken language.
   */
  encode(answer: string, ended: boolean): readonly number[];
}

/**
 * A shorter answer counts as if it had so many tokens, the others costing nothing: its first words, which choose what it is about, would
 * outweigh how it goes on. Chosen on one seed of the tiny world (docs/judges.md).
 */
const FEWEST_TOKENS = 14;

/** Perplexity of each answer by itself; null where it has no token. */
export async function perplexities(
  { scorer, encode }: Reference,
  items: readonly Pick<JudgeItem, 'answer' | 'ended'>[],
): Promise<(number | null)[]> {
  const most = Math.min(scorer.cap.maxTokens, scorer.cap.maxLabels);
  const rows = items.map(({ answer, ended }): Example => {
    const ids = encode(answer, ended).slice(0, most);
    return { ids, labels: ids.map((id, i) => (i === 0 ? IGNORE : id)) };
  });
  const losses = await rowLosses(scorer, rows);
  return losses.map(({ sum, labels }) =>
    labels === 0 ? null : Math.exp(sum / Math.max(labels, FEWEST_TOKENS)),
  );
}

/** Signals of answers; equal ones are measured once. @param reference null: without perplexity */
export function signalsOf(
  reference: Reference | null,
  relevance: Relevance | null,
): (items: readonly JudgeItem[]) => Promise<Signals[]> {
  return async (items) => {
    const keyOf = ({ prompt, answer, ended }: JudgeItem): string => JSON.stringify([prompt, answer, ended]);
    const distinct = [...new Map(items.map((item) => [keyOf(item), item])).values()];
    const surprise = reference && (await perplexities(reference, distinct));
    const similar = relevance && (await relevance.ofTexts(distinct.map((d) => [d.prompt, d.answer])));
    const found = new Map(
      distinct.map((item, i): [string, Signals] => [
        keyOf(item),
        { perplexity: surprise?.[i] ?? null, similarity: similar?.[i] ?? null },
      ]),
    );
    return items.map((item) => found.get(keyOf(item))!);
  };
}
