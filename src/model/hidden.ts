import { IGNORE, type Batch } from '../core/types.ts';
import { ForwardPass } from './forward-pass.ts';
import type { Model } from './model.ts';

/** Hidden states of a model, adapters included: what the head takes. */
export class HiddenStates {
  readonly model: Model;
  readonly maxTokens: number;
  private readonly pass: ForwardPass;

  /** @param maxTokens of one call, all rows together */
  constructor(model: Model, maxTokens: number) {
    this.model = model;
    this.maxTokens = maxTokens;
    this.pass = new ForwardPass(model, maxTokens);
  }

  /** After the final norm, of every token: [length, hidden] for each row. */
  async read(rows: readonly (readonly number[])[]): Promise<Float32Array[]> {
    if (rows.every((ids) => ids.length === 0)) return rows.map(() => new Float32Array());
    const batch: Batch = rows.map((ids) => ({ ids, labels: ids.map(() => IGNORE) }));
    const { tokens } = this.pass.run(batch, 'all');
    const { gpu, config } = this.model;
    const width = config.hidden_size;
    const flat = await gpu.readFloats(this.pass.acts.rowNorm.buffer, 0, tokens * width);
    let at = 0;
    return rows.map((ids) => flat.subarray(at, (at += ids.length * width)));
  }

  destroy(): void {
    this.pass.destroy();
  }
}
