/**
 * What a model, a trainer and a generator will take on the GPU, before any of them is made: the sums of the sizes that they
 * allocate by, so a change there is a change here. No GPU is needed.
 */
import type { LlamaConfig } from '../core/config.ts';
import type { Half, Precision } from '../core/types.ts';
import { CHUNK } from '../kernels/optimizer.ts';
import { activationFloats, layerFloats } from './activations.ts';
import { batchWords } from './batch.ts';
import { trainingBytes } from './bytes.ts';
import { frozenBytes } from './frozen.ts';
import { prefillTokens } from './generate.ts';
import { headFloats, logitsPiece, type LogitsPiece } from './head.ts';
import { LORA_TARGETS, loraLayout, type LoraConfig } from './lora.ts';
import { loraFloats } from './lora-ops.ts';
import { paramLayout, rowsPerBinding } from './params.ts';

export interface PlanRequest {
  precision: Precision;
  /** All weights, an adapter, or no training. */
  method: 'full' | 'lora' | 'none';
  /** Adapters in a stack, the trained one last; of 'lora' and 'none'. */
  adapters?: readonly LoraConfig[];
  /** Tokens of a row, and rows of a micro-batch. */
  context: number;
  batch: number;
  /** Labelled tokens of a micro-batch; all by default. */
  labels?: number;
  checkpoint?: boolean;
  logits?: Partial<LogitsPiece>;
  /** Answers at once, each of `context` positions; 0: no generator. */
  answers: number;
}

export interface Limits {
  maxBufferSize: number;
  maxStorageBufferBindingSize: number;
}

export const PARTS = [
  'weights',
  'adapters',
  'gradients',
  'optimizer',
  'activations',
  'logits',
  'scratch',
  'KV cache',
  'generation',
] as const;
export type Part = (typeof PARTS)[number];

export interface Plan {
  request: PlanRequest;
  bytes: Record<Part, number>;
  total: number;
  /** Why this adapter or this budget cannot hold it, in words; empty when it fits. */
  problems: string[];
}

/** A uniform buffer's slot, of which every dispatch has one (src/gpu/program). */
const SLOT = 256;
/**
 * About so many dispatches of a layer, forward and backward: on all weights, or with an adapter of all projections. They cost a
 * uniform slot each; tests/gradcheck/plan.test.ts holds the whole plan against the engine's own count.
 */
const OPS = { full: 40, lora: 66, none: 10 };

const sum = (xs: Iterable<number>): number => [...xs].reduce((a, b) => a + b, 0);

/** The estimate by part. @param budget bytes for all of it */
export function plan(config: LlamaConfig, request: PlanRequest, limits: Limits, budget = Infinity): Plan {
  const { method, precision, context, batch, answers } = request;
  const adapters = method === 'full' ? [] : (request.adapters ?? []);
  const binding = limits.maxStorageBufferBindingSize;
  const bytes = Object.fromEntries(PARTS.map((part) => [part, 0])) as Record<Part, number>;
  const problems: string[] = [];
  const low = (tokens: number): number =>
    adapters.length === 0
      ? 0
      : loraFloats(
          config,
          adapters.map((a) => ({ config: a })),
          tokens,
          'nothing',
        ).low;
  const held = (what: string, taken: number, bound: boolean): void => {
    if (taken > limits.maxBufferSize)
      problems.push(
        `${what} take ${size(taken)}, and one buffer of this adapter holds ${size(limits.maxBufferSize)}`,
      );
    else if (bound && taken > binding)
      problems.push(
        `${what} take ${size(taken)}, and kernels of this adapter reach ${size(binding)} at once`,
      );
  };
  const widest = (tokens: number): number => Math.max(...Object.values(layerFloats(config, tokens))) * 4;

  const weights = precision === 'f32' ? [paramLayout(config).length * 4] : frozenBytes(config, limits);
  bytes.weights = sum(weights);
  held('the weights', Math.max(...weights), false);
  const long = paramLayout(config).entries.find(
    (e) =>
      e.size * (precision === 'f32' ? 4 : 2) > binding &&
      rowsPerBinding(e.shape[1] ?? e.size, precision === 'f32' ? binding : 2 * binding) === 0,
  );
  if (long) problems.push(`rows of ${long.name} are longer than kernels of this adapter reach at once`);
  bytes.scratch = config.max_position_embeddings * config.head_dim * 4;
  const layouts = adapters.map((a) => loraLayout(config, a).length);
  bytes.adapters = sum(layouts) * 4;

  if (method !== 'none') {
    if (method === 'full' && precision !== 'f32')
      problems.push(`weights in ${precision} are frozen: only an adapter can be trained`);
    const trained = method === 'full' ? paramLayout(config).length : layouts.at(-1)!;
    bytes.gradients = trained * 4;
    bytes.optimizer = trained * 8;
    held('the gradients', trained * 4, false);
    const tokens = batch * context;
    const capacity = { maxTokens: tokens, maxRows: request.labels ?? tokens };
    const b = trainingBytes(config, capacity, {
      checkpoint: request.checkpoint === true,
      adapters,
      bindingBytes: binding,
      ...(request.logits && { logits: request.logits }),
    });
    bytes.activations = b.activations + b.adapters;
    bytes.logits = b.logits;
    bytes.scratch +=
      b.backward + b.batch + Math.ceil(trained / CHUNK) * 16 + config.num_hidden_layers * OPS[method] * SLOT;
    held('the widest activations', widest(tokens), true);
  }
  if (answers > 0) {
    const cap = { maxSeqs: answers, maxLen: Math.min(context, config.max_position_embeddings) };
    const kv = 2 * config.num_key_value_heads * config.head_dim;
    const layer = cap.maxSeqs * cap.maxLen * kv * 4;
    bytes['KV cache'] = config.num_hidden_layers * layer;
    held("a layer's keys and values", layer, true);
    const prompts = { maxTokens: prefillTokens(config, cap, binding), maxRows: answers };
    const one = { maxTokens: answers, maxRows: answers };
    held('the widest activations of prompts', widest(prompts.maxTokens), true);
    bytes.generation =
      (activationFloats(config, prompts, 'nothing') +
        low(prompts.maxTokens) +
        activationFloats(config, one, 'nothing') +
        low(answers) +
        headFloats(logitsPiece(config, answers, binding, request.logits), answers).logits +
        batchWords(prompts).length) *
        4 +
      2 * config.num_hidden_layers * (OPS.none + (adapters.length > 0 ? 11 : 0)) * SLOT;
  }
  const total = sum(Object.values(bytes));
  if (total > budget) problems.push(`it takes ${size(total)}, and the budget is ${size(budget)}`);
  return { request, bytes, total, problems };
}

