import { IGNORE, type Batch } from '../core/types.ts';
import { encodeInPieces, Program } from '../gpu/program.ts';
import type { Dims } from '../kernels/common.ts';
import { Activations } from './activations.ts';
import { PackedBatch } from './batch.ts';
import { forwardOps } from './forward.ts';
import { headFloats, LogitsReader, lossOps, makeHead } from './head.ts';
import { loraStack } from './lora-ops.ts';
import type { Model } from './model.ts';

/**
 * How likely a model finds given tokens: the forward pass with its losses or logits, for models that nobody trains here, frozen
 * or not.
 */
export class TokenLosses {
  readonly model: Model;
  readonly cap: { maxTokens: number; maxLabels: number };
  private readonly batch: PackedBatch;
  private readonly acts: Activations;
  private readonly loss;
  private readonly reader: LogitsReader;
  private readonly forward: Program<Dims>;
  private readonly score: Program<Dims>;

  /** @param maxTokens of one call, all rows together */
  constructor(model: Model, maxTokens: number) {
    const { gpu, config } = model;
    this.model = model;
    this.cap = { maxTokens, maxLabels: maxTokens };
    const cap = { maxTokens, maxRows: maxTokens };
    this.batch = new PackedBatch(gpu, cap, config);
    this.acts = new Activations(gpu, config, cap, 'nothing');
    const lora = model.adapters.length > 0 && loraStack(this.acts, config, model.adapters, maxTokens);
    const head = makeHead(gpu, config, model.weights, this.acts, maxTokens);
    const floats = headFloats(head.piece, maxTokens);
    this.loss = this.acts.make('loss', floats.loss);
    this.forward = new Program(
      gpu,
      'forward to score',
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
    this.reader = new LogitsReader(head);
    this.score = new Program(
      gpu,
      'score',
      lossOps(head, {
        labels: this.batch.labels,
        loss: this.loss,
        seen: this.acts.make('softmax rows', floats.seen),
      }),
    );
  }

  /** tokenLoss[r][i] = -log p(labels[i+1]) of row r, in nats; 0 where nothing counts. */
  async evaluate(batch: Batch): Promise<{ tokenLoss: Float32Array[] }> {
    const { gpu } = this.model;
    const dims = this.batch.write(batch, 'labelled');
    if (dims.rows === 0) return { tokenLoss: batch.map(({ ids }) => new Float32Array(ids.length)) };
    for (const program of [this.forward, this.score]) program.prepare({ ...dims, scale: 0 });
    gpu.submit(encodeInPieces(gpu, gpu.device.createCommandEncoder(), [this.forward, this.score]));
    const losses = await gpu.readFloats(this.loss.buffer, 0, dims.rows);
    let at = 0;
    const tokenLoss = batch.map(({ ids, labels }) => {
      const row = new Float32Array(ids.length);
      for (let i = 0; i + 1 < labels.length; i++) if (labels[i + 1] !== IGNORE) row[i] = losses[at++]!;
      return row;
    });
    return { tokenLoss };
  }

  /** Logits at every token: [length, vocab] per row. */
  async logits(batch: Batch): Promise<Float32Array[]> {
    const { gpu, config } = this.model;
    const dims = { ...this.batch.write(batch, 'all'), scale: 0 };
    this.forward.prepare(dims);
    gpu.submit(encodeInPieces(gpu, gpu.device.createCommandEncoder(), [this.forward]));
    const flat = await this.reader.read(dims);
    let at = 0;
    return batch.map(({ ids }) => flat.slice(at, (at += ids.length * config.vocab_size)));
  }

  destroy(): void {
    this.reader.destroy();
    this.forward.destroy();
    this.score.destroy();
    this.acts.destroy();
    this.batch.destroy();
  }
}
