/** The two stages of pretraining: what each trains, on what, from which weights. */
import type { LlamaConfig } from '../core/config.ts';
import type { Tensors } from '../core/types.ts';
import { chatTuning, toExamples } from '../data/datasets.ts';
import { tinyTask } from '../data/tiny-task.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Model } from '../model/model.ts';
import { shuffled, type RunPlan } from '../recipes/recipe.ts';
import { sftStep } from '../recipes/sft.ts';
import { baseBatches, initTensors, LONGEST_EXAMPLE, TINY_BASE, TINY_CHAT } from '../recipes/tiny.ts';
import { batchCap } from '../train/cap.ts';
import { TrainSession, type OpenBatches } from '../train/session.ts';
import { Trainer } from '../train/trainer.ts';
import type { World } from '../world/world.ts';

/** What decides a stage's run: the model, its data in order, and the schedule. */
export interface Stage {
  name: 'tiny-base' | 'tiny-chat';
  plan: RunPlan;
  cap: { maxTokens: number; maxLabels: number };
  open: OpenBatches;
  config: LlamaConfig;
  tensors: Tensors;
  seed: string;
}

/** Stage 1, from random weights. */
export function baseStage(world: World, config: LlamaConfig, steps = TINY_BASE.steps): Stage {
  const room = TINY_BASE.batch * LONGEST_EXAMPLE;
  return {
    name: 'tiny-base',
    plan: { ...TINY_BASE, steps },
    cap: { maxTokens: room, maxLabels: room },
    open: baseBatches(world, TINY_BASE.batch) as OpenBatches,
    config,
    tensors: initTensors(config, world.seed),
    seed: `${world.seed}/tiny-base`,
  };
}

/** Stage 2, from the f16 weights of tiny-base as they are in its file. */
export function chatStage(
  world: World,
  base: { config: LlamaConfig; tensors: Tensors },
  steps = TINY_CHAT.steps,
): Stage {
  const examples = toExamples(chatTuning(tinyTask(world), world.seed));
  return {
    name: 'tiny-chat',
    plan: { ...TINY_CHAT, steps },
    cap: batchCap(examples, TINY_CHAT.batch),
    open: shuffled(examples, TINY_CHAT.batch, `${world.seed}/tiny-chat`),
    config: base.config,
    tensors: base.tensors,
    seed: `${world.seed}/tiny-chat`,
  };
}

export async function openSession(
  gpu: Gpu,
  stage: Stage,
  hooks: ConstructorParameters<typeof TrainSession>[4],
) {
  const model = Model.create(gpu, stage.config, stage.tensors);
  const trainer = await gpu.allocate(() => new Trainer(model, stage.plan.optim, stage.cap));
  const { lr, schedule, steps } = stage.plan;
  const session = new TrainSession(
    trainer,
    stage.open,
    sftStep,
    { lr, schedule, steps, seed: stage.seed },
    hooks,
  );
  return {
    session,
    model,
    close(): void {
      trainer.destroy();
      model.destroy();
    },
  };
}

/** The losses of the stage's first n steps, trained afresh. */
export async function firstLosses(gpu: Gpu, stage: Stage, n: number): Promise<number[]> {
  const run = await openSession(gpu, stage, { snapshot: { at: [n], take: async () => run.session.stop() } });
  try {
    await run.session.run();
    return run.session.log.slice(0, n).map((s) => s.loss);
  } finally {
    run.close();
  }
}
