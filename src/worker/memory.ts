/**
 * The memory plan of a run, and of a conversation, before anything is made of either: the figures of src/model/plan.ts, as
 * `npm run models -- plan` prints them, for what the worker is about to do, against the adapter and the user's budget.
 */
import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { changeWords, problemWords, size } from '../core/memory.ts';
import type { Precision } from '../core/types.ts';
import { DEFAULT_LORA, advise, plan, type PlanRequest } from '../model/plan.ts';
import type { LoraConfig } from '../model/lora.ts';
import { tapSets } from '../model/taps.ts';
import type { Prepared } from '../recipes/prepare.ts';
import { PASS_TOKENS } from '../train/cap.ts';
import type { TrainerCapacity } from '../train/trainer.ts';
import type { Context } from './context.ts';
import type { LabNode, MemoryPlan, OpenedModel, RunInfo } from './protocol.ts';
import { lineOf } from './stored-model.ts';

/** Prompts of one generation; longer lists are cut into batches of it. */
const MAX_SEQS = 16;
/** Tokens of a question and its answer, where the model could hold more. */
const MAX_LEN = 1024;
/** For the keys and values of all prompts of one generation. */
const CACHE_BYTES = 128 * 2 ** 20;
/** Of the preference. */
const BUDGET = 'gpu-budget';
/** What the card of an opened model plans for: passes of PASS_TOKENS in rows of this many tokens. */
const USUAL = 256;

/** Room of a generator: what the model can hold, within CACHE_BYTES, but at least one prompt. */
export function generatorCap(config: LlamaConfig): { maxSeqs: number; maxLen: number } {
  const maxLen = Math.min(config.max_position_embeddings, MAX_LEN);
  const kv = 2 * config.num_key_value_heads * config.head_dim * 4;
  const rowBytes = config.num_hidden_layers * maxLen * kv;
  return { maxSeqs: Math.min(MAX_SEQS, Math.max(1, Math.floor(CACHE_BYTES / rowBytes))), maxLen };
}

/** The user's limit on GPU memory in bytes; null: none. */
export async function budgetOf(ctx: Context): Promise<number | null> {
  const stored = await ctx.store.setting(BUDGET);
  return typeof stored === 'number' && stored > 0 ? stored : null;
}

/** @throws LabError 'bad-input' for what is no size */
export async function setBudget(ctx: Context, bytes: number | null): Promise<number | null> {
  if (bytes !== null && !(Number.isFinite(bytes) && bytes > 0))
    throw new LabError('bad-input', 'A budget is a number of bytes greater than zero.', {
      safe: 'The budget is as it was.',
    });
  await ctx.store.setSetting(BUDGET, bytes);
  return bytes;
}

/** In which an opened model's matrices stay on the GPU; f32 where its root does not tell. */
function precisionOf({ kept, types, precision }: OpenedModel): Precision {
  if (kept === 'copy') return 'f32';
  if (precision) return precision;
  const only = types.length === 1 ? types[0] : undefined;
  return only === 'BF16' ? 'bf16' : only === 'F16' ? 'f16' : 'f32';
}

async function planned(
  ctx: Context,
  config: LlamaConfig,
  request: PlanRequest,
  shorterRows: boolean,
): Promise<MemoryPlan> {
  const budget = await budgetOf(ctx);
  const most = budget ?? Infinity;
  const { limits } = ctx.gpu.info;
  const { bytes, total, problems } = plan(config, request, limits, most);
  const { method, precision, batch, context, checkpoint, answers, adapters } = request;
  return {
    bytes,
    total,
    budget,
    problems,
    // a model is on the GPU as it was opened: its precision is not for a run to choose
    advice: advise(config, request, limits, most, { stored: null, context: shorterRows }).map((a) => ({
      changes: a.changes,
      total: a.plan.total,
    })),
    method,
    precision,
    rank: method === 'lora' ? adapters!.at(-1)!.r : 0,
    batch,
    context,
    checkpointing: checkpoint === true,
    answers,
  };
}

interface Standing {
  config: LlamaConfig;
  precision: Precision;
  /** Adapters below whatever is trained. */
  stack: LoraConfig[];
  own: boolean;
}

