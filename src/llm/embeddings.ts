/**
 * Sentence embeddings by WebLLM, as something the lab may rely on or not. WebLLM gives the first token's state as it is: nothing is
 * normalised, [CLS] and [SEP] are the caller's, and padding is not masked, so that texts go one by one.
 */
import { LabError } from '../core/errors.ts';
import {
  LEAST_MARGIN,
  LEAST_SAME,
  type EmbedPort,
  type LoadOptions,
  type RawEmbedder,
  type SelfTest,
} from './ports.ts';

/** Of the model, the two marks included. */
const MOST_TOKENS = 512;
/** Letters that surely hold MOST_TOKENS of any usual text; more would only be cut. */
const MOST_LETTERS = 4 * MOST_TOKENS;
/** Each try that is still too long keeps this share. */
const SHORTER = 0.7;

/** Sentences and their paraphrases; sentences of different pairs have nothing to do with each other. */
const PAIRS: readonly (readonly [string, string])[] = [
  ['How do I bake a loaf of bread at home?', 'What is the way to make bread in my own oven?'],
  ['The train to the coast leaves at nine in the morning.', 'At nine a.m. the coastal train departs.'],
  ['Her cat sleeps on the windowsill all afternoon.', 'All afternoon the cat naps by the window.'],
];

export class WebLlmEmbeddings implements EmbedPort {
  readonly id: string;
  #engine: RawEmbedder;
  #modelId: string;

  constructor(engine: RawEmbedder, modelId: string) {
    this.#engine = engine;
    this.#modelId = modelId;
    this.id = `${modelId} (${engine.library}), first token, normalised, ${MOST_TOKENS} tokens`;
  }

  load(options?: LoadOptions): Promise<void> {
    return this.#engine.load(this.#modelId, options);
  }

  async embed(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]> {
    const rows: Float32Array[] = [];
    for (const text of texts) rows.push(await this.#one(text, signal));
    return rows;
  }

  async #one(text: string, signal?: AbortSignal): Promise<Float32Array> {
    // a text cannot bring marks of its own
    let rest = text.replace(/\[(CLS|SEP|PAD|MASK|UNK)\]/g, '($1)').slice(0, MOST_LETTERS);
    for (;;) {
      try {
        const { vector, tokens } = await this.#engine.embedRaw(`[CLS] ${rest} [SEP]`, signal);
        // at the limit the tokenizer may have cut the end, and the mark with it
        if (tokens < MOST_TOKENS || rest.length < 2) return unit(vector, text);
      } catch (e) {
        if (!(e instanceof LabError && e.code === 'too-large') || rest.length < 2) throw e;
      }
      rest = rest.slice(0, Math.floor(rest.length * SHORTER));
    }
  }

  async selfTest(signal?: AbortSignal): Promise<SelfTest> {
    const texts = PAIRS.flat();
    const first = await this.embed(texts, signal);
    // asked again after others: what an engine keeps from text to text shows here
    const again = await this.embed(texts, signal);
    const same = Math.min(...first.map((row, i) => dot(row, again[i]!)));
    let [near, far] = [Infinity, -Infinity];
    for (let i = 0; i < first.length; i++)
      for (let j = 0; j < i; j++) {
        const cosine = dot(first[i]!, first[j]!);
        if (i >> 1 === j >> 1) near = Math.min(near, cosine);
        else far = Math.max(far, cosine);
      }
    const margin = near - far;
    return { reliable: same >= LEAST_SAME && margin >= LEAST_MARGIN, same, margin };
  }
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** @throws LabError 'non-finite' for a vector without a direction */
function unit(vector: readonly number[], text: string): Float32Array {
  const length = Math.hypot(...vector);
  if (!Number.isFinite(length) || length === 0)
    throw new LabError('non-finite', `The embedding of "${text.slice(0, 60)}" has no direction.`, {
      safe: 'Nothing was built, and the sets are as they were.',
      next: 'Compare by words (TF-IDF).',
    });
  return Float32Array.from(vector, (x) => x / length);
}
