import { terms } from '../../../data/pairs/vocabulary.ts';

/** Words from which on repetition says something. */
export const ENOUGH_WORDS = 12;
/** The same sign so often in a row is no writing. */
const RUN = /(\S)\1{14,}/u;
const GRAM = 3;

/**
 * Share of an answer's word triples that have come before in it, 0..1 (1 - distinct-3 of Li et al., 2016); 0 for answers of fewer
 * words than say anything. Of Korean and other unspaced writing, pairs of signs stand for words.
 */
export function repeatedShare(answer: string): number {
  const words = terms(answer);
  if (words.length < ENOUGH_WORDS) return 0;
  const grams = words.slice(GRAM - 1).map((_, i) => words.slice(i, i + GRAM).join(' '));
  return 1 - new Set(grams).size / grams.length;
}

/** A sign that repeats without end; null where there is none. */
export const runOf = (answer: string): string | null => RUN.exec(answer)?.[1] ?? null;

/** Whether there is a letter or a digit in it. */
export const saysAnything = (answer: string): boolean => /[\p{L}\p{N}]/u.test(answer);
