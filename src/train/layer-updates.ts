import { Program, type Replayable } from '../gpu/program.ts';
import { adamw, type StepDims } from '../kernels/optimizer.ts';
import { ALIGN, type ParamLayout } from '../model/params.ts';
import type { Trainer } from './trainer.ts';

/** Floats [offset, offset + size) of a set, and whether they decay. */
export interface LayerRange {
  offset: number;
  size: number;
  decayed: boolean;
}

/** The number of the layer that a tensor belongs to; null: to none. */
export function layerOf(name: string): number | null {
  const found = /(?:^|\.)layers\.(\d+)\./.exec(name);
  return found ? Number(found[1]) : null;
}

/** Where the tensors of a layer stand, those that adjoin together; every range begins where a binding can. */
export function layerRanges({ entries }: ParamLayout, layer: number): LayerRange[] {
  const ranges: LayerRange[] = [];
  let end = -1;
  for (const { name, offset, size, decayed } of entries) {
    const own = layerOf(name) === layer;
    const last = ranges.at(-1);
    // a gap of alignment between two tensors of the layer holds zeros, and belongs to it
    if (own && last && end >= 0 && last.decayed === decayed && offset - end < ALIGN)
      last.size = offset + size - last.offset;
    else if (own) ranges.push({ offset, size, decayed });
    end = own ? offset + size : -1;
  }
  return ranges;
}

/**
 * AdamW on the tensors of some layers only: all others, also embeddings, head and final norm, keep their bits, and their moments
 * stay as they are. Each layer counts its own updates, as torch.optim.AdamW does for parameters whose gradient is None now and then.
 */
export class LayerUpdates {
  /** Updates of each layer so far. */
  readonly counts: number[];
  readonly #trainer: Trainer;
  readonly #ranges: LayerRange[][];
  readonly #programs: Program<StepDims>[];

  /** See Gpu.allocate. */
  constructor(trainer: Trainer) {
    const { model, optim, grads, m, v, state } = trainer;
    const layers = Array.from({ length: model.config.num_hidden_layers }, (_, l) => l);
    this.#trainer = trainer;
    this.counts = layers.map(() => 0);
    this.#ranges = layers.map((l) => layerRanges(grads.layout, l));
    const most = Math.floor(grads.gpu.info.limits.maxStorageBufferBindingSize / 4 / ALIGN) * ALIGN;
    this.#programs = this.#ranges.map((ranges) => {
      const pieces = ranges.flatMap(({ offset, size, decayed }) =>
        Array.from({ length: Math.ceil(size / most) }, (_, i) => {
          const n = Math.min(most, size - i * most);
          return { base: offset + i * most, n, decayed };
        }),
      );
      const ops = pieces.map(({ base, n, decayed }) => {
        const at = { base, n: Math.ceil(n / 4) * 4 };
        return adamw({
          ...{ state, grad: grads.piece(at), p: model.trained.piece(at), m: m.piece(at), v: v.piece(at) },
          ...{ n, decayed: decayed ? n : 0 },
          ...{ betas: optim.betas, eps: optim.eps, weightDecay: optim.weight_decay },
        });
      });
      return new Program(grads.gpu, 'update of a layer', ops);
    });
  }

  /** The update from what stands in `grads`, which is cleared but for these layers: the norm is theirs. */
  apply(layers: readonly number[], lr: number, about: { tokens: number; labels: number }): void {
    this.#clearOthers(layers);
    const programs = layers.map((l): Replayable => {
      this.#programs[l]!.prepare({ step: ++this.counts[l]!, lr });
      return this.#programs[l]!;
    });
    this.#trainer.applyGradients(lr, about.tokens, about.labels, undefined, programs);
  }

  close(): void {
    for (const program of this.#programs) program.destroy();
  }

  #clearOthers(layers: readonly number[]): void {
    const { gpu, buffer, layout } = this.#trainer.grads;
    const kept = layers.flatMap((l) => this.#ranges[l]!).sort((a, b) => a.offset - b.offset);
    const encoder = gpu.device.createCommandEncoder();
    let at = 0;
    for (const { offset, size } of [...kept, { offset: layout.length, size: 0 }]) {
      if (offset > at) encoder.clearBuffer(buffer, at * 4, (offset - at) * 4);
      at = offset + size;
    }
    gpu.submit(encoder);
  }
}
