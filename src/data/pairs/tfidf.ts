import type { Similarity } from './similarity.ts';
import { Breather, type Watch } from './watch.ts';

/** Writing without spaces between words, and Korean, whose particles hang on its words: pairs of characters stand for words. */
const UNSPACED = /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}\p{sc=Thai}]/u;
/** Most texts: ASCII, where nothing is to be normalised. */
const PLAIN = /^[\x20-\x7e\s]*$/;
const PLAIN_RUNS = /[a-z0-9]+/g;
const RUNS = /[\p{L}\p{M}\p{N}]+/gu;
const PARTS =
  /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}\p{sc=Thai}ー]+|[^\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}\p{sc=Thai}ー]+/gu;

/** Words of a text in lower case; of East Asian scripts pairs of neighbouring characters, as Lucene's CJKBigramFilter has them. */
export function terms(text: string): string[] {
  if (PLAIN.test(text)) return text.toLowerCase().match(PLAIN_RUNS) ?? [];
  const runs = text.normalize('NFKC').toLowerCase().match(RUNS) ?? [];
  return runs.flatMap((run) => {
    if (!UNSPACED.test(run)) return [run];
    return (run.match(PARTS) ?? []).flatMap((part) => {
      if (!UNSPACED.test(part)) return [part];
      const signs = [...part];
      return signs.length === 1 ? signs : signs.slice(1).map((sign, i) => signs[i]! + sign);
    });
  });
}

/** Terms of a text, ascending, and how often each stands in it. */
interface Bag {
  term: Uint32Array;
  count: Uint32Array;
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
  #vocabulary: ReadonlyMap<string, number>;
  #idf: Float64Array;
  #instructions: readonly Bag[];
  #answers: readonly Bag[];

  private constructor(
    vocabulary: ReadonlyMap<string, number>,
    idf: Float64Array,
    instructions: readonly Bag[],
    answers: readonly Bag[],
  ) {
    this.#vocabulary = vocabulary;
    this.#idf = idf;
    this.#instructions = instructions;
    this.#answers = answers;
  }

  /** Counts the words of all texts of both sides. @throws the signal's reason when stopped */
  static async fit(
    instructions: readonly string[],
    answers: readonly string[],
    watch: Watch = {},
  ): Promise<TfIdf> {
    const vocabulary = new Map<string, number>();
    const frequency: number[] = [];
    const breather = new Breather(watch);
    const total = instructions.length + answers.length;
    let done = 0;
    const bags = async (texts: readonly string[]): Promise<Bag[]> => {
      const out: Bag[] = [];
      for (const text of texts) {
        const bag = bagOf(text, (word) => {
          const known = vocabulary.get(word);
          if (known !== undefined) return known;
          vocabulary.set(word, frequency.length);
          return frequency.push(0) - 1;
        });
        for (const id of bag.term) frequency[id]!++;
        out.push(bag);
        await breather.at('vectors', ++done, total);
      }
      return out;
    };
    const [left, right] = [await bags(instructions), await bags(answers)];
    const idf = Float64Array.from(frequency, (n) => Math.log((1 + total) / (1 + n)) + 1);
    return new TfIdf(vocabulary, idf, left, right);
  }

  async of(pairs: readonly (readonly [number, number])[], watch: Watch = {}): Promise<number[]> {
    const breather = new Breather(watch);
    const out: number[] = [];
    for (const [i, a] of pairs) {
      out.push(this.#cosine(this.#instructions[i]!, this.#answers[a]!));
      await breather.at('compare', out.length, pairs.length);
    }
    return out;
  }

  /** As `of`, for texts that were changed after the counting; words that no text had count for nothing. */
  async ofTexts(pairs: readonly (readonly [string, string])[]): Promise<number[]> {
    const bag = (text: string): Bag => bagOf(text, (word) => this.#vocabulary.get(word));
    return pairs.map(([instruction, answer]) => this.#cosine(bag(instruction), bag(answer)));
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
    let dot = 0;
    for (let i = 0, k = 0; i < a.term.length && k < b.term.length;) {
      const [s, t] = [a.term[i]!, b.term[k]!];
      if (s === t) dot += this.#weight(a, i++) * this.#weight(b, k++);
      else if (s < t) i++;
      else k++;
    }
    return dot === 0 ? 0 : rounded(dot / (this.#norm(a) * this.#norm(b)));
  }
}

/** @param idOf undefined: the word is left out */
function bagOf(text: string, idOf: (word: string) => number | undefined): Bag {
  const words = terms(text);
  const ids = new Uint32Array(words.length);
  let known = 0;
  for (const word of words) {
    const id = idOf(word);
    if (id !== undefined) ids[known++] = id;
  }
  const sorted = ids.subarray(0, known).sort();
  const term = new Uint32Array(known);
  const count = new Uint32Array(known);
  let n = 0;
  for (const id of sorted) {
    if (n === 0 || term[n - 1] !== id) term[n++] = id;
    count[n - 1]!++;
  }
  return { term: term.slice(0, n), count: count.slice(0, n) };
}
