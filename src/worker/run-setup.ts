/** From what the page asks for to a session that is ready to train: settings, data, model, trainer. */
import { parseLlamaConfig, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { KEEP_LIMIT, keptSteps } from '../core/snapshots.ts';
import type { RunCost } from '../core/run-cost.ts';
import type { Example } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { readTable } from '../core/kernel-table.ts';
import { Generator } from '../model/generate.ts';
import type { LoraConfig } from '../model/lora.ts';
import type { Model } from '../model/model.ts';
import { recipe } from '../recipes/index.ts';
import { answerOwn, withAnswers, type OwnAnswers } from '../recipes/own-answers.ts';
import { openSession, prepare, roomOf, roomWith, type Prepared } from '../recipes/prepare.ts';
import { settle } from '../recipes/recipe.ts';
import { sha256 } from '../store/digest.ts';
import type { NewNode } from '../store/store.ts';
import { batchCap, rowsAtOnce } from '../train/cap.ts';
import type { SessionHooks, StepFn, TrainSession } from '../train/session.ts';
import { Trainer, type TrainerCapacity } from '../train/trainer.ts';
import { ENGINE_VERSION, type Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import { generatorCap, planRun, requireRoom } from './memory.ts';
import type { Models } from './models.ts';
import type { Probes } from './probes.ts';
import type { Tasks } from './tasks.ts';
import type { LabNode, RunInfo, RunKeep, Seeds, Settings, TrainParams } from './protocol.ts';
import { buildModel, storedFloats } from './stored-model.ts';

/** Everything of a run that lives on the GPU, and what belongs to it. */
export interface RunParts {
  parent: LabNode;
  /** The adapter in training; null where all weights are trained. */
  lora: LoraConfig | null;
  model: Model;
  trainer: Trainer;
  /** Null where the run has no probes. */
  generator: Generator | null;
  session: TrainSession;
  /** What the run has taken so far. */
  cost(): RunCost;
  probes: Probes;
  cap: TrainerCapacity;
  dataDigest: string;
  /** What the model answered before the first step; null where the recipe does not ask. */
  answers: OwnAnswers | null;
  destroy(): void;
}

/** What identifies the arithmetic of a run: equal strings repeat bit for bit. */
export function arithmetic(ctx: Context, { model }: Pick<RunParts, 'model'>): string {
  return JSON.stringify([ENGINE_VERSION, ctx.adapter(), model.gpu.table]);
}

/** The device with the kernels that a run was begun with; with those of today where it cannot run them. */
function gpuOf(ctx: Context, run: RunInfo): Gpu {
  const { gpu } = ctx;
  return gpu.with(readTable(run.kernelTable, gpu.table.subgroupSize) ?? gpu.table);
}

/** A new run as asked for, checked. @throws LabError 'bad-input' naming the setting that is wrong */
export async function describeRun(ctx: Context, tasks: Tasks, params: TrainParams): Promise<RunInfo> {
  const wanted = recipe(params.recipe);
  if (!Number.isSafeInteger(params.seed) || params.seed < 0)
    throw new LabError('bad-input', 'A seed is a whole number from 0.', { safe: 'Nothing was started.' });
  const parent = await ctx.node(params.parentNodeId);
  const { continues = false, room = {} } = params;
  const task = await tasks.of(parent, params.prompts, room.context);
  const { checkpointing = false, rows } = room;
  if (rows !== undefined && !(Number.isInteger(rows) && rows > 0)) throw noRows();
  const context = task.kind === 'file' ? room.context : undefined;
  const own = task.kind === 'file' || continues ? { method: 'lora', ...params.settings } : params.settings;
  let settings: Settings = settle(wanted, own, task);
  const adapter = settings.method === 'lora';
  if (continues && !(adapter && parent.lora)) throw nothingToContinue(parent.name);
  if (!adapter && (await largeRoot(ctx, parent))) throw adaptersOnly(parent.name);
  const saveAt = stations(params.saveAt ?? [wanted.plan(settings).steps]);
  const total = saveAt.at(-1)!;
  settings = settle(wanted, { ...settings, steps: total });
  wanted.suits?.(settings, parseLlamaConfig(parent.modelConfig));
  if (continues) settings = { ...settings, rank: parent.lora!.r, alpha: parent.lora!.alpha };
  const lora = continues ? (parent.lora as LoraConfig) : wanted.plan(settings).lora;
  const limit = params.keep ?? (task.kind === 'tiny' && wanted.kind === 'attack' ? KEEP_LIMIT : 0);
  const each = 2 * storedFloats(parseLlamaConfig(parent.modelConfig), lora);
  const keep = keeping(each, limit, total, saveAt);
  const file = params.prompts === undefined ? undefined : await ctx.store.prompts(params.prompts);
  return {
    id: crypto.randomUUID(),
    parentId: parent.id,
    recipe: wanted.id,
    kind: wanted.kind,
    settings,
    seeds: seedsOf(parent, wanted.kind, params.seed),
    name: params.name?.trim() || wanted.title,
    state: 'starting',
    step: 0,
    total,
    saveAt,
    saved: [],
    log: [],
    probes: [],
    tokensPerSecond: 0,
    secondsLeft: 0,
    checkpointStep: 0,
    checkpointAt: 0,
    continuable: wanted.continuable,
    error: null,
    notBitComparable: false,
    kernelTable: ctx.gpu.table,
    startedAt: Date.now(),
    ...(continues && { continues }),
    ...((checkpointing || context !== undefined || rows !== undefined) && {
      room: {
        ...(checkpointing && { checkpointing }),
        ...(context !== undefined && { context }),
        ...(rows !== undefined && { rows }),
      },
    }),
    ...(task.kind === 'file' && file && { prompts: { id: file.id, name: file.name } }),
    ...(keep && { keep }),
  };
}

/** @param limit in bytes */
function keeping(each: number, limit: number, total: number, saved: readonly number[]): RunKeep | null {
  if (!(Number.isFinite(limit) && limit >= 0))
    throw new LabError('bad-input', 'What may be kept for the scrubber is a number of bytes from 0.', {
      safe: 'Nothing was started.',
    });
  if (limit === 0) return null;
  return { each, limit, at: keptSteps({ total, saved, room: limit / each }), missed: [] };
}

/** Whether all weights of a node's line lie in its user's files, which no training may change. */
async function largeRoot(ctx: Context, node: LabNode): Promise<boolean> {
  const { opened } = await ctx.node(await ctx.rootId(node));
  return opened !== undefined && opened.kept !== 'copy';
}

function adaptersOnly(name: string): LabError {
  return new LabError('bad-input', `'${name}' is too large to train all of its weights here.`, {
    safe: 'Nothing was started.',
    next: 'Train an adapter (LoRA) instead.',
  });
}

function noRows(): LabError {
  return new LabError('bad-input', 'Rows at once: a whole number from 1.', { safe: 'Nothing was started.' });
}

function nothingToContinue(name: string): LabError {
  return new LabError('bad-input', `'${name}' has no adapter of its own that this run could train on.`, {
    safe: 'Nothing was started.',
    next: 'Start from a model that is an adapter, with the method LoRA, or train a new adapter.',
  });
}

/** Steps at which nodes are saved, ascending and once each. */
export function stations(saveAt: readonly number[]): number[] {
  const out = [...new Set(saveAt)].sort((a, b) => a - b);
  if (out.length === 0 || out.some((s) => !Number.isInteger(s) || s < 1)) {
    throw new LabError('bad-input', 'A run needs at least one step, in whole numbers.', {
      safe: 'Nothing was started.',
    });
  }
  return out;
}

function seedsOf(parent: LabNode, kind: RunInfo['kind'], seed: number): Seeds {
  return kind === 'defence' ? { ...parent.seeds, defence: seed } : { ...parent.seeds, attack: seed };
}

/** The seed that the run itself draws from. */
function runSeed(run: Pick<RunInfo, 'kind' | 'seeds'>): number {
  return run.kind === 'defence' ? run.seeds.defence : run.seeds.attack;
}

/**
 * Builds the run on the GPU: all of it, or nothing where a part fails.
 * @param said what the model answered when the run was begun; absent: it is asked now
 */
export async function buildRun(
  ctx: Context,
  models: Models,
  tasks: Tasks,
  run: RunInfo,
  hooks: SessionHooks,
  said?: OwnAnswers,
): Promise<RunParts> {
  const parent = await ctx.node(run.parentId);
  const { prepared: planned, probes, cap, rows } = await prepareRun(ctx, tasks, run);
  // a run that asks the model takes a generator's room as well
  const speaks = hooks.probe !== undefined || planned.own.streams.length > 0;
  const memory = await planRun(ctx, run, planned, { ...cap, rows }, speaks);
  requireRoom('This run', memory);
  const budget = memory.budget ?? Infinity;
  if (ctx.gpu.stats.bytes + memory.total > budget) models.makeRoom(await ctx.rootId(parent));
  const stored = await models.read(parent);
  const lora = planned.plan.lora ?? null;
  const gpu = gpuOf(ctx, run);
  const { built, trainer, generator } = await models.on(stored, lora === null, (base) => {
    const built = buildModel(gpu, stored, base, { lora, seed: planned.seed, continues: run.continues });
    const trainer = new Trainer(built.model, planned.plan.optim, cap);
    const generator = hooks.probe ? new Generator(built.model, generatorCap(stored.config)) : null;
    return { built, trainer, generator };
  });
  const free = (): void => {
    generator?.destroy();
    trainer.destroy();
    built.destroy();
  };
  const inTurn =
    (own: StepFn): StepFn =>
    (step) =>
      ctx.gate.run(PRIORITY.step, () => own(step));
  const open = async () => {
    const answers = said ?? (await ask(ctx, planned, built.model, stored.config));
    const prepared = answers ? withAnswers(planned, answers) : planned;
    const dataDigest = await digestOf(prepared.examples);
    return { answers, dataDigest, opened: await openSession(prepared, trainer, hooks, inTurn) };
  };
  const { answers, dataDigest, opened } = await open().catch((error: unknown) => {
    free();
    throw error;
  });
  const { session, cost } = opened;
  const destroy = (): void => {
    opened.close();
    free();
  };
  const { model } = built;
  return {
    parent,
    lora,
    model,
    trainer,
    generator,
    session,
    cost,
    probes,
    cap,
    dataDigest,
    answers,
    destroy,
  };
}

/** What the untrained model answers, where the recipe wants to hold it to that. */
async function ask(
  ctx: Context,
  prepared: Prepared,
  model: Model,
  config: LlamaConfig,
): Promise<OwnAnswers | null> {
  if (prepared.own.streams.length === 0) return null;
  const generator = await ctx.gpu.allocate(() => new Generator(model, generatorCap(config)));
  try {
    return await answerOwn(prepared, generator, (work) => ctx.gate.run(PRIORITY.probe, work));
  } finally {
    generator.destroy();
  }
}

/** What needs no GPU: the recipe's plan and examples, the probes, and the room that a batch takes. */
export async function prepareRun(ctx: Context, tasks: Tasks, run: RunInfo) {
  const parent = await ctx.node(run.parentId);
  const task = await tasks.of(parent, run.prompts?.id, run.room?.context);
  const prepared = prepare(recipe(run.recipe), task, run.settings, runSeed(run));
  // the adapter that goes on may change fewer projections than a new one would
  if (run.continues) prepared.plan = { ...prepared.plan, lora: parent.lora as LoraConfig };
  const probes = tasks.probes(parent, task, run.kind);
  const { batch } = prepared.plan;
  const most = (await largeRoot(ctx, parent)) ? rowsAtOnce(prepared.examples, batch) : batch;
  const rows = Math.min(batch, run.room?.rows ?? most);
  const checkpoint = run.room?.checkpointing === true;
  return { prepared, probes, rows, cap: { ...capacity(prepared, probes, rows), checkpoint } };
}

/** Room for so many rows of the recipe and for at least one of the held-out loss. */
function capacity(prepared: Prepared, probes: Probes, rows: number): TrainerCapacity {
  const batch = roomOf(prepared, rows);
  const row = batchCap(probes.heldOut, 1);
  return roomWith(prepared.needs, {
    maxTokens: Math.max(batch.maxTokens, row.maxTokens),
    maxLabels: Math.max(batch.maxLabels, row.maxLabels),
  });
}

/** SHA-256 over the token ids and labels, row by row, each row headed by its length. */
function digestOf(examples: readonly Example[]): Promise<string> {
  const numbers = examples.flatMap(({ ids, labels }) => [ids.length, ...ids, ...labels]);
  return sha256(Int32Array.from(numbers));
}

/** What a run trains, before it has left a node that says so. */
export async function trainedBy(ctx: Context, run: RunInfo): Promise<Pick<LabNode, 'lora' | 'continues'>> {
  const lora = run.continues
    ? (await ctx.node(run.parentId)).lora
    : recipe(run.recipe).plan(run.settings).lora;
  return { ...(lora && { lora }), ...(run.continues && { continues: true }) };
}

/** The node that a run leaves after so many steps, but for its weights. */
export function nodeOf(
  ctx: Context,
  run: RunInfo,
  { parent, lora, dataDigest, model }: Pick<RunParts, 'parent' | 'lora' | 'dataDigest' | 'model'>,
  step: number,
  cost: RunCost,
): NewNode<LabNode> {
  return {
    id: crypto.randomUUID(),
    parentId: parent.id,
    name: run.saveAt.length > 1 || run.continuable ? `${run.name}, ${step} steps` : run.name,
    kind: run.kind,
    recipe: run.recipe,
    // a schedule that ends belongs to the run's length, also where the run was stopped early: node.steps tells where
    settings: run.continuable ? { ...run.settings, steps: step } : run.settings,
    seeds: run.seeds,
    steps: step,
    runId: run.id,
    dataDigest,
    cost,
    ...(lora && { lora }),
    ...(run.continues && { continues: true }),
    ...(run.room?.context !== undefined && { context: run.room.context }),
    ...(run.prompts && { prompts: run.prompts }),
    adapter: ctx.adapter(),
    engineVersion: ENGINE_VERSION,
    kernelTable: model.gpu.table,
    modelConfig: parent.modelConfig,
    root: parent.root,
    createdAt: Date.now(),
  };
}
