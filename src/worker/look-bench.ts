/** Looks at a model of the tiny world with other weights than its own. */
import type { Look, LookPrompts } from '../core/insights.ts';
import { parseLlamaConfig } from '../core/config.ts';
import type { Tensors } from '../core/types.ts';
import { evaluateModel, MAX_LENGTH } from '../eval/evaluate.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { lookOf } from '../insights/look.ts';
import { Generator } from '../model/generate.ts';
import { Model } from '../model/model.ts';
import type { ParamLayout } from '../model/params.ts';
import { TokenLosses } from '../model/token-losses.ts';
import type { World } from '../world/world.ts';
import type { Context } from './context.ts';
import { byTurns } from './evaluation.ts';
import { PRIORITY } from './gate.ts';
import type { LabNode } from './protocol.ts';

/** Prompts answered at once, and tokens of a scoring pass. */
const SEQS = 96;
const PASS_TOKENS = 1024;

/** Whose surroundings are looked at. */
interface Looked {
  node: LabNode;
  tensors: Tensors;
  world: World;
  prompts: LookPrompts;
}

/** Where it is computed, and what ends it. */
interface Place {
  ctx: Context;
  gpu: Gpu;
  signal: AbortSignal;
}

/** A model of its own that takes on any weights of its shape and is looked at. */
export class LookBench {
  readonly #place: Place;
  readonly #world: World;
  readonly #prompts: LookPrompts;
  readonly #model: Model;
  readonly #generator: Generator;
  readonly #losses: TokenLosses;

  private constructor(place: Place, { node, tensors, world, prompts }: Looked) {
    const config = parseLlamaConfig(node.modelConfig);
    this.#place = place;
    this.#world = world;
    this.#prompts = prompts;
    this.#model = Model.create(place.gpu, config, tensors);
    this.#generator = new Generator(this.#model, { maxSeqs: SEQS, maxLen: MAX_LENGTH });
    this.#losses = new TokenLosses(this.#model, PASS_TOKENS);
  }

  static open(place: Place, looked: Looked): Promise<LookBench> {
    return place.gpu.allocate(() => new LookBench(place, looked));
  }

  /** Weights in the layout that `look` takes. */
  flatten(tensors: Tensors): Float32Array {
    return this.#model.params.flatten(tensors);
  }

  get layout(): ParamLayout {
    return this.#model.params.layout;
  }

  async look(weights: Float32Array): Promise<Look> {
    const { ctx, signal } = this.#place;
    const { gate } = ctx;
    this.#model.params.write(weights);
    return lookOf(
      await evaluateModel(byTurns(ctx, this.#generator, signal), this.#world, {
        sets: ['T'],
        benign: true,
        limit: this.#prompts,
        signal,
        scorer: {
          cap: this.#losses.cap,
          evaluate: (batch) => gate.run(PRIORITY.evaluation, () => this.#losses.evaluate(batch), signal),
          logits: (batch) => gate.run(PRIORITY.evaluation, () => this.#losses.logits(batch), signal),
        },
      }),
    );
  }

  destroy(): void {
    this.#losses.destroy();
    this.#generator.destroy();
    this.#model.destroy();
  }
}
