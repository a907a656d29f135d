import { terms } from '../../../data/pairs/vocabulary.ts';
import { repetition } from '../../measures/repetition.ts';

/** Words from which on repetition says something. */
export const ENOUGH_WORDS = 12;
/** The same sign so often in a row is no writing. */
const RUN = /(\S)\1{14,}/u;

/**
 * Share of an answer's word triples that have come before in it, 0..1; 0 for answers of fewer words than say anything. Of Korean
 * and other unspaced writing, pairs of signs stand for words.
 */
export function repeatedShare(answer: string): number {
  const words = terms(answer);
  return words.length < ENOUGH_WORDS ? 0 : repetition(words);
}

/** A sign that repeats without end; null where there is none. */
export const runOf = (answer: string): string | null => RUN.exec(answer)?.[1] ?? null;

/** Whether there is a letter or a digit in it. */
export const saysAnything = (answer: string): boolean => /[\p{L}\p{N}]/u.test(answer);
