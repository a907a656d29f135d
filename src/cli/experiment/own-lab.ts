import type { RunCost } from '../../core/run-cost.ts';
import type { Task } from '../../data/task.ts';
import { scoreHeldOut, type TaskScores } from '../../eval/held-out.ts';
import { Generator } from '../../model/generate.ts';
import { Adapter, loraLayout, type LoraConfig } from '../../model/lora.ts';
import type { Model } from '../../model/model.ts';
import { answerOwn, withAnswers } from '../../recipes/own-answers.ts';
import { openSession, roomOf, roomWith, type Prepared } from '../../recipes/prepare.ts';
import { TINY_OPTIM } from '../../recipes/tiny.ts';
import { batchCap, rowsAtOnce } from '../../train/cap.ts';
import { scorerOf } from '../../train/scorer.ts';
import { Trainer } from '../../train/trainer.ts';

/** An adapter's weights, flat, as its ParamSet has them. */
export interface AdapterState {
  lora: LoraConfig;
  values: Float32Array;
}

/** What stands on a user's model: all weights anew, or adapters one on top of the other. */
export interface OwnState {
  weights: Float32Array | null;
  adapters: readonly AdapterState[];
}

export interface OwnLabOptions {
  /** Tokens of one batch, and its labels. */
  cap: { maxTokens: number; maxLabels: number };
  /** Prompts answered at once, and positions of a prompt with its answer. */
  maxSeqs: number;
  maxLen: number;
  maxNewTokens: number;
  limit?: number;
}

/** A trainer and a generator on one stack of adapters; the adapters' weights come and go. */
interface Place {
  /** The adapters' settings, and the trainer's, as JSON. */
  stack: string;
  trainerOf: string;
  adapters: Adapter[];
  trainer: Trainer;
  generator: Generator;
}

/** An adapter of rank 1 whose B is zero changes nothing: an untouched model is scored without room for its gradients. */
const NOTHING: LoraConfig = { r: 1, alpha: 1, targets: ['q_proj'] };

/**
 * A user's model on the GPU, once. Adapters stand on top of it in a stack, parents frozen; with full fine-tuning the weights
 * are written anew for whoever is trained or asked next.
 */
export class OwnLab {
  readonly model: Model;
  readonly task: Task;
  readonly #o: OwnLabOptions;
  #place: Place | null = null;
  /** The model's own weights, kept from before others are first written over them. */
  #root: Float32Array | null = null;

  constructor(model: Model, task: Task, o: OwnLabOptions) {
    this.model = model;
    this.task = task;
    this.#o = o;
  }

  async evaluate(state: OwnState): Promise<TaskScores> {
    const bare = state.adapters.length === 0 && state.weights === null;
    const { length } = loraLayout(this.model.config, NOTHING);
    const nothing = { lora: NOTHING, values: new Float32Array(length) };
    const { trainer, generator } = await this.#enter(bare ? { ...state, adapters: [nothing] } : state);
    const scorer = scorerOf(trainer, this.#o.cap);
    const { maxNewTokens, limit } = this.#o;
    return scoreHeldOut(generator, scorer, this.task, { maxNewTokens, ...(limit && { limit }) });
  }

  /**
   * Runs a prepared recipe on top of a state. `station` gets the new state after each number of steps in `at`.
   */
  async train(
    from: OwnState,
    planned: Prepared,
    o: {
      at: readonly number[];
      station(steps: number, state: OwnState, loss: number, cost: RunCost): Promise<void>;
      onStep?(step: number, total: number, loss: number): void;
    },
  ): Promise<void> {
    const { plan } = planned;
    const start: OwnState = plan.lora
      ? {
          weights: from.weights,
          adapters: [...from.adapters, { lora: plan.lora, values: new Float32Array() }],
        }
      : { weights: from.weights ?? (await this.#own()), adapters: from.adapters };
    const { trainer, generator, adapters } = await this.#enter(start, planned);
    if (plan.lora) adapters.at(-1)!.initialise(planned.seed);
    const prepared = withAnswers(planned, await answerOwn(planned, generator));
    const zero = new Float32Array(trainer.m.layout.length);
    trainer.restore({ step: 0, m: zero, v: zero });
    const opened = await openSession(prepared, trainer, {
      onStats: (s) => o.onStep?.(s.step, plan.steps, s.loss),
      snapshot: {
        at: o.at,
        take: async (step) => {
          const cost = opened.cost();
          const values = await trainer.model.trained.read();
          const state: OwnState = plan.lora
            ? { weights: from.weights, adapters: [...from.adapters, { lora: plan.lora, values }] }
            : { weights: values, adapters: from.adapters };
          await o.station(step, state, opened.session.log.at(-1)!.loss, cost);
        },
      },
    });
    try {
      await opened.session.run();
    } finally {
      opened.close();
    }
  }

  async #own(): Promise<Float32Array> {
    return (this.#root ??= await this.model.params.read());
  }

  destroy(): void {
    this.#leave();
  }

  /**
   * The buffers for a stack, with its weights in them; the last stack's are freed first, since a model may be large.
   * @param run absent: nothing is trained, any trainer will do
   */
  async #enter(state: OwnState, run?: Pick<Prepared, 'plan' | 'needs'>): Promise<Place> {
    const stack = JSON.stringify(state.adapters.map((a) => a.lora));
    const optim = run?.plan.optim ?? TINY_OPTIM;
    const { cap, maxSeqs, maxLen } = this.#o;
    const room = roomWith(run?.needs ?? {}, cap);
    const wanted = JSON.stringify([optim, room]);
    if (this.#place?.stack !== stack || (run && this.#place.trainerOf !== wanted)) {
      this.#leave();
      const { gpu, config } = this.model;
      this.#place = await gpu.allocate(() => {
        const adapters = state.adapters.map(({ lora }) => new Adapter(gpu, config, lora));
        const model = adapters.length > 0 ? this.model.with(...adapters) : this.model;
        const trainer = new Trainer(model, optim, room);
        const generator = new Generator(model, { maxSeqs, maxLen });
        return { stack, trainerOf: wanted, adapters, trainer, generator };
      });
    }
    const place = this.#place!;
    if (state.weights) await this.#own();
    const weights = state.weights ?? this.#root;
    if (weights) this.model.params.write(weights);
    state.adapters.forEach(({ values }, i) => {
      if (values.length > 0) place.adapters[i]!.params.write(values);
    });
    return place;
  }

  #leave(): void {
    this.#place?.generator.destroy();
    this.#place?.trainer.destroy();
    for (const adapter of this.#place?.adapters ?? []) adapter.destroy();
    this.#place = null;
  }
}

/**
 * Room for the longest held-out row and the largest batch of the runs.
 * @param large a batch may be trained in several passes, to spare memory
 */
export function capFor(
  task: Task,
  runs: readonly Prepared[],
  large: boolean,
): { maxTokens: number; maxLabels: number } {
  const heldOut = [...task.heldOut.harmful, ...task.heldOut.benign].flatMap((request) =>
    request.answer === null ? [] : [{ ...request, answer: request.answer, role: 'benign' as const }],
  );
  const caps = [
    ...runs.map((run) => {
      const { examples, plan } = run;
      return roomOf(run, large ? rowsAtOnce(examples, plan.batch) : Infinity);
    }),
    batchCap(task.codec.encode(heldOut).examples, 1),
  ];
  return {
    maxTokens: Math.max(...caps.map((c) => c.maxTokens)),
    maxLabels: Math.max(...caps.map((c) => c.maxLabels)),
  };
}
