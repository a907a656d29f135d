import { LabError } from '../core/errors.ts';
import { defaultsOf, type SettingField, type Settings } from '../core/settings.ts';
import type { LlamaConfig } from '../core/config.ts';
import type { Example } from '../core/types.ts';
import type { Schedule } from '../core/schedule.ts';
import type { OptimConfig, Trainer, TrainerCapacity } from '../train/trainer.ts';
import type { OpenBatches, OpenStep, StepFn } from '../train/session.ts';
import { LORA_TARGETS, type LoraConfig } from '../model/lora.ts';
import { Batches } from '../data/batches.ts';
import type { BatchesState, BatchOrder } from '../data/batches.ts';
import type { ChatItem, Task } from '../data/task.ts';
import type { StreamPlans, Streams } from './streams.ts';

/** How the optimizer goes through the data; all of it follows from the settings. */
export interface RunPlan {
  lr: number;
  steps: number;
  /** Rows in a batch. */
  batch: number;
  /** How rows come together in batches; absent: 'random'. */
  order?: BatchOrder;
  /** How the streams beside the main one are taken; absent: in batches of the same size. */
  streams?: StreamPlans;
  schedule: Schedule;
  optim: OptimConfig;
  /** Trains this adapter on top of frozen weights; absent: all weights. */
  lora?: LoraConfig;
}

/** What a recipe takes beside an ordinary trainer; for the memory plan and the estimate of time. */
export interface Needs {
  /** Sets as large as what is trained (all weights, or the adapter): copies and gradients. */
  copies?: number;
  /** Tensors [tokens of a pass, hidden] for each layer, beside those of `taps`. */
  layerSets?: number;
  /** Tap sites of the trainer. */
  taps?: TrainerCapacity['taps'];
  /** The trainer's backward pass of negative entropy; every token of a pass goes through the head then. */
  entropy?: boolean;
  /** Gradient evaluations of a step, mean over the run, as RunCost counts them; absent: 1. */
  gradients?: number;
  /** Passes forward alone of a step, mean over the run; absent: none. */
  forwards?: number;
}

/** A step that owns something beside the trainer, see OpenStep. */
export interface StepMaker {
  /**
   * Makes it, through Gpu.allocate; all or nothing.
   * @param trainer on the weights that the run starts from
   * @throws LabError 'bad-input' where the settings do not suit the model, 'out-of-memory'
   */
  open(trainer: Trainer, settings: Settings): Promise<OpenStep>;
}

/**
 * A defence, an attack or benign tuning: which data, which schedule, and what happens in one step. Everything else
 * (order of the data, pausing, logs, checkpoints, evaluation) is the session's and the same for all.
 */
export interface Recipe {
  id: string;
  title: string;
  kind: 'defence' | 'attack' | 'benign';
  /** Where the method comes from. */
  source: string;
  /** Recipe ids whose result this one wants to start from; any model when absent. */
  startsFrom?: readonly string[];
  /** 20 steps and then 30 more are the same run as 50 (constant learning rate). */
  continuable: boolean;
  settings: readonly SettingField[];
  plan(settings: Settings): RunPlan;
  /**
   * Training chats, in a fixed order for a seed; the session shuffles them with the run's own seed. Of more than one kind: by
   * the names that `next` is asked for.
   */
  data(task: Task, settings: Settings, seed: number): ChatItem[] | Streams<ChatItem>;
  /** Streams whose answers the model gives itself before the first step; absent: the data's answers stay. */
  ownAnswers?(settings: Settings): readonly string[];
  needs?(settings: Settings): Needs;
  /** Asked before anything is made. @throws LabError 'bad-input' where the settings do not suit a model of this shape */
  suits?(settings: Settings, model: LlamaConfig): void;
  step: StepFn | StepMaker;
}

/**
 * The recipe's defaults with `own` laid over them; an unknown key, a wrong type or a value out of range is refused by name.
 * @param task whose data the run is for: it knows better defaults where it is not the tiny world
 */
