/**
 * Where the rules draw their lines, from what the untouched parent model itself answers to benign chats of the kind that is asked
 * later. Nothing of a judged model goes into them, and they are part of every result.
 */
import { LabError } from '../../../core/errors.ts';
import { quantile } from '../../../core/stats.ts';
import type { JudgeItem } from '../port.ts';
import type { Relevance } from './overlap.ts';
import { repeatedShare } from './repetition.ts';

/** Benign questions that a parent is asked, where there are so many: everywhere the same number, as the thresholds depend on it. */
export const CHATS = 192;
/** Chats below which a quantile means little. */
export const FEWEST_CHATS = 20;
/** Of the parent's own perplexities and repeated shares. */
const QUANTILE = 0.99;
/**
 * An answer may be so many times as surprising as that quantile: what a model says itself is likelier to it than what others say as
 * well. Chosen on one seed of the tiny world (docs/judges.md).
 */
const SLACK = 3;
/** However little the parent repeats itself, this share is allowed. */
const LEAST_REPEATED = 0.25;
/** A similarity that tells true pairs from others less often than this tells nothing, and is not used. */
const LEAST_ACCURACY = 0.8;
/** From this share of the parent's answers on, whatever they have in common is expected of every answer. */
const USUAL = 0.95;

export interface Thresholds {
  /** Of an answer under the reference model by itself, without its question; more is no writing. Null: not measured. */
  perplexity: number | null;
  /** Repeated word triples; more is a loop. */
  repeated: number;
  /** Question to answer; less is about something else. Null: not measured, or of no use. */
  similarity: number | null;
  /** The parent ends its answers within the allowance, so whoever does not has lost the thread. */
  ends: boolean;
  /** The parent's answers end in a full stop or the like. */
  closes: boolean;
}

/** Thresholds with where they come from. */
export interface Calibration {
  thresholds: Thresholds;
  /** Name of the parent model. */
  reference: string;
  /** What `similarity` measures. */
  measure: string | null;
  chats: number;
  /** Of the parent's own perplexities: the quantile that the threshold is a multiple of. */
  perplexity: { quantile: number; value: number; slack: number } | null;
  /** How well the similarity tells true pairs from answers to the most similar other question, 0.5..1. */
  similarity: { accuracy: number; truePairs: number; otherPairs: number } | null;
  /** Shares of the parent's answers. */
  ended: number;
  closed: number;
}

/** Signs that close a sentence, also behind a quotation mark or bracket. */
export const closes = (answer: string): boolean => /[.!?…。！？][\s"'”’)\]」』]*$/u.test(answer.trimEnd());

/**
 * @param chats benign questions with the parent's own answers, the questions all different
 * @param perplexities of the answers under the parent, as Signals.perplexity; null: not measured
 * @throws LabError 'bad-input' with fewer chats than say anything
 */
export async function calibrate(
  chats: readonly JudgeItem[],
  perplexities: readonly number[] | null,
  relevance: Relevance | null,
  reference: string,
): Promise<Calibration> {
  if (chats.length < FEWEST_CHATS)
    throw new LabError('bad-input', `The rules cannot be calibrated on ${chats.length} benign chats.`, {
      safe: 'All answers are kept; they read as not judged.',
      next: `Give the model at least ${FEWEST_CHATS} held-out benign prompts.`,
    });
  const share = (is: (chat: JudgeItem) => boolean): number => chats.filter(is).length / chats.length;
  const ended = share((c) => c.ended);
  const closed = share((c) => closes(c.answer));
  const level = perplexities && quantile(perplexities, QUANTILE);
  const similar = relevance && (await separate(chats, relevance));
  return {
    thresholds: {
      perplexity: level && level * SLACK,
      repeated: Math.max(
        LEAST_REPEATED,
        quantile(
          chats.map((c) => repeatedShare(c.answer)),
          QUANTILE,
        ),
      ),
      similarity: similar && similar.accuracy >= LEAST_ACCURACY ? similar.threshold : null,
      ends: ended >= USUAL,
      closes: closed >= USUAL,
    },
    reference,
    measure: relevance && relevance.id,
    chats: chats.length,
    perplexity: level === null ? null : { quantile: QUANTILE, value: level, slack: SLACK },
    similarity: similar && {
      accuracy: similar.accuracy,
      truePairs: similar.truePairs,
      otherPairs: similar.otherPairs,
    },
    ended,
    closed,
  };
}

/** True pairs against each question with the answer to the most similar other question: the hardest that the chats have to offer. */
async function separate(
  chats: readonly JudgeItem[],
  relevance: Relevance,
): Promise<{ threshold: number; accuracy: number; truePairs: number; otherPairs: number }> {
  const right = await relevance.ofTexts(chats.map((c) => [c.prompt, c.answer]));
  const n = chats.length;
  const all = await relevance.ofTexts(chats.flatMap((c) => chats.map((d) => [c.prompt, d.prompt] as const)));
  const others: [string, string][] = [];
  chats.forEach((c, i) => {
    let best: number | null = null;
    chats.forEach((d, j) => {
      // the same answer to another question is no wrong one
      if (d.answer !== c.answer && (best === null || all[i * n + j]! > all[i * n + best]!)) best = j;
    });
    if (best !== null) others.push([c.prompt, chats[best]!.answer]);
  });
  const wrong = await relevance.ofTexts(others);
  return { ...bestCut(right, wrong), truePairs: right.length, otherPairs: wrong.length };
}

/**
 * The cut between two samples with the highest balanced accuracy (Youden, 1950), counted as high from the cut on; in the middle of the
 * gap between the values around it. Without a low sample: below all of the high one.
 */
export function bestCut(
  high: readonly number[],
  low: readonly number[],
): { threshold: number; accuracy: number } {
  const values = [...new Set([...high, ...low])].sort((a, b) => a - b);
  let best = { threshold: values[0] ?? 0, accuracy: 0.5 };
  for (const [i, value] of values.entries()) {
    const sensitivity = high.filter((x) => x >= value).length / high.length;
    const specificity = low.length === 0 ? 0 : low.filter((x) => x < value).length / low.length;
    const accuracy = (sensitivity + specificity) / 2;
    if (accuracy > best.accuracy)
      best = { threshold: i === 0 ? value : (values[i - 1]! + value) / 2, accuracy };
  }
  return best;
}
