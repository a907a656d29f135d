import type { SimilarityPort } from '../data/pairs/similarity.ts';
import type { HiddenStates } from '../model/hidden.ts';

/** Tokens of a text that count; an answer says in its first ones what it is about. */
const TEXT_TOKENS = 128;

/**
 * Texts as means over their tokens' hidden states after the final norm: a port for comparing instructions with answers.
 * @param id of the model, for the manifest
 * @param encode a text's ids, with what the model expects before it
 * @param turn runs a piece of work when the GPU is free for it
 */
export function pooledPort(
  id: string,
  hidden: HiddenStates,
  encode: (text: string) => readonly number[],
  turn: <T>(work: () => Promise<T>) => Promise<T> = (work) => work(),
): SimilarityPort {
  const width = hidden.model.config.hidden_size;
  const most = Math.min(TEXT_TOKENS, hidden.maxTokens, hidden.model.config.max_position_embeddings);
  return {
    id: `mean-pooled hidden states of ${id}, ${most} tokens`,
    batch: Math.max(1, Math.floor(hidden.maxTokens / most)),
    async embed(texts, signal) {
      signal?.throwIfAborted();
      const rows = texts.map((text) => encode(text).slice(0, most));
      const states = await turn(() => hidden.read(rows));
      return states.map((row) => meanOf(row, width));
    },
  };
}

/** Mean of the rows of a [length, width] matrix; zeros where it has none. */
function meanOf(row: Float32Array, width: number): Float32Array {
  const sum = new Float64Array(width);
  row.forEach((x, i) => (sum[i % width]! += x));
  const length = Math.max(1, row.length / width);
  return Float32Array.from(sum, (x) => x / length);
}
