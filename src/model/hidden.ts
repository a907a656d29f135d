import { IGNORE, type Batch } from '../core/types.ts';
import { encodeInPieces, Program } from '../gpu/program.ts';
import type { Dims } from '../kernels/common.ts';
import { Activations } from './activations.ts';
import { PackedBatch } from './batch.ts';
import { forwardOps } from './forward.ts';
import { loraStack } from './lora-ops.ts';
import type { Model } from './model.ts';

/** Hidden states of a model, adapters included: the forward pass up to what the head takes, and nothing for a backward one. */
export class HiddenStates {
  readonly model: Model;
  readonly maxTokens: number;
  private readonly batch: PackedBatch;
  private readonly acts: Activations;
  private readonly forward: Program<Dims>;

  /** @param maxTokens of one call, all rows together */
  constructor(model: Model, maxTokens: number) {
    const { gpu, config } = model;
    this.model = model;
    this.maxTokens = maxTokens;
    const cap = { maxTokens, maxRows: maxTokens };
    this.batch = new PackedBatch(gpu, cap, config);
    this.acts = new Activations(gpu, config, cap, 'nothing');
    const lora = model.adapters.length > 0 && loraStack(this.acts, config, model.adapters, maxTokens);
    this.forward = new Program(
      gpu,
      'hidden states',
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

  /** After the final norm, of every token: [length, hidden] for each row. */
  async read(rows: readonly (readonly number[])[]): Promise<Float32Array[]> {
    const { gpu, config } = this.model;
    const batch: Batch = rows.map((ids) => ({ ids, labels: ids.map(() => IGNORE) }));
    const dims = this.batch.write(batch, 'all');
    if (dims.tokens === 0) return rows.map(() => new Float32Array());
    this.forward.prepare({ ...dims, scale: 0 });
    gpu.submit(encodeInPieces(gpu, gpu.device.createCommandEncoder(), [this.forward]));
    const width = config.hidden_size;
    const flat = await gpu.readFloats(this.acts.rowNorm.buffer, 0, dims.tokens * width);
    let at = 0;
    return rows.map((ids) => flat.subarray(at, (at += ids.length * width)));
  }

  destroy(): void {
    this.forward.destroy();
    this.acts.destroy();
    this.batch.destroy();
  }
}
