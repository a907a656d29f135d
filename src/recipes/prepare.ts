import type { Settings } from '../core/settings.ts';
import type { Example } from '../core/types.ts';
import type { EncodeReport, Task } from '../data/task.ts';
import { batchCap } from '../train/cap.ts';
import { TrainSession } from '../train/session.ts';
import type { OpenBatches, OpenStep, SessionHooks, StepFn } from '../train/session.ts';
import type { RunCost } from '../core/run-cost.ts';
import { Tally } from '../train/tally.ts';
import type { Trainer, TrainerCapacity } from '../train/trainer.ts';
import type { Needs, Recipe, RunPlan } from './recipe.ts';
import { allRows, encodeStreams, openStreams, rowsOf, streamsOf, type Streams } from './streams.ts';

/** A recipe with its settings, its data and their order: everything of a run that needs no GPU. */
export interface Prepared {
  recipe: Recipe;
  settings: Settings;
  plan: RunPlan;
  /** Rows by stream. */
  streams: Streams<Example>;
  /** The rows of all streams. */
  examples: Example[];
  report: EncodeReport;
  open: OpenBatches;
  /** What it takes beside an ordinary trainer. */
  needs: Needs;
  /** Streams whose answers the model gives itself before the first step (own-answers.ts), and the ids that end one. */
  own: { streams: readonly string[]; ends: ReadonlySet<number> };
  /** What the session draws from. */
  seed: string;
}

/**
 * The one way from a recipe to a run: the page and the command line train the same batches in the same order for the
 * same settings and seed.
 * @param settings as settle() returns them
 * @throws LabError 'bad-input' where settings do not go together, or the data lacks what the recipe needs
 */
export function prepare(recipe: Recipe, task: Task, settings: Settings, seed: number): Prepared {
  const plan = recipe.plan(settings);
  const items = streamsOf(recipe.data(task, settings, seed));
  const { streams, report } = encodeStreams(task.codec, items, plan.streams);
  // The recipe's name belongs to the seed: a defence and an attack of the same seed are not shuffled alike.
  const drawn = `${recipe.id}/${seed}`;
  const open = openStreams(streams, plan, drawn);
  const needs = recipe.needs?.(settings) ?? {};
  const own = { streams: recipe.ownAnswers?.(settings) ?? [], ends: new Set(task.codec.ends) };
  return {
    recipe,
    settings,
    plan,
    streams,
    examples: allRows(streams),
    report,
    open,
    needs,
    own,
    seed: drawn,
  };
}

/**
 * The trainer's room for a pass of so many rows of any stream, with what the recipe wants of a trainer.
 * @param rows at most; a longer batch is trained in several passes
 */
export function roomOf({ streams, plan, needs }: Prepared, rows: number): TrainerCapacity {
  const caps = Object.entries(streams).map(([name, examples]) =>
    batchCap(examples, Math.min(rows, rowsOf(name, plan.batch, plan.streams))),
  );
  const most = (key: 'maxTokens' | 'maxLabels'): number => Math.max(...caps.map((c) => c[key]));
  return roomWith(needs, { maxTokens: most('maxTokens'), maxLabels: most('maxLabels') });
}

/** The room with what the recipe wants of a trainer. */
export function roomWith({ taps, entropy }: Needs, cap: TrainerCapacity): TrainerCapacity {
  return { ...cap, ...(taps && { taps }), ...(entropy && { entropy, maxLabels: cap.maxTokens }) };
}

/** A session and what its recipe keeps on the GPU beside the trainer. */
export interface OpenSession {
  session: TrainSession;
  /** What the run has taken so far. */
  cost(): RunCost;
  /** Frees what the recipe made; the trainer and the model are the caller's. */
  close(): void;
}

/**
 * Makes what the recipe keeps beside the trainer, and the session.
 * @param trainer on the weights that the run starts from: a recipe may copy them
 * @param wrap runs each step in the caller's turn on the GPU
 */
export async function openSession(
  { recipe, settings, plan, open, seed }: Prepared,
  trainer: Trainer,
  hooks: SessionHooks,
  wrap: (step: StepFn) => StepFn = (step) => step,
): Promise<OpenSession> {
  recipe.suits?.(settings, trainer.model.config);
  const meter = trainer.grads.gpu.meter();
  const own: OpenStep =
    typeof recipe.step === 'function'
      ? { step: recipe.step, close: () => {} }
      : await recipe.step.open(trainer, settings).finally(() => meter.end());
  const tally = new Tally(trainer, trainer.model.bytes + trainer.bytes + meter.end().grown);
  const { lr, schedule, steps, batch } = plan;
  const wrapped = { ...own, step: wrap(tally.counted(own.step)) };
  const session = new TrainSession(trainer, open, wrapped, { lr, schedule, steps, seed }, hooks, tally);
  return { session, cost: () => tally.cost(session.step, batch), close: () => own.close() };
}
