/** The words of a memory plan (src/model/plan.ts makes it): what takes memory, what does not fit, and what would. */
import type { Half, Precision } from './types.ts';

export const PARTS = [
  'weights',
  'adapters',
  'gradients',
  'optimizer',
  'copies',
  'activations',
  'logits',
  'scratch',
  'KV cache',
  'generation',
] as const;
export type Part = (typeof PARTS)[number];

/** What one buffer, or one kernel, has to hold as a whole. */
export type Held = 'weights' | 'gradients' | 'activations' | 'prompts' | 'cache';

/** Why an adapter or a budget cannot hold a plan. */
export type PlanProblem =
  /** More than one buffer holds, or than a kernel reaches at once. */
  | { kind: 'buffer' | 'binding'; held: Held; bytes: number; limit: number }
  /** One row of a tensor is more than a kernel reaches at once. */
  | { kind: 'rows'; tensor: string }
  /** All weights are to be trained, and these are in 16 bits. */
  | { kind: 'frozen'; precision: Precision }
  | { kind: 'budget'; bytes: number; limit: number };

/** One change that saves memory. */
export type PlanChange =
  | { kind: 'half'; precision: Half }
  | { kind: 'checkpointing' }
  /** Rows of one pass; the batch of an update stays. */
  | { kind: 'batch'; rows: number }
  | { kind: 'context'; tokens: number }
  /** `precision` where it changes as well. */
  | { kind: 'lora'; rank: number; precision?: Precision };

const HELD: Record<Held, string> = {
  weights: 'the weights',
  gradients: 'the gradients',
  activations: 'the widest activations',
  prompts: 'the widest activations of prompts',
  cache: "a layer's keys and values",
};

/** In decimal units, as graphics memory is sold. */
export function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function problemWords(p: PlanProblem): string {
  switch (p.kind) {
    case 'buffer':
      return `${HELD[p.held]} take ${size(p.bytes)}, and one buffer of this adapter holds ${size(p.limit)}`;
    case 'binding':
      return `${HELD[p.held]} take ${size(p.bytes)}, and kernels of this adapter reach ${size(p.limit)} at once`;
    case 'rows':
      return `rows of ${p.tensor} are longer than kernels of this adapter reach at once`;
    case 'frozen':
      return `weights in ${p.precision} are frozen: only an adapter can be trained`;
    case 'budget':
      return `it takes ${size(p.bytes)}, and the budget is ${size(p.limit)}`;
  }
}

export function changeWords(c: PlanChange): string {
  switch (c.kind) {
    case 'half':
      return `16-bit weights (${c.precision})`;
    case 'checkpointing':
      return 'activation checkpointing';
    case 'batch':
      return `fewer rows at once (${c.rows})`;
    case 'context':
      return `a shorter context (${c.tokens} tokens)`;
    case 'lora':
      return `LoRA instead of all weights (${[`rank ${c.rank}`, ...(c.precision ? [c.precision] : [])].join(', ')})`;
  }
}
