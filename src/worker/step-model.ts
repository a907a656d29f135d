/**
 * One model on the GPU that takes on the weights of one step of a run after another: buffers, pipelines and bind groups are made
 * once, a move uploads weights.
 */
import { LabError } from '../core/errors.ts';
import { Generator } from '../model/generate.ts';
import type { LoraConfig } from '../model/lora.ts';
import type { Model } from '../model/model.ts';
import { widenSnapshot } from '../model/snapshot.ts';
import { TokenLosses } from '../model/token-losses.ts';
import type { Context } from './context.ts';
import { generatorCap } from './memory.ts';
import type { Models } from './models.ts';
import type { LabNode, ScrubAttack } from './protocol.ts';
import { buildModel, flatten, storedFloats, unflatten, type StoredModel } from './stored-model.ts';

/** Prompts asked at once: a look at a step of the tiny world is one batch. */
const SEQS = 50;

export class StepModel {
  readonly runId: string;
  readonly generator: Generator;
  readonly losses: TokenLosses;
  readonly #ctx: Context;
  readonly #model: Model;
  readonly #stored: StoredModel;
  readonly #lora: LoraConfig | null;
  /** Whole weights of the parent, or of its adapter where the run trained that one on; an adapter of zeros changes nothing. */
  readonly #parent: Float32Array;
  readonly #destroy: () => void;
  /** The step whose weights it has, and where they come from. */
  #at: string | null = null;

  private constructor(
    ctx: Context,
    made: {
      runId: string;
      stored: StoredModel;
      lora: LoraConfig | null;
      parent: Float32Array;
      model: Model;
      generator: Generator;
      losses: TokenLosses;
      destroy(): void;
    },
  ) {
    this.#ctx = ctx;
    this.runId = made.runId;
    this.#stored = made.stored;
    this.#lora = made.lora;
    this.#parent = made.parent;
    this.#model = made.model;
    this.generator = made.generator;
    this.losses = made.losses;
    this.#destroy = made.destroy;
  }

  /** @param made a checkpoint of the run, or what the run would leave: it tells what is trained */
  static async open(
    ctx: Context,
    models: Models,
    runId: string,
    parent: LabNode,
    made: Pick<LabNode, 'lora' | 'continues'>,
  ): Promise<StepModel> {
    const lora = (made.lora as LoraConfig | undefined) ?? null;
    const stored = await models.read(parent);
    const { config } = stored;
    const below = lora
      ? made.continues
        ? await ctx.store.weights(parent.id)
        : new Float32Array(storedFloats(config, lora))
      : flatten(config, await models.whole(stored));
    const parts = await models.on(stored, lora === null, (base) => {
      const train = { lora, seed: '', ...(made.continues && { continues: true }) };
      const { model, destroy } = buildModel(ctx.gpu, stored, base, train);
      const cap = generatorCap(config);
      const maxSeqs = parent.root === null ? 1 : SEQS;
      const generator = new Generator(model, { ...cap, maxSeqs });
      return { model, destroy, generator, losses: new TokenLosses(model, Math.max(256, cap.maxLen)) };
    });
    return new StepModel(ctx, { runId, stored, lora, parent: below, ...parts });
  }

  /** Uploads the weights of a step. @throws LabError 'not-found' where it was not kept, 'corrupt-model' where it is damaged */
  async move(attack: ScrubAttack, step: number): Promise<void> {
    const at = `${step} ${attack.steps.find((s) => s.step === step)?.from}`;
    if (this.#at === at) return;
    this.#at = null;
    const weights = await this.#weights(attack, step);
    const { config } = this.#stored;
    const lora = this.#lora ?? undefined;
    const { trained } = this.#model;
    trained.write(trained.flatten(unflatten(config, weights, lora)));
    this.#at = at;
  }

  async #weights({ runId, steps }: ScrubAttack, step: number): Promise<Float32Array> {
    const known = steps.find((s) => s.step === step);
    if (known?.from === 'parent') return this.#parent;
    if (known?.from === 'node') return this.#ctx.store.weights(known.nodeId!);
    const kept = await this.#ctx.store.snapshots.read(runId, step);
    if (!kept) throw notKept(step);
    return widenSnapshot(kept.words, kept.form === 'delta' ? this.#parent : null);
  }

  destroy(): void {
    this.generator.destroy();
    this.losses.destroy();
    this.#destroy();
  }
}

function notKept(step: number): LabError {
  return new LabError('not-found', `Step ${step} of this attack is not kept in this browser.`, {
    safe: 'Its checkpoints and the other steps are untouched.',
    next: 'Move to another step, or run the attack again with "Keep for the scrubber" on.',
  });
}
