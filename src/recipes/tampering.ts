/** What TAR (src/recipes/tar.ts) does with weights and gradients: inner attacks, resistance at the attacked weights, retain loss. */
import { LabError } from '../core/errors.ts';
import type { Batch } from '../core/types.ts';
import { Program, type Binding } from '../gpu/program.ts';
import type { Dims } from '../kernels/common.ts';
import { combine, rowDistance } from '../kernels/elementwise.ts';
import { lossSum } from '../kernels/loss.ts';
import { adamw, type StepDims } from '../kernels/optimizer.ts';
import type { RowScore } from '../model/batch.ts';
import { ParamSet } from '../model/params.ts';
import type { Trainer } from '../train/trainer.ts';
import { accumulatePreference, dpo } from './preference.ts';

export type InnerOptimizer = 'sgd' | 'adamw';
export type TarObjective = 'entropy' | 'dpo';

export interface TamperingOptions {
  objective: TarObjective;
  /** Of DPO. */
  beta: number;
  /** Of inner attacks by AdamW; null: there are none, and no moments are kept. */
  adamw: { betas: readonly [number, number]; eps: number; weight_decay: number } | null;
}

/** Requests apart from those of the attack: the refusal and the harmful answer to each. */
export interface HeldOutPairs {
  chosen: Batch;
  rejected: Batch;
}

export interface InnerAttack {
  kind: InnerOptimizer;
  /** Of every step, or of each. */
  rate: number | readonly number[];
  /** A resistance gradient after every so many inner steps. */
  interval: number;
  /** What the mean of the resistance gradients is multiplied with before it is added up. */
  share: number;
}

/** What an observer is told: right after the inner steps' gradient and update, and after a resistance gradient. */
export type Watch = (
  what: 'gradient' | 'attacked' | 'resistance',
  k: number,
  loss: number,
) => Promise<void> | void;

/** Sets, scratch and programs of TAR, beside a trainer with the tap sites hidden out and inject. */
export class Tampering {
  /** The model that the run started from; what is trained of it. */
  readonly reference: ParamSet;
  /** Scaled mean of the resistance gradients of a step. */
  readonly resistance: ParamSet;
  readonly #trainer: Trainer;
  readonly #o: TamperingOptions;
  readonly #weights: ParamSet;
  readonly #moments: { m: ParamSet; v: ParamSet } | null;
  readonly #state: GPUBuffer;
  readonly #buffers: GPUBuffer[] = [];
  readonly #adamw: Program<StepDims> | null;
  /** Keeps the reference's hidden states. */
  readonly #keep: Program<Dims>;
  readonly #distance: Program<Dims>;
  readonly #distances: Binding;
  /** Factor of a distance in the loss. */
  #scale = 0;