/** In decimal units, as graphics memory is sold. */
export function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A change of the request that saves memory. */
interface Change {
  name: string;
  /** The request after it, mildest first; empty where it has nothing to change. */
  steps: (r: PlanRequest) => PlanRequest[];
}

const halvings = (from: number, least: number): number[] => {
  const out: number[] = [];
  for (let n = Math.floor(from / 2); n >= least; n = Math.floor(n / 2)) out.push(n);
  return out;
};

/** From what costs nothing but rounding or time to what is another experiment. */
const changes = (stored: Half): Change[] => [
  {
    name: '16-bit weights',
    steps: (r) => (r.precision === 'f32' && r.method !== 'full' ? [{ ...r, precision: stored }] : []),
  },
  {
    name: 'activation checkpointing',
    steps: (r) => (r.checkpoint || r.method === 'none' ? [] : [{ ...r, checkpoint: true }]),
  },
  { name: 'a smaller batch', steps: (r) => halvings(r.batch, 1).map((batch) => ({ ...r, batch })) },
  { name: 'a shorter context', steps: (r) => halvings(r.context, 64).map((context) => ({ ...r, context })) },
  {
    name: 'LoRA instead of all weights',
    steps: (r) => {
      if (r.method !== 'full') return [];
      const adapters = r.adapters?.length ? r.adapters : [DEFAULT_LORA];
      return (['f32', stored] as const).map((precision) => ({ ...r, method: 'lora', adapters, precision }));
    },
  },
];

/** What is proposed where all weights are too many: rank 8 on all projections. */
export const DEFAULT_LORA: LoraConfig = { r: 8, alpha: 16, targets: LORA_TARGETS };

export interface Advice {
  /** Changes that make it fit when they are made together. */
  changes: string[];
  plan: Plan;
}

/**
 * What would make a plan fit: every change that does so alone, in the order of `changes`; where none does, as few of them
 * as do so together. Empty when it fits, or when nothing helps.
 * @param stored the 16-bit type to propose: the checkpoint's own, where it has one
 */
export function advise(
  config: LlamaConfig,
  request: PlanRequest,
  limits: Limits,
  budget = Infinity,
  stored: Half = 'bf16',
): Advice[] {
  const attempt = (r: PlanRequest): Plan => plan(config, r, limits, budget);
  if (attempt(request).problems.length === 0) return [];
  const all = changes(stored);
  const alone = all.flatMap((change): Advice[] => {
    const fit = change
      .steps(request)
      .map(attempt)
      .find((p) => p.problems.length === 0);
    return fit ? [{ changes: [describe(change.name, request, fit.request)], plan: fit }] : [];
  });
  if (alone.length > 0) return alone;
  const together = (chosen: readonly Change[]): Advice => {
    let at = attempt(request);
    const made: string[] = [];
    for (const change of chosen) {
      if (at.problems.length === 0) break;
      const steps = change.steps(at.request).map(attempt);
      const next = steps.find((p) => p.problems.length === 0) ?? steps.at(-1);
      if (!next) continue;
      made.push(describe(change.name, at.request, next.request));
      at = next;
    }
    return { changes: made, plan: at };
  };
  let chosen = all;
  if (together(chosen).plan.problems.length > 0) return [];
  // what is not needed is left out again, the costliest first
  for (const change of all.toReversed()) {
    const fewer = chosen.filter((c) => c !== change);
    if (together(fewer).plan.problems.length === 0) chosen = fewer;
  }
  return [together(chosen)];
}

function describe(name: string, from: PlanRequest, to: PlanRequest): string {
  const details = [
    from.method !== to.method ? `rank ${to.adapters?.at(-1)?.r}` : '',
    from.precision !== to.precision ? to.precision : '',
    from.batch !== to.batch ? `${to.batch}` : '',
    from.context !== to.context ? `${to.context} tokens` : '',
  ].filter(Boolean);
  return details.length > 0 ? `${name} (${details.join(', ')})` : name;
}
