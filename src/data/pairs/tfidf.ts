import type { Similarity } from './similarity.ts';
import { Vocabulary } from './vocabulary.ts';
import { Breather, type Watch } from './watch.ts';

/** Terms of many texts one behind the other, and how often each stands in its text. */
class Bags {
  #term = new Uint32Array(2 ** 16);
  #count = new Uint32Array(2 ** 16);
  #used = 0;
  /** Where each text begins, and the end of the last. */
  #starts = [0];
  /** Of each term: where it lies in the text that is being counted, if not before that text. */
  #last = new Uint32Array(2 ** 16);

  /** Counts the terms of the next text. @param fresh told of each of them once */
  add(vocabulary: Vocabulary, text: string, grow: boolean, fresh?: (id: number) => void): void {
    const start = this.#used;
    vocabulary.each(text, grow, (id) => {
      if (id >= this.#last.length) this.#last = longer(this.#last, id);
      const last = this.#last[id]! - 1;
      if (last >= start) {
        this.#count[last]!++;
        return;
      }
      if (this.#used === this.#term.length) {
        this.#term = longer(this.#term, this.#used);
        this.#count = longer(this.#count, this.#used);
      }
      this.#term[this.#used] = id;
      this.#count[this.#used] = 1;
      this.#last[id] = ++this.#used;
      fresh?.(id);
    });
    this.#starts.push(this.#used);
  }

  of(text: number): Bag {
    const [from, to] = [this.#starts[text]!, this.#starts[text + 1]!];
    return { term: this.#term.subarray(from, to), count: this.#count.subarray(from, to) };
  }
}

/** Terms of a text, in the order of their first appearance, and how often each stands in it. */
interface Bag {
  term: Uint32Array;
  count: Uint32Array;
}

function longer(array: Uint32Array<ArrayBuffer>, index: number): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(Math.max(2 * array.length, index + 1));
  out.set(array);
  return out;
}

/** Cosines keep six digits, so that the last bit of a logarithm decides nothing. */
const rounded = (x: number): number => Math.round(x * 1e6) / 1e6;

/**
 * TF-IDF cosine between instructions and answers: weight (1 + ln tf) (ln((1 + N) / (1 + df)) + 1), the inverse document
 * frequency over both sides (smoothed, as in scikit-learn). Texts without a common word have 0, and so has a text without words
 * with all.
 */
export class TfIdf implements Similarity {
  readonly id = 'tfidf';
  #vocabulary: Vocabulary;
  #idf: Float64Array;
  #instructions: Bags;
  #answers: Bags;
  /** Weight of each term in the instruction that is being compared; 0 between comparisons. */
  #weights: Float64Array;

  private constructor(vocabulary: Vocabulary, idf: Float64Array, instructions: Bags, answers: Bags) {
    this.#vocabulary = vocabulary;
    this.#idf = idf;
    this.#instructions = instructions;
    this.#answers = answers;
    this.#weights = new Float64Array(idf.length);
  }

  /** Counts the words of all texts of both sides. @throws the signal's reason when stopped */
  static async fit(
    instructions: readonly string[],
    answers: readonly string[],
    watch: Watch = {},
  ): Promise<TfIdf> {
    const vocabulary = new Vocabulary();
    let frequency = new Uint32Array(2 ** 16);
    const breather = new Breather(watch);
    const total = instructions.length + answers.length;
    let done = 0;
    const bagsOf = async (texts: readonly string[]): Promise<Bags> => {
      const bags = new Bags();
      for (const text of texts) {
        bags.add(vocabulary, text, true, (id) => {
          if (id >= frequency.length) frequency = longer(frequency, id);
          frequency[id]!++;
        });
        await breather.at('vectors', ++done, total);
      }
      return bags;
    };
    const [left, right] = [await bagsOf(instructions), await bagsOf(answers)];
    const idf = Float64Array.from(
      frequency.subarray(0, vocabulary.size),
      (n) => Math.log((1 + total) / (1 + n)) + 1,
    );
    return new TfIdf(vocabulary, idf, left, right);
  }

  async of(pairs: readonly (readonly [number, number])[], watch: Watch = {}): Promise<number[]> {
    const breather = new Breather(watch);
    const out: number[] = [];
    for (const [i, a] of pairs) {
      out.push(this.#cosine(this.#instructions.of(i), this.#answers.of(a)));
      await breather.at('compare', out.length, pairs.length);
    }
    return out;
  }

  /** As `of`, for texts that were changed after the counting; words that no text had count for nothing. */
  async ofTexts(pairs: readonly (readonly [string, string])[]): Promise<number[]> {
    const bags = new Bags();
    for (const text of pairs.flat()) bags.add(this.#vocabulary, text, false);
    return pairs.map((_, i) => this.#cosine(bags.of(2 * i), bags.of(2 * i + 1)));
  }

  #weight({ term, count }: Bag, k: number): number {
    return (1 + Math.log(count[k]!)) * this.#idf[term[k]!]!;
  }

  #norm(bag: Bag): number {
    let sum = 0;
    for (let k = 0; k < bag.term.length; k++) sum += this.#weight(bag, k) ** 2;
    return Math.sqrt(sum);
  }

  #cosine(a: Bag, b: Bag): number {
    for (let k = 0; k < a.term.length; k++) this.#weights[a.term[k]!] = this.#weight(a, k);
    let dot = 0;
    for (let k = 0; k < b.term.length; k++) {
      const weight = this.#weights[b.term[k]!]!;
      if (weight !== 0) dot += weight * this.#weight(b, k);
    }
    for (const term of a.term) this.#weights[term] = 0;
    return dot === 0 ? 0 : rounded(dot / (this.#norm(a) * this.#norm(b)));
  }
}