  /** See Gpu.allocate. The reference is what is trained, as it is now. */
  constructor(trainer: Trainer, o: TamperingOptions) {
    const { gpu, layout } = trainer.grads;
    const { config, trained } = trainer.model;
    this.#trainer = trainer;
    this.#o = o;
    const set = (label: string): ParamSet => new ParamSet(gpu, layout, label);
    this.reference = set('reference');
    this.reference.copyFrom(trained);
    this.resistance = set('resistance gradients');
    this.#weights = set('weights of the step');
    this.#moments = o.adamw ? { m: set('inner first moments'), v: set('inner second moments') } : null;
    const make = (label: string, bytes: number): GPUBuffer => {
      const buffer = gpu.buffer(label, bytes);
      this.#buffers.push(buffer);
      return buffer;
    };
    // a train state that never stops and never clips
    this.#state = make('inner train state', 32);
    gpu.device.queue.writeBuffer(this.#state, 8, new Float32Array([1]));
    this.#adamw = this.#innerUpdate();

    const { hidden } = trainer.taps!;
    const width = config.hidden_size;
    const floats = hidden.out[0]!.size! / 4;
    const tokens = floats / width;
    const kept = hidden.out.map((_, l) => ({ buffer: make(`reference hidden ${l}`, floats * 4) }));
    const each = make('hidden distances', hidden.out.length * stride(tokens) * 4);
    const ones = make('ones', stride(tokens) * 4);
    gpu.device.queue.writeBuffer(ones, 0, new Float32Array(stride(tokens)).fill(1));
    this.#distances = { buffer: each };
    const distanceOf = (l: number): Binding => ({
      buffer: each,
      offset: l * stride(tokens) * 4,
      size: stride(tokens) * 4,
    });
    this.#keep = new Program(
      gpu,
      'keep hidden states',
      hidden.out.map((x, l) => combine({ x, y: kept[l]!, a: 1, b: 0, rows: 'tokens', width })),
    );
    const scale = (): number => this.#scale;
    this.#distance = new Program(
      gpu,
      'hidden distance',
      hidden.out.flatMap((a, l) => [
        rowDistance({
          ...{ a, b: kept[l]!, grad: hidden.inject[l]!, distance: distanceOf(l) },
          ...{ rows: 'tokens', width, scale },
        }),
        lossSum({
          ...{ loss: distanceOf(l), weights: { buffer: ones }, state: trainer.state },
          ...{ rows: 'tokens', scale },
        }),
      ]),
    );
  }

  /** Begins a step: remembers the weights, and no resistance gradient yet. */
  begin(): void {
    this.#weights.copyFrom(this.#trainer.model.trained);
    this.resistance.clear();
  }

  /**
   * One attack from the weights of the step, which are there again afterwards, also after an error; its resistance gradients are
   * added up.
   * @returns mean resistance loss
   * @throws LabError 'non-finite' naming the inner step that diverged
   */
  async attack(
    batches: readonly Batch[],
    held: HeldOutPairs,
    { kind, rate, interval, share }: InnerAttack,
    watch?: Watch,
  ): Promise<{ loss: number }> {
    const trainer = this.#trainer;
    const { trained } = trainer.model;
    const count = Math.floor(batches.length / interval);
    const reference = this.#o.objective === 'dpo' ? await this.#referenceScores(held) : null;
    const inner = `The inner attack (${kind === 'sgd' ? 'SGD' : 'AdamW'} at ${[rate].flat().join(', ')})`;
    let loss = 0;
    this.#moments?.m.clear();
    this.#moments?.v.clear();
    try {
      for (const [k, batch] of batches.entries()) {
        const lr = typeof rate === 'number' ? rate : rate[k]!;
        const before = await trainer.gradient([batch]).catch((error: unknown) => {
          throw error instanceof LabError && error.code === 'non-finite'
            ? diverged(inner, k + 1, error)
            : error;
        });
        await watch?.('gradient', k, before.loss);
        if (kind === 'sgd') trained.axpy(-lr, trainer.grads);
        else this.#adamw!.run({ step: k + 1, lr });
        await watch?.('attacked', k, before.loss);
        if ((k + 1) % interval !== 0) continue;
        const own = await this.#resist(held, reference);
        if (!Number.isFinite(own)) throw diverged(inner, k + 1);
        await watch?.('resistance', k, own);
        this.resistance.axpy(share / count, trainer.grads);
        loss += own / count;
      }
    } finally {
      trained.copyFrom(this.#weights);
    }
    return { loss };
  }

  /**
   * Leaves in `grads` the gradient, at the weights of the step, of scale times (token loss + `distance` times the mean distance of
   * hidden states to the reference's).
   */
  async retain(
    batch: Batch,
    { scale, distance }: { scale: number; distance: number },
  ): Promise<{ loss: number; tokens: number; labels: number }> {
    const trainer = this.#trainer;
    const { trained, config } = trainer.model;
    const { parts, scale: mean } = trainer.split(batch);
    const tokens = parts.flat().reduce((sum, { ids }) => sum + ids.length, 0);
    const labels = Math.round(1 / mean);
    this.#scale = (scale * distance) / (tokens * config.num_hidden_layers);
    try {
      const { loss } = await trainer.gradient([batch], {
        scale: scale * mean,
        between: this.#distance,
        before: (rows) => {
          trained.copyFrom(this.reference);
          trainer.passForward(rows);
          const tokens = rows.reduce((n, { ids }) => n + ids.length, 0);
          this.#keep.run({ tokens, rows: 0, distinct: 0, pairs: 0, scale: 0 });
          trained.copyFrom(this.#weights);
        },
      });
      return { loss: scale === 0 ? 0 : loss / scale, tokens, labels };
    } finally {
      trained.copyFrom(this.#weights);
      trainer.clearTap('hidden', 'inject');
    }
  }

  /** Adds the resistance gradients to what `retain` left. */
  combine(): void {
    this.#trainer.grads.axpy(1, this.resistance);
  }

  /** Mean distance of each layer's hidden states in the last pass of `retain`, of so many tokens. */
  async distances(tokens: number): Promise<number[]> {
    const all = await this.#trainer.grads.gpu.readFloats(this.#distances.buffer);
    const layers = this.#trainer.model.config.num_hidden_layers;
    const each = all.length / layers;
    return Array.from(
      { length: layers },
      (_, l) => all.subarray(l * each, l * each + tokens).reduce((a, b) => a + b, 0) / tokens,
    );
  }

  close(): void {
    for (const set of [this.reference, this.resistance, this.#weights, this.#moments?.m, this.#moments?.v])
      set?.destroy();
    for (const program of [this.#keep, this.#distance, this.#adamw]) program?.destroy();
    for (const buffer of this.#buffers) this.#trainer.grads.gpu.free(buffer);
  }

  /** Leaves the resistance gradient at the present weights in `grads`. */
  async #resist(
    { chosen, rejected }: HeldOutPairs,
    reference: { chosen: RowScore[]; rejected: RowScore[] } | null,
  ): Promise<number> {
    const trainer = this.#trainer;
    if (reference)
      return (await accumulatePreference(trainer, chosen, rejected, dpo(this.#o.beta, reference))).loss;
    return (await trainer.gradient([rejected], { objective: 'negative entropy' })).loss;
  }

  async #referenceScores({ chosen, rejected }: HeldOutPairs) {
    const trainer = this.#trainer;
    const { trained } = trainer.model;
    trained.copyFrom(this.reference);
    try {
      const scores = await trainer.scores([...chosen, ...rejected]);
      return { chosen: scores.slice(0, chosen.length), rejected: scores.slice(chosen.length) };
    } finally {
      trained.copyFrom(this.#weights);
    }
  }

  #innerUpdate(): Program<StepDims> | null {
    const { grads, model } = this.#trainer;
    const { adamw: o } = this.#o;
    if (!o || !this.#moments) return null;
    const { m, v } = this.#moments;
    const ops = grads.pieces().map((p) =>
      adamw({
        ...{ state: { buffer: this.#state }, grad: grads.piece(p), p: model.trained.piece(p) },
        ...{ m: m.piece(p), v: v.piece(p), n: p.n },
        ...{ decayed: Math.max(0, grads.layout.decayedLength - p.base) },
        ...{ betas: o.betas, eps: o.eps, weightDecay: o.weight_decay },
      }),
    );
    return new Program(grads.gpu, 'inner update', ops);
  }
}

/** Floats from one layer's distances to the next: a binding's alignment. */
const stride = (tokens: number): number => Math.ceil(tokens / 64) * 64;

function diverged(inner: string, k: number, cause?: unknown): LabError {
  return new LabError('non-finite', `${inner} diverged in its step ${k}: a number is not finite.`, {
    safe: 'The weights are those after the last good step of the run; nothing of the attack was kept.',
    next: 'Lower the rates of the inner attacks, or take fewer inner steps.',
    ...(cause !== undefined && { cause }),
  });
}
