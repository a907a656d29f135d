/** What a model expected at each token of a text, alone and against another model: token inspector, drift, golden case P. */
import type { Example } from '../core/types.ts';
import { IGNORE } from '../core/types.ts';
import { LabError } from '../core/errors.ts';
import { chunks, type Scorer } from './perplexity.ts';

/** A text after what comes before it, in tokens. */
export interface Continuation {
  prompt: readonly number[];
  continuation: readonly number[];
}

export interface TokenExpectation {
  id: number;
  /** log p(token | all before it), in nats. */
  logp: number;
  /** Of the whole distribution that the token was drawn from, in nats. */
  entropy: number;
  /** The likeliest tokens, best first; equal ones by id. */
  top: { id: number; logp: number }[];
}

/** log p over the vocabulary from one row of logits; sums in float64. */
export function logSoftmax(logits: Float32Array): Float64Array {
  let max = -Infinity;
  for (const x of logits) if (x > max) max = x;
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - max);
  const logZ = max + Math.log(sum);
  return Float64Array.from(logits, (x) => x - logZ);
}

/** -sum p log p, in nats. */
export function entropy(logp: Float64Array): number {
  let sum = 0;
  for (const x of logp) if (x > -Infinity) sum -= Math.exp(x) * x;
  return sum;
}

/** KL(p || q) of two distributions given as log p, in nats. */
export function divergence(p: Float64Array, q: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < p.length; i++) if (p[i]! > -Infinity) sum += Math.exp(p[i]!) * (p[i]! - q[i]!);
  return sum;
}

/**
 * The distributions that each continuation's tokens come from: log p over the vocabulary, one for each token.
 * @throws LabError('bad-input') where a prompt is empty: nothing precedes the first token
 */
export async function distributions(
  scorer: Scorer,
  texts: readonly Continuation[],
): Promise<Float64Array[][]> {
  const rows = texts.map(({ prompt, continuation }): Example => {
    if (prompt.length === 0) throw new LabError('bad-input', 'A continuation needs a token before it.');
    const ids = [...prompt, ...continuation];
    return { ids, labels: ids.map(() => IGNORE) };
  });
  // Logits are kept for every token, so both limits bound the tokens.
  const most = Math.min(scorer.cap.maxTokens, scorer.cap.maxLabels);
  const out: Float64Array[][] = [];
  for (const batch of chunks(rows, { maxTokens: most, maxLabels: most })) {
    const logits = await scorer.logits(batch);
    batch.forEach((row, r) => {
      const all = logits[r]!;
      const vocab = all.length / row.ids.length;
      const { prompt, continuation } = texts[out.length]!;
      out.push(
        continuation.map((_, i) => {
          const at = prompt.length + i - 1;
          return logSoftmax(all.subarray(at * vocab, (at + 1) * vocab));
        }),
      );
    });
  }
  return out;
}

/** What the distributions say about the tokens that were there. */
export function expectations(
  continuation: readonly number[],
  distributions: readonly Float64Array[],
  top = 5,
): TokenExpectation[] {
  return continuation.map((id, i) => {
    const logp = distributions[i]!;
    return { id, logp: logp[id]!, entropy: entropy(logp), top: best(logp, top) };
  });
}

function best(logp: Float64Array, n: number): { id: number; logp: number }[] {
  const found: { id: number; logp: number }[] = [];
  logp.forEach((x, id) => {
    if (found.length === n && !(x > found[n - 1]!.logp)) return;
    const at = found.findIndex((f) => x > f.logp);
    found.splice(at < 0 ? found.length : at, 0, { id, logp: x });
    if (found.length > n) found.pop();
  });
  return found;
}
