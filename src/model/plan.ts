/**
 * What a model, a trainer and a generator will take on the GPU, before any of them is made: the sums of the sizes that they
 * allocate by, so a change there is a change here. No GPU is needed.
 */
import type { LlamaConfig } from '../core/config.ts';
import { PARTS, type Held, type Part, type PlanChange, type PlanProblem } from '../core/memory.ts';
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
  /** Labelled tokens of a row; all by default. */
  labels?: number;
  checkpoint?: boolean;
  logits?: Partial<LogitsPiece>;
  /** What a recipe keeps beside it. */
  own?: {
    /** Sets as large as what is trained: copies and gradients. */
    copies?: number;
    /** Tensors [tokens, hidden] for each layer. */
    layerSets?: number;
  };
  /** Answers at once; 0: no generator. */
  answers: number;
  /** Positions of a prompt with its answer; `context` by default. */
  positions?: number;
}

export interface Limits {
  maxBufferSize: number;
  maxStorageBufferBindingSize: number;
}

export interface Plan {
  request: PlanRequest;
  bytes: Record<Part, number>;
  total: number;
  /** Why this adapter or this budget cannot hold it; empty when it fits. */
  problems: PlanProblem[];
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
  const problems: PlanProblem[] = [];
  const low = (tokens: number): number =>
    adapters.length === 0
      ? 0
      : loraFloats(
          config,
          adapters.map((a) => ({ config: a })),
          tokens,
          'nothing',
        ).low;
  const held = (what: Held, taken: number, bound: boolean): void => {
    const kind = taken > limits.maxBufferSize ? 'buffer' : bound && taken > binding ? 'binding' : null;
    const limit = kind === 'buffer' ? limits.maxBufferSize : binding;
    if (kind) problems.push({ kind, held: what, bytes: taken, limit });
  };
  const widest = (tokens: number): number => Math.max(...Object.values(layerFloats(config, tokens))) * 4;

  const weights = precision === 'f32' ? [paramLayout(config).length * 4] : frozenBytes(config, limits);
  bytes.weights = sum(weights);
  held('weights', Math.max(...weights), false);
  const long = paramLayout(config).entries.find(
    (e) =>
      e.size * (precision === 'f32' ? 4 : 2) > binding &&
      rowsPerBinding(e.shape[1] ?? e.size, precision === 'f32' ? binding : 2 * binding) === 0,
  );
  if (long) problems.push({ kind: 'rows', tensor: long.name });
  bytes.scratch = config.max_position_embeddings * config.head_dim * 4;
  const layouts = adapters.map((a) => loraLayout(config, a).length);
  bytes.adapters = sum(layouts) * 4;

