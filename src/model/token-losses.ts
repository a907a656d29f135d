import { IGNORE, type Batch } from '../core/types.ts';
import { Program } from '../gpu/program.ts';
import type { Binding } from '../gpu/program.ts';
import type { Dims } from '../kernels/common.ts';
import { byRow } from './batch.ts';
import { ForwardPass } from './forward-pass.ts';
import { headFloats, LogitsReader, lossOps, makeHead } from './head.ts';
import type { Model } from './model.ts';

/**
 * How likely a model finds given tokens: the forward pass with its losses or logits, for models that nobody trains here, frozen
 * or not.
 */
export class TokenLosses {
  readonly model: Model;
  readonly cap: { maxTokens: number; maxLabels: number };
  private readonly pass: ForwardPass;
  private readonly loss: Binding;
  private readonly reader: LogitsReader;
  private readonly score: Program<Dims>;

  /** @param maxTokens of one call, all rows together */
  constructor(model: Model, maxTokens: number) {
    const { gpu, config } = model;
    this.model = model;
    this.cap = { maxTokens, maxLabels: maxTokens };
    this.pass = new ForwardPass(model, maxTokens);
    const { acts, batch } = this.pass;
    const head = makeHead(gpu, config, model.weights, acts, maxTokens);
    const floats = headFloats(head.piece, maxTokens);
    this.loss = acts.make('loss', floats.loss);
    this.reader = new LogitsReader(head);
    this.score = new Program(
      gpu,
      'score',
      lossOps(head, {
        labels: batch.labels,
        loss: this.loss,
        seen: acts.make('softmax rows', floats.seen),
      }),
    );
  }

  /** tokenLoss[r][i] = -log p(labels[i+1]) of row r, in nats; 0 where nothing counts. */
  async evaluate(batch: Batch): Promise<{ tokenLoss: Float32Array[] }> {
    if (!batch.some(({ labels }) => labels.some((id, i) => i > 0 && id !== IGNORE)))
      return { tokenLoss: batch.map(({ ids }) => new Float32Array(ids.length)) };
    const { rows } = this.pass.run(batch, 'labelled', this.score);
    const losses = await this.model.gpu.readFloats(this.loss.buffer, 0, rows);
    return { tokenLoss: byRow(batch, losses) };
  }

  /** Logits at every token: [length, vocab] per row. */
  async logits(batch: Batch): Promise<Float32Array[]> {
    const flat = await this.reader.read(this.pass.run(batch, 'all'));
    const { vocab_size } = this.model.config;
    let at = 0;
    return batch.map(({ ids }) => flat.slice(at, (at += ids.length * vocab_size)));
  }

  destroy(): void {
    this.reader.destroy();
    this.score.destroy();
    this.pass.destroy();
  }
}