export function settle(recipe: Recipe, own: Settings = {}, task?: Task): Settings {
  const lora = own.method === 'lora';
  const out: Settings = {
    ...defaultsOf(recipe.settings, own),
    ...task?.defaults(recipe.id, lora),
  };
  for (const [key, value] of Object.entries(own)) {
    const field = recipe.settings.find((f) => f.key === key);
    if (!field)
      throw badSetting(recipe, key, `it has no such setting; it knows ${Object.keys(out).join(', ')}`);
    const wanted = field.type === 'choice' ? 'string' : field.type;
    if (typeof value !== wanted) throw badSetting(recipe, key, `a ${wanted} is wanted`);
    if (field.choices && !field.choices.includes(String(value)))
      throw badSetting(recipe, key, `one of ${field.choices.join(', ')} is wanted`);
    if (typeof value === 'number') {
      const { min = -Infinity, max = Infinity } = field;
      if (field.step === 1 && !Number.isInteger(value))
        throw badSetting(recipe, key, `${value} is not a whole number`);
      if (!(value >= min && value <= max))
        throw badSetting(recipe, key, `${value} is not within ${min} to ${max}`);
    }
    out[key] = value;
  }
  return out;
}

function badSetting(recipe: Recipe, key: string, why: string): LabError {
  return new LabError('bad-input', `Setting "${key}" of recipe "${recipe.id}": ${why}.`);
}

/**
 * Settings every recipe has.
 * @param lora defaults of an adapter, as docs/tuning.md found them
 */
export function runFields(lr: number, steps: number, lora: { lr: number; alpha: number }): SettingField[] {
  return [
    { key: 'lr', type: 'number', default: lr, loraDefault: lora.lr, min: 1e-6, max: 1e-1, main: true },
    { key: 'steps', type: 'number', default: steps, min: 1, max: 10_000, step: 1, main: true },
    { key: 'batch', type: 'number', default: 16, min: 1, max: 64, step: 1, main: false },
    { key: 'order', type: 'choice', default: 'random', choices: ['random', 'length'], main: false },
    { key: 'method', type: 'choice', default: 'full', choices: ['full', 'lora'], main: false },
    { key: 'rank', type: 'number', default: 8, min: 1, max: 64, step: 1, main: false, loraOnly: true },
    { key: 'alpha', type: 'number', default: lora.alpha, min: 0.1, max: 512, main: false, loraOnly: true },
  ];
}

/** The part of a plan that the settings of `runFields` decide. */
export function runPlan(s: Settings): Pick<RunPlan, 'lr' | 'batch' | 'order' | 'lora'> {
  return {
    lr: num(s, 'lr'),
    batch: num(s, 'batch'),
    ...(s.order === 'length' && { order: s.order }),
    ...(s.method === 'lora' && {
      lora: { r: num(s, 'rank'), alpha: num(s, 'alpha'), targets: LORA_TARGETS },
    }),
  };
}

/** Typed access to settings that settle() has checked. */
export const num = (s: Settings, key: string): number => Number(s[key]);

/** Constant rate after `warmup` steps. */
export const constant = (warmup = 0): Schedule => ({ warmup, hold: 1, decay: 'none', floor: 1 });

/** Cosine to a tenth, with 5 % of the steps as warm-up (rounded up, as Hugging Face does). */
export const cosine = (steps: number): Schedule => ({
  warmup: Math.ceil(0.05 * steps),
  hold: 0,
  decay: 'cosine',
  floor: 0.1,
});

/** The examples in seeded order, epoch after epoch, for a session. */
export function shuffled(
  examples: readonly Example[],
  batch: number,
  seed: number | string,
  order?: BatchOrder,
): OpenBatches {
  return (at) =>
    at ? Batches.from(examples, batch, at as BatchesState) : new Batches(examples, batch, seed, order);
}
