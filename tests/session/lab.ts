import type { Example } from '../../src/core/types.ts';
import { parseLlamaConfig } from '../../src/core/config.ts';
import { chatTuning, toExamples } from '../../src/data/datasets.ts';
import { tinyTask } from '../../src/data/tiny-task.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { Model } from '../../src/model/model.ts';
import { shuffled } from '../../src/recipes/recipe.ts';
import { sftStep } from '../../src/recipes/sft.ts';
import { initTensors } from '../../src/recipes/tiny.ts';
import { batchCap } from '../../src/train/cap.ts';
import {
  TrainSession,
  type OpenStep,
  type SessionHooks,
  type SessionPlan,
  type StepFn,
} from '../../src/train/session.ts';
import { Trainer } from '../../src/train/trainer.ts';
import { createWorld } from '../../src/world/world.ts';
import { STAND_IN } from '../support/stand-in.ts';

export const PLAN: SessionPlan = {
  lr: 3e-3,
  schedule: { warmup: 2, hold: 0, decay: 'cosine', floor: 0.1 },
  steps: 20,
  seed: 'test',
};

const config = parseLlamaConfig(STAND_IN);
const examples: Example[] = toExamples(chatTuning(tinyTask(createWorld(0)), 1, { refusals: 15, benign: 15 }));
const BATCH = 4;

/** A small model in training on a data set of 30 examples in batches of 4: epochs end within batches. */
export function openRun(
  gpu: Gpu,
  o: {
    plan?: Partial<SessionPlan>;
    step?: StepFn;
    /** Instead of a step; closed with the run. */
    own?: (run: { trainer: Trainer }) => { own: OpenStep };
    hooks?: SessionHooks;
    /** Seed of the weights. */
    weights?: number;
  } = {},
) {
  const model = Model.create(gpu, config, initTensors(config, o.weights ?? 7));
  const optim = { betas: [0.9, 0.99] as const, eps: 1e-8, weight_decay: 0.01, clip: 1 };
  const trainer = new Trainer(model, optim, batchCap(examples, BATCH));
  const open = shuffled(examples, BATCH, 'test');
  const own = o.own?.({ trainer }).own;
  const session = new TrainSession(trainer, open, own ?? o.step ?? sftStep, { ...PLAN, ...o.plan }, o.hooks);
  return {
    session,
    model,
    trainer,
    close(): void {
      own?.close();
      trainer.destroy();
      model.destroy();
    },
  };
}
