import type { LlamaConfig } from '../core/config.ts';
import type { Batch, Example, Tensors } from '../core/types.ts';
import { rowLosses } from '../eval/perplexity.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Model } from '../model/model.ts';
import type { ParamLayout } from '../model/params.ts';
import { TINY_OPTIM } from '../recipes/tiny.ts';
import { scorerOf } from '../train/scorer.ts';
import { Trainer } from '../train/trainer.ts';

/** Tokens of one pass; a longer batch takes several. */
const CAP = { maxTokens: 1024, maxLabels: 1024 };

/** Losses and gradients at any weights of one shape, without an optimizer step. */
export class GradientProbe {
  readonly layout: ParamLayout;
  readonly #model: Model;
  readonly #trainer: Trainer;

  private constructor(gpu: Gpu, config: LlamaConfig, tensors: Tensors) {
    this.#model = Model.create(gpu, config, tensors);
    this.#trainer = new Trainer(this.#model, TINY_OPTIM, CAP);
    this.layout = this.#model.params.layout;
  }

  static open(gpu: Gpu, config: LlamaConfig, tensors: Tensors): Promise<GradientProbe> {
    return gpu.allocate(() => new GradientProbe(gpu, config, tensors));
  }

  /** Weights in the layout that the other methods take. */
  flatten(tensors: Tensors): Float32Array {
    return this.#model.params.flatten(tensors);
  }

  /**
   * Mean loss over the batch's labels and its gradient by every weight, not clipped, in the weights' layout.
   * @throws LabError 'non-finite' naming the tensor, 'bad-input' for a batch without labels or weights of another length
   */
  async gradient(weights: Float32Array, batch: Batch): Promise<{ loss: number; gradient: Float32Array }> {
    this.#model.params.write(weights);
    const { loss } = await this.#trainer.gradient([batch]);
    return { loss, gradient: await this.#trainer.grads.read() };
  }

  /** Mean loss over the labels of all rows, nats. */
  async loss(weights: Float32Array, rows: readonly Example[]): Promise<number> {
    this.#model.params.write(weights);
    const losses = await rowLosses(scorerOf(this.#trainer, CAP), rows);
    const labels = losses.reduce((sum, x) => sum + x.labels, 0);
    return losses.reduce((sum, x) => sum + x.sum, 0) / labels;
  }

  destroy(): void {
    this.#trainer.destroy();
    this.#model.destroy();
  }
}
