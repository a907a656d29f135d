import type { Settings } from '../core/settings.ts';
import type { Example } from '../core/types.ts';
import type { EncodeReport, Task } from '../data/task.ts';
import { TrainSession } from '../train/session.ts';
import type { OpenBatches, SessionHooks, StepFn } from '../train/session.ts';
import type { Trainer } from '../train/trainer.ts';
import { shuffled } from './recipe.ts';
import type { Recipe, RunPlan } from './recipe.ts';

/** A recipe with its settings, its data and their order: everything of a run that needs no GPU. */
export interface Prepared {
  recipe: Recipe;
  plan: RunPlan;
  examples: Example[];
  report: EncodeReport;
  open: OpenBatches;
  /** What the session draws from. */
  seed: string;
}

/**
 * The one way from a recipe to a run: the page and the command line train the same batches in the same order for the
 * same settings and seed.
 * @param settings as settle() returns them
 */
export function prepare(recipe: Recipe, task: Task, settings: Settings, seed: number): Prepared {
  const plan = recipe.plan(settings);
  const { examples, report } = task.codec.encode(recipe.data(task, settings, seed));
  // The recipe's name belongs to the seed: a defence and an attack of the same seed are not shuffled alike.
  const own = `${recipe.id}/${seed}`;
  return { recipe, plan, examples, report, open: shuffled(examples, plan.batch, own, plan.order), seed: own };
}

/** @param wrap runs each step in the caller's turn on the GPU */
export function sessionOf(
  { recipe, plan, open, seed }: Prepared,
  trainer: Trainer,
  hooks: SessionHooks,
  wrap: (step: StepFn) => StepFn = (step) => step,
): TrainSession {
  const { lr, schedule, steps } = plan;
  return new TrainSession(trainer, open, wrap(recipe.step), { lr, schedule, steps, seed }, hooks);
}
