import type { Batch } from '../core/types.ts';
import { encodeInPieces, Program } from '../gpu/program.ts';
import type { Dims } from '../kernels/common.ts';
import { Activations } from './activations.ts';
import { PackedBatch, type RowsWanted } from './batch.ts';
import { forwardOps } from './forward.ts';
import { loraStack } from './lora-ops.ts';
import type { Model } from './model.ts';

/** The forward pass of a model, adapters included, up to what the head takes, with nothing kept for a backward one. */
export class ForwardPass {
  readonly model: Model;
  readonly acts: Activations;
  readonly batch: PackedBatch;
  private readonly forward: Program<Dims>;

  /** @param maxTokens of one call, all rows together */
  constructor(model: Model, maxTokens: number) {
    const { gpu, config } = model;
    this.model = model;
    const cap = { maxTokens, maxRows: maxTokens };
    this.batch = new PackedBatch(gpu, cap, config);
    this.acts = new Activations(gpu, config, cap, 'nothing');
    const lora = model.adapters.length > 0 && loraStack(this.acts, config, model.adapters, maxTokens);
    this.forward = new Program(
      gpu,
      'forward pass',
      forwardOps({
        gpu,
        config,
        params: model.weights,
        acts: this.acts,
        input: this.batch,
        ropeTable: model.ropeTable,
        ...(lora && { lora }),
      }),
    );
  }

  /** @param then what follows in the same submit */
  run(batch: Batch, wanted: RowsWanted, then?: Program<Dims>): Dims {
    const { gpu } = this.model;
    const dims = { ...this.batch.write(batch, wanted), scale: 0 };
    const programs = then ? [this.forward, then] : [this.forward];
    for (const program of programs) program.prepare(dims);
    gpu.submit(encodeInPieces(gpu, gpu.device.createCommandEncoder(), programs));
    return dims;
  }

  destroy(): void {
    this.forward.destroy();
    this.acts.destroy();
    this.batch.destroy();
  }
}
