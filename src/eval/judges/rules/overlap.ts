import type { Similarity } from '../../../data/pairs/similarity.ts';
import { terms } from '../../../data/pairs/vocabulary.ts';

/** How alike a question and an answer are; higher is more. Fitted once, it gives one pair the same number whatever is asked beside it. */
export type Relevance = Pick<Similarity, 'id' | 'ofTexts'>;

/**
 * Which of a question's words the answer takes up: the share of their weights, 0..1, the weight of a word being its inverse document
 * frequency (smoothed, as in scikit-learn) in given texts. A word of none of them counts as the rarest, so that names that nobody
 * has asked about before count fully. 0 for a question without words.
 */
export class Overlap implements Relevance {
  readonly id = 'overlap';
  readonly #frequency = new Map<string, number>();
  readonly #texts: number;
  /** Words of the texts that were asked about: a calibration lays every question beside every other. */
  readonly #words = new Map<string, ReadonlySet<string>>();

  constructor(texts: readonly string[]) {
    this.#texts = texts.length;
    for (const text of texts)
      for (const word of this.#wordsOf(text)) this.#frequency.set(word, (this.#frequency.get(word) ?? 0) + 1);
  }

  #wordsOf(text: string): ReadonlySet<string> {
    let words = this.#words.get(text);
    if (!words) this.#words.set(text, (words = new Set(terms(text))));
    return words;
  }

  #weight(word: string): number {
    return Math.log((1 + this.#texts) / (1 + (this.#frequency.get(word) ?? 0)));
  }

  async ofTexts(pairs: readonly (readonly [string, string])[]): Promise<number[]> {
    return pairs.map(([question, answer]) => {
      const said = this.#wordsOf(answer);
      let [taken, all] = [0, 0];
      for (const word of this.#wordsOf(question)) {
        const weight = this.#weight(word);
        all += weight;
        if (said.has(word)) taken += weight;
      }
      return all === 0 ? 0 : taken / all;
    });
  }
}
