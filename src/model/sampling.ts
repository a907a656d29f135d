import type { Rng } from '../core/rng.ts';
import type { TokenChance } from './generate.ts';

export interface Sampling {
  /** Above 0. */
  temperature: number;
  /** 0: all. */
  topK: number;
  /** 1: all. */
  topP: number;
}

/** log softmax in float64. */
export function rowLogprobs(logits: Float32Array): Float64Array {
  let top = -Infinity;
  for (const z of logits) top = Math.max(top, z);
  let sum = 0;
  for (const z of logits) sum += Math.exp(z - top);
  const log = top + Math.log(sum);
  return Float64Array.from(logits, (z) => z - log);
}

/** The n likeliest tokens, best first; equal ones by id. */
export function alternatives(logprobs: Float64Array, n: number): TokenChance[] {
  if (n === 0) return [];
  return ranked(logprobs)
    .slice(0, n)
    .map((id) => ({ id, logprob: logprobs[id]! }));
}

/**
 * One draw from softmax(logprobs / temperature), restricted to the topK likeliest tokens and then to the smallest set of the
 * likeliest whose probability (after the temperature) reaches topP (Holtzman et al. 2020).
 */
export function draw(logprobs: Float64Array, s: Sampling, rng: Rng): number {
  let ids = ranked(logprobs);
  if (s.topK > 0) ids = ids.slice(0, s.topK);
  const best = logprobs[ids[0]!]!;
  const weights = ids.map((id) => Math.exp((logprobs[id]! - best) / s.temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  let kept = 0;
  let mass = 0;
  while (kept < ids.length && (kept === 0 || mass < s.topP * total)) mass += weights[kept++]!;
  let at = rng.next() * mass;
  for (let k = 0; k < kept; k++) {
    at -= weights[k]!;
    if (at < 0) return ids[k]!;
  }
  return ids[kept - 1]!;
}

function ranked(logprobs: Float64Array): number[] {
  return Array.from(logprobs.keys()).sort((a, b) => logprobs[b]! - logprobs[a]! || a - b);
}
