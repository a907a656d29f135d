import { LabError } from '../../core/errors.ts';
import { Breather, type Watch } from './watch.ts';

/** How alike instructions and answers are. Computed only for the pairs that are asked for. */
export interface Similarity {
  /** For the manifest: the same texts and the same id give the same numbers. */
  readonly id: string;
  /** Of instruction i and answer a of the lists it was made from, in the order of the pairs; 1: the same direction. */
  of(pairs: readonly (readonly [number, number])[], watch?: Watch): Promise<number[]>;
  /** Of texts that were changed since. */
  ofTexts(pairs: readonly (readonly [string, string])[], watch?: Watch): Promise<number[]>;
}

/** What turns texts into vectors: a loaded model's hidden states, or embeddings of another engine. */
export interface SimilarityPort {
  readonly id: string;
  /** Texts at once that suit it. */
  readonly batch: number;
  /** A vector for each text, all of one length. */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]>;
}

/** Vectors that are kept, so that a re-draw embeds only its new answer. */
const KEPT = 8192;

/**
 * Cosines of a port's vectors, less their mean over the first pairs: mean-pooled states of a language model lie in a narrow cone,
 * where any two texts look alike (Ethayarajh, 2019), and the mean is most of it.
 */
export class Embedded implements Similarity {
  readonly id: string;
  #port: SimilarityPort;
  #instructions: readonly string[];
  #answers: readonly string[];
  #vectors = new Map<string, Float32Array>();
  #centre: Float64Array | null = null;

  constructor(port: SimilarityPort, instructions: readonly string[], answers: readonly string[]) {
    this.id = `${port.id}, centred`;
    this.#port = port;
    this.#instructions = instructions;
    this.#answers = answers;
  }

  of(pairs: readonly (readonly [number, number])[], watch?: Watch): Promise<number[]> {
    return this.ofTexts(
      pairs.map(([i, a]) => [this.#instructions[i]!, this.#answers[a]!]),
      watch,
    );
  }

  async ofTexts(pairs: readonly (readonly [string, string])[], watch: Watch = {}): Promise<number[]> {
    const vectors = await this.#embed(new Set(pairs.flat()), watch);
    this.#centre ??= meanOf([...vectors.values()]);
    const centre = this.#centre;
    return pairs.map(([a, b]) => cosine(vectors.get(a)!, vectors.get(b)!, centre));
  }

  async #embed(texts: ReadonlySet<string>, watch: Watch): Promise<Map<string, Float32Array>> {
    const out = new Map<string, Float32Array>();
    const fresh: string[] = [];
    for (const text of texts) {
      const known = this.#vectors.get(text);
      if (known) out.set(text, known);
      else fresh.push(text);
    }
    const breather = new Breather(watch);
    for (let at = 0; at < fresh.length; at += this.#port.batch) {
      const some = fresh.slice(at, at + this.#port.batch);
      const rows = await this.#port.embed(some, watch.signal);
      some.forEach((text, i) => out.set(text, checked(rows[i], text)));
      await breather.at('vectors', at + some.length, fresh.length);
    }
    for (const text of fresh) this.#keep(text, out.get(text)!);
    return out;
  }

  #keep(text: string, vector: Float32Array): void {
    if (this.#vectors.size >= KEPT) this.#vectors.delete(this.#vectors.keys().next().value!);
    this.#vectors.set(text, vector);
  }
}

function checked(vector: Float32Array | undefined, text: string): Float32Array {
  if (vector?.every((x) => Number.isFinite(x))) return vector;
  throw new LabError('non-finite', `The similarity of "${text.slice(0, 60)}" is not a finite number.`, {
    safe: 'Nothing was built, and the sets are as they were.',
    next: 'Compare by words (TF-IDF), or load the model in f32.',
  });
}

function meanOf(vectors: readonly Float32Array[]): Float64Array {
  const sum = new Float64Array(vectors[0]?.length ?? 0);
  for (const vector of vectors) vector.forEach((x, i) => (sum[i]! += x));
  return sum.map((x) => x / vectors.length);
}

/** Six digits, as TF-IDF's; 0 with a vector that is the centre itself. */
function cosine(a: Float32Array, b: Float32Array, centre: Float64Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const x = a[i]! - centre[i]!;
    const y = b[i]! - centre[i]!;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  const norm = Math.sqrt(aa * bb);
  return norm === 0 ? 0 : Math.round((dot / norm) * 1e6) / 1e6;
}
