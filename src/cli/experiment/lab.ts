import type { Task } from '../../data/task.ts';
import { tinyTask } from '../../data/tiny-task.ts';
import { evaluateModel, MAX_LENGTH } from '../../eval/evaluate.ts';
import type { EvalOptions, ModelScores } from '../../eval/evaluate.ts';
import {
  measureBattery,
  type Battery,
  type BatteryOptions,
  type Reference,
  type References,
} from '../../eval/measures/battery.ts';
import type { Scorer } from '../../eval/perplexity.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { Generator } from '../../model/generate.ts';
import { Adapter, mergeLora, type LoraConfig } from '../../model/lora.ts';
import { Model } from '../../model/model.ts';
import { recipe } from '../../recipes/index.ts';
import { answerOwn, withAnswers } from '../../recipes/own-answers.ts';
import { openSession, prepare, roomWith } from '../../recipes/prepare.ts';
import { settle, type Needs } from '../../recipes/recipe.ts';
import type { RunCost } from '../../core/run-cost.ts';
import type { Settings } from '../../core/settings.ts';
import { scorerOf } from '../../train/scorer.ts';
import { Trainer } from '../../train/trainer.ts';
import type { OptimConfig } from '../../train/trainer.ts';
import type { World } from '../../world/world.ts';
import type { ModelFolder } from '../model-folder.ts';

/** Tokens of a training batch, and of a scoring one: 16 rows of at most 64. */
const CAP = { maxTokens: 1024, maxLabels: 1024 };
/** Prompts answered at once. */
const SEQS = 96;

/** A trainer, and the adapter that it trains if it does not train all weights. */
interface Tuner {
  trainer: Trainer;
  adapter: Adapter | null;
}

/**
 * One model on the GPU that takes on the weights of whichever model is trained or asked next; buffers, pipelines and bind
 * groups are made once for the whole experiment.
 */
export class ExperimentLab {
  readonly gpu: Gpu;
  readonly world: World;
  readonly #task: Task;
  readonly #model: Model;
  readonly #generator: Generator;
  readonly #tuners = new Map<string, Tuner>();

  private constructor(gpu: Gpu, world: World, folder: ModelFolder) {
    this.gpu = gpu;
    this.world = world;
    this.#task = tinyTask(world);
    this.#model = Model.create(gpu, folder.config, folder.tensors);
    this.#generator = new Generator(this.#model, { maxSeqs: SEQS, maxLen: MAX_LENGTH });
  }

  static open(gpu: Gpu, world: World, folder: ModelFolder): Promise<ExperimentLab> {
    return gpu.allocate(() => new ExperimentLab(gpu, world, folder));
  }

  /** A model folder's weights in the flat layout that the other methods take. */
  flatten(folder: ModelFolder): Float32Array {
    return this.#model.params.flatten(folder.tensors);
  }

  /** Scores of the given weights. */
  async evaluate(weights: Float32Array, o: EvalOptions): Promise<ModelScores> {
    this.#model.params.write(weights);
    return evaluateModel(this.#generator, this.world, { ...o, scorer: await this.#scorer() });
  }

  /** Whatever else is asked of the given weights. */
  async ask<T>(
    weights: Float32Array,
    work: (generator: Generator, scorer: Scorer) => Promise<T>,
  ): Promise<T> {
    this.#model.params.write(weights);
    return work(this.#generator, await this.#scorer());
  }

  /** The other measures of the given weights, beside those that they came from. */
  async measure(weights: Float32Array, references: References, o: BatteryOptions): Promise<Battery> {
    const { params } = this.#model;
    params.write(weights);
    const subject = {
      generator: this.#generator,
      scorer: await this.#scorer(),
      weights: params.tensors(weights),
    };
    return measureBattery(subject, references, this.world, o);
  }

  /** A model that others are laid beside. It borrows the GPU model's place, and gives it back. */
  reference(weights: Float32Array): Reference {
    const { params } = this.#model;
    return {
      weights: params.tensors(weights),
      score: async (work) => {
        const before = await params.read();
        params.write(weights);
        try {
          return await work(await this.#scorer());
        } finally {
          params.write(before);
        }
      },
    };
  }

  async #scorer(): Promise<Scorer> {
    const { trainer } = await this.#trainer(recipe('mft').plan(settle(recipe('mft'))).optim);
    return scorerOf(trainer, CAP);
  }

  /**
   * Runs a recipe from the given weights. `station` gets the weights after each number of steps in `at`; the last of them
   * is the length of a run with a constant rate, other runs keep their own length.
   */
  async train(
    weights: Float32Array,
    o: {
      recipe: string;
      settings: Settings;
      seed: number;
      at: readonly number[];
      station(steps: number, weights: Float32Array, loss: number, cost: RunCost): Promise<void>;
      onStep?(step: number, total: number, loss: number): void;
    },
  ): Promise<void> {
    const r = recipe(o.recipe);
    const planned = prepare(r, this.#task, settle(r, o.settings), o.seed);
    const { plan, needs } = planned;
    const { trainer, adapter } = await this.#trainer(plan.optim, plan.lora, needs);
    const { params } = this.#model;
    params.write(weights);
    const prepared = withAnswers(planned, await answerOwn(planned, this.#generator));
    const zero = new Float32Array(trainer.m.layout.length);
    adapter?.initialise(prepared.seed);
    trainer.restore({ step: 0, m: zero, v: zero });
    const opened = await openSession(prepared, trainer, {
      onStats: (s) => o.onStep?.(s.step, plan.steps, s.loss),
      snapshot: {
        at: o.at,
        take: async (step) => {
          const { loss } = opened.session.log.at(-1)!;
          const cost = opened.cost();
          await o.station(step, await this.#merged(weights, adapter), loss, cost);
          // Whoever looked at a station has written its weights here; what an adapter stands on must be there again.
          if (adapter) params.write(weights);
        },
      },
    });
    try {
      await opened.session.run();
    } finally {
      opened.close();
    }
  }

  /** The weights as they are now; an adapter is folded into those that it stands on. */
  async #merged(base: Float32Array, adapter: Adapter | null): Promise<Float32Array> {
    const { params, config } = this.#model;
    if (!adapter) return params.read();
    const tensors = await adapter.readTensors();
    return params.flatten(mergeLora(config, params.tensors(base), adapter.config, tensors));
  }

  async #trainer(optim: OptimConfig, lora?: LoraConfig, needs: Needs = {}): Promise<Tuner> {
    const room = roomWith(needs, CAP);
    const key = JSON.stringify([optim, lora, room]);
    let tuner = this.#tuners.get(key);
    if (!tuner) {
      tuner = await this.gpu.allocate(() => {
        const adapter = lora ? new Adapter(this.gpu, this.#model.config, lora) : null;
        const model = adapter ? this.#model.with(adapter) : this.#model;
        return { trainer: new Trainer(model, optim, room), adapter };
      });
      this.#tuners.set(key, tuner);
    }
    return tuner;
  }

  destroy(): void {
    for (const { trainer, adapter } of this.#tuners.values()) {
      trainer.destroy();
      adapter?.destroy();
    }
    this.#generator.destroy();
    this.#model.destroy();
  }
}