async function standing(ctx: Context, node: LabNode): Promise<Standing> {
  const { bottom, adapters } = await lineOf(node, (id) => ctx.node(id));
  return {
    config: parseLlamaConfig(node.modelConfig),
    precision: bottom.opened ? precisionOf(bottom.opened) : 'f32',
    stack: adapters.map((a) => a.lora as LoraConfig),
    own: node.root === null,
  };
}

const answersOf = (config: LlamaConfig): Pick<PlanRequest, 'answers' | 'positions'> => {
  const { maxSeqs, maxLen } = generatorCap(config);
  return { answers: maxSeqs, positions: maxLen };
};

/**
 * @param cap the trainer's room: `rows` of a pass
 * @param probes whether it is looked at under way, which takes a generator
 */
export async function planRun(
  ctx: Context,
  run: Pick<RunInfo, 'parentId' | 'continues'>,
  { plan: { lora }, needs }: { plan: Pick<Prepared['plan'], 'lora'> } & Pick<Prepared, 'needs'>,
  cap: TrainerCapacity & { rows: number },
  probes: boolean,
): Promise<MemoryPlan> {
  const { config, precision, stack, own } = await standing(ctx, await ctx.node(run.parentId));
  const { rows } = cap;
  const request: PlanRequest = {
    precision: lora ? precision : 'f32',
    method: lora ? 'lora' : 'full',
    adapters: run.continues ? stack : [...stack, lora ?? DEFAULT_LORA],
    context: Math.ceil(cap.maxTokens / rows),
    batch: rows,
    labels: Math.ceil(cap.maxLabels / rows),
    checkpoint: cap.checkpoint === true,
    own: { copies: needs.copies ?? 0, layerSets: (needs.layerSets ?? 0) + tapSets(cap.taps) },
    ...(probes ? answersOf(config) : { answers: 0 }),
  };
  return planned(ctx, config, request, own);
}

/** What asking a model takes. */
export function planTalk(ctx: Context, config: LlamaConfig, precision: Precision): Promise<MemoryPlan> {
  const { maxLen } = generatorCap(config);
  const request = { precision, method: 'none', context: maxLen, batch: 1, ...answersOf(config) } as const;
  return planned(ctx, config, request, false);
}

/** What a node takes when it is asked, and when an adapter is trained on it in the usual way. */
export async function planNode(
  ctx: Context,
  nodeId: string,
): Promise<{ talk: MemoryPlan; train: MemoryPlan }> {
  const { config, precision, stack, own } = await standing(ctx, await ctx.node(nodeId));
  const talk = { ...answersOf(config), precision, method: 'none', adapters: stack, batch: 1 } as const;
  const context = Math.min(USUAL, config.max_position_embeddings);
  const train = {
    ...answersOf(config),
    precision,
    method: 'lora',
    adapters: [...stack, DEFAULT_LORA],
    context,
    batch: Math.max(1, Math.floor(PASS_TOKENS / context)),
  } as const;
  return {
    talk: await planned(ctx, config, { ...talk, context: generatorCap(config).maxLen }, false),
    train: await planned(ctx, config, train, own),
  };
}

/** @param what 'This run', "The model 'x'" @throws LabError 'too-large' in the plan's words where it does not fit */
export function requireRoom(what: string, { problems, advice }: MemoryPlan): void {
  if (problems.length === 0) return;
  const changes = advice.map((a) => `${a.changes.map(changeWords).join(' and ')} (${size(a.total)})`);
  const raise = problems.some((p) => p.kind === 'budget') ? 'raise the budget for GPU memory' : '';
  const ways = [...(changes.length > 0 ? [`use ${changes.join(', or ')}`] : []), ...(raise ? [raise] : [])];
  const next = ways.length > 0 ? ways.join(', or ') : 'take a smaller model';
  throw new LabError('too-large', `${what} does not fit: ${problems.map(problemWords).join('; ')}.`, {
    safe: 'Nothing was started.',
    next: `${next[0]!.toUpperCase()}${next.slice(1)}.`,
  });
}