  if (method !== 'none') {
    if (method === 'full' && precision !== 'f32') problems.push({ kind: 'frozen', precision });
    const trained = method === 'full' ? paramLayout(config).length : layouts.at(-1)!;
    bytes.gradients = trained * 4;
    bytes.optimizer = trained * 8;
    held('gradients', trained * 4, false);
    const tokens = batch * context;
    const capacity = { maxTokens: tokens, maxRows: batch * Math.min(request.labels ?? context, context) };
    const b = trainingBytes(config, capacity, {
      checkpoint: request.checkpoint === true,
      adapters,
      bindingBytes: binding,
      ...(request.logits && { logits: request.logits }),
    });
    const { copies = 0, layerSets = 0 } = request.own ?? {};
    bytes.copies = copies * trained * 4;
    const layerSet = config.num_hidden_layers * tokens * config.hidden_size * 4;
    bytes.activations = b.activations + b.adapters + layerSets * layerSet;
    bytes.logits = b.logits;
    bytes.scratch +=
      b.backward + b.batch + Math.ceil(trained / CHUNK) * 16 + config.num_hidden_layers * OPS[method] * SLOT;
    held('activations', widest(tokens), true);
  }
  if (answers > 0) {
    const cap = {
      maxSeqs: answers,
      maxLen: Math.min(request.positions ?? context, config.max_position_embeddings),
    };
    const kv = 2 * config.num_key_value_heads * config.head_dim;
    const layer = cap.maxSeqs * cap.maxLen * kv * 4;
    bytes['KV cache'] = config.num_hidden_layers * layer;
    held('cache', layer, true);
    const prompts = { maxTokens: prefillTokens(config, cap, binding), maxRows: answers };
    const one = { maxTokens: answers, maxRows: answers };
    held('prompts', widest(prompts.maxTokens), true);
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
  if (total > budget) problems.push({ kind: 'budget', bytes: total, limit: budget });
  return { request, bytes, total, problems };
}

/** A kind of change of the request that saves memory: the requests after it, mildest first; none where it has nothing to change. */
type Change = (r: PlanRequest) => { change: PlanChange; request: PlanRequest }[];

const halvings = (from: number, least: number): number[] => {
  const out: number[] = [];
  for (let n = Math.floor(from / 2); n >= least; n = Math.floor(n / 2)) out.push(n);
  return out;
};

/** From what costs nothing but rounding or time to what is another experiment. */
const changes = ({ stored = 'bf16', context = true }: AdviceOptions): Change[] => [
  (r) =>
    stored && r.precision === 'f32' && r.method !== 'full'
      ? [{ change: { kind: 'half', precision: stored }, request: { ...r, precision: stored } }]
      : [],
  (r) =>
    r.checkpoint || r.method === 'none'
      ? []
      : [{ change: { kind: 'checkpointing' }, request: { ...r, checkpoint: true } }],
  (r) =>
    halvings(r.batch, 1).map((rows) => ({ change: { kind: 'batch', rows }, request: { ...r, batch: rows } })),
  (r) =>
    (context ? halvings(r.context, 64) : []).map((tokens) => ({
      change: { kind: 'context', tokens },
      request: { ...r, context: tokens },
    })),
  (r) => {
    if (r.method !== 'full') return [];
    const adapters = r.adapters?.length ? r.adapters : [DEFAULT_LORA];
    const rank = adapters.at(-1)!.r;
    const keep = { ...r, method: 'lora', adapters } as const;
    return [
      { change: { kind: 'lora', rank }, request: keep },
      ...(stored && r.precision !== stored
        ? [
            {
              change: { kind: 'lora', rank, precision: stored } as const,
              request: { ...keep, precision: stored },
            },
          ]
        : []),
    ];
  },
];

/** What is proposed where all weights are too many: rank 8 on all projections. */
export const DEFAULT_LORA: LoraConfig = { r: 8, alpha: 16, targets: LORA_TARGETS };

export interface Advice {
  /** Changes that make it fit when they are made together. */
  changes: PlanChange[];
  plan: Plan;
}

export interface AdviceOptions {
  /** The 16-bit type to propose: the checkpoint's own, where it has one; null: the precision is as it is. */
  stored?: Half | null;
  /** Whether rows may be made shorter. */
  context?: boolean;
}

/**
 * What would make a plan fit: every change that does so alone, in the order of `changes`; where none does, as few of them
 * as do so together. Empty when it fits, or when nothing helps.
 */
export function advise(
  config: LlamaConfig,
  request: PlanRequest,
  limits: Limits,
  budget = Infinity,
  options: AdviceOptions = {},
): Advice[] {
  const attempt = (r: PlanRequest): Plan => plan(config, r, limits, budget);
  const fits = (p: Plan): boolean => p.problems.length === 0;
  if (fits(attempt(request))) return [];
  const all = changes(options);
  const tried = (change: Change, r: PlanRequest): Advice[] =>
    change(r).map(({ change, request }) => ({ changes: [change], plan: attempt(request) }));
  const alone = all.flatMap((change) => tried(change, request).find(({ plan }) => fits(plan)) ?? []);
  if (alone.length > 0) return alone;
  const together = (chosen: readonly Change[]): Advice => {
    let at: Advice = { changes: [], plan: attempt(request) };
    for (const change of chosen) {
      if (fits(at.plan)) break;
      const steps = tried(change, at.plan.request);
      const next = steps.find(({ plan }) => fits(plan)) ?? steps.at(-1);
      if (next) at = { changes: [...at.changes, ...next.changes], plan: next.plan };
    }
    return at;
  };
  let chosen = all;
  if (!fits(together(chosen).plan)) return [];
  // what is not needed is left out again, the costliest first
  for (const change of all.toReversed()) {
    const fewer = chosen.filter((c) => c !== change);
    if (fits(together(fewer).plan)) chosen = fewer;
  }
  return [together(chosen)];
}
