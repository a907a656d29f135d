import type { LabError } from '../core/errors.ts';
import type { Batch } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { encodeInPieces, Program, type Binding, type Replayable } from '../gpu/program.ts';
import { ReadbackRing } from '../gpu/readback.ts';
import type { Dims } from '../kernels/common.ts';
import { lossSum } from '../kernels/loss.ts';
import { adamw, CHUNK, gradNorm, gradNormFinal, type StepDims } from '../kernels/optimizer.ts';
import { Activations } from '../model/activations.ts';
import { backwardOps, backwardScratch } from '../model/backward.ts';
import {
  byRow,
  countLabels,
  fitting,
  PackedBatch,
  scoresOf,
  type Capacity,
  type RowScore,
  type RowsWanted,
} from '../model/batch.ts';
import { forwardOps, type Network } from '../model/forward.ts';
import { headFloats, LogitsReader, lossOps, makeHead } from '../model/head.ts';
import { loraStack } from '../model/lora-ops.ts';
import type { Model } from '../model/model.ts';
import { ParamSet } from '../model/params.ts';
import { makeTaps, tapAt, type TapName, type Taps } from '../model/taps.ts';
import { emptyBatch, nonFinite } from './step-errors.ts';
import { PassCounter } from './tally.ts';
import type { OptimConfig, PassOptions, StepStats, TrainerCapacity, TrainerState } from './trainer-types.ts';

export type { OptimConfig, StepStats, TrainerCapacity, TrainerState } from './trainer-types.ts';

const STATE_BYTES = 32;
/** Steps in flight: enough to keep the GPU busy, few enough for a pause to act at once. */
const IN_FLIGHT = 2;

/**
 * Forward, backward and AdamW on one model: on all its weights, or on the last of its adapters. All buffers, pipelines and bind groups are made in the constructor; a step only
 * writes the batch and replays fixed command lists, and nothing is awaited but a free place in the readback ring.
 */
export class Trainer {
  readonly model: Model;
  readonly grads: ParamSet;
  readonly m: ParamSet;
  readonly v: ParamSet;
  readonly taps: Taps | undefined;
  onStats: ((stats: StepStats) => void) | undefined;
  /** What went through it, of whoever used it. */
  readonly passes = new PassCounter();
  /** On the GPU, without the model. */
  readonly bytes: number;

  private readonly gpu: Gpu;
  private readonly cap: Capacity;
  private readonly batch: PackedBatch;
  private readonly acts: Activations;
  private readonly loss: Binding;
  private readonly logitsReader: LogitsReader;
  /** See shaders/lib/train_state. */
  readonly state: Binding;
  readonly optim: OptimConfig;
  private readonly partial: GPUBuffer;
  private readonly ring: ReadbackRing;
  private readonly forward: Program<Dims>;
  private readonly score: Program<Dims>;
  private readonly backward: Program<Dims>;
  private readonly entropy: Program<Dims> | undefined;
  private readonly norm: Program<StepDims>;
  private readonly update: Program<StepDims>;
  private steps = 0;
  /** Counts restores: what steps from before one report no longer concerns anybody. */
  private epoch = 0;
  private failure: LabError | undefined;

  /** @throws LabError 'bad-input' when the weights are frozen and there is no adapter */
  constructor(model: Model, optim: OptimConfig, capacity: TrainerCapacity) {
    const { gpu, config, trained } = model;
    this.model = model;
    this.gpu = gpu;
    const before = gpu.stats.bytes;
    const cap = { maxTokens: capacity.maxTokens, maxRows: capacity.maxLabels };
    this.cap = cap;
    this.batch = new PackedBatch(gpu, cap, config);
    this.acts = new Activations(gpu, config, cap, capacity.checkpoint ? 'inputs' : 'all');
    this.taps = capacity.taps
      ? makeTaps(this.acts, config.num_hidden_layers, cap.maxTokens * config.hidden_size, capacity.taps)
      : undefined;
    const { layout } = trained;
    this.grads = new ParamSet(gpu, layout, 'gradients');
    this.m = new ParamSet(gpu, layout, 'first moments');
    this.v = new ParamSet(gpu, layout, 'second moments');
    this.optim = optim;
    const state = { buffer: gpu.buffer('train state', STATE_BYTES) };
    this.state = state;
    this.ring = new ReadbackRing(gpu, STATE_BYTES, IN_FLIGHT);

    const net: Network = {
      gpu,
      config,
      params: model.weights,
      acts: this.acts,
      input: this.batch,
      ropeTable: model.ropeTable,
      ...(this.taps ? { taps: this.taps } : {}),
      ...(model.adapters.length > 0 && {
        lora: loraStack(this.acts, config, model.adapters, cap.maxTokens),
      }),
    };
    const head = makeHead(gpu, config, model.weights, this.acts, cap.maxRows, capacity.logits);
    const floats = headFloats(head.piece, cap.maxRows);
    this.loss = this.acts.make('loss', floats.loss);
    const loss = {
      labels: this.batch.labels,
      weights: this.batch.weights,
      loss: this.loss,
      seen: this.acts.make('softmax rows', floats.seen),
    };
    const sum = lossSum({ loss: this.loss, weights: this.batch.weights, state });
    this.forward = new Program(gpu, 'forward', forwardOps(net));
    this.score = new Program(gpu, 'score', [...lossOps(head, loss), sum]);
    const scratch = backwardScratch(net, cap);
    const backward = (objective?: 'negative entropy') =>
      new Program(gpu, objective ?? 'backward', [
        ...backwardOps(
          net,
          head,
          { ...loss, ...(objective && { objective }) },
          scratch,
          this.batch,
          this.grads,
        ),
        sum,
      ]);
    this.backward = backward();
    this.entropy = capacity.entropy ? backward('negative entropy') : undefined;
    this.logitsReader = new LogitsReader(head);

    const chunks = Math.ceil(layout.length / CHUNK);
    this.partial = gpu.buffer('norm partial', chunks * 16);
    const partial = { buffer: this.partial };
    const pieces = trained.pieces();
    this.norm = new Program(gpu, 'gradient norm', [
      ...pieces.map((p) => gradNorm({ grad: this.grads.piece(p), partial, n: p.n, base: p.base })),
      gradNormFinal({ partial, state, chunks, clip: optim.clip }),
    ]);
    this.update = new Program(
      gpu,
      'update',
      pieces.map((p) =>
        adamw({
          state,
          grad: this.grads.piece(p),
          p: trained.piece(p),
          m: this.m.piece(p),
          v: this.v.piece(p),
          n: p.n,
          decayed: Math.max(0, layout.decayedLength - p.base),
          betas: optim.betas,
          eps: optim.eps,
          weightDecay: optim.weight_decay,
        }),
      ),
    );
    this.bytes = gpu.stats.bytes - before;
  }

  /** Optimizer steps made. */
  get stepCount(): number {
    return this.steps;
  }

  /** GPU dispatches of a step with one micro-batch. */
  get dispatchesPerStep(): number {
    return this.forward.length + this.backward.length + this.norm.length + this.update.length;
  }

  /** What a step replays, in this order; prepared for the sizes of the last step. For profiles. */
  get programs(): readonly Replayable[] {
    return [this.forward, this.backward, this.norm, this.update];
  }

  /**
   * One optimizer step; the micro-batches' gradients are those of one mean over all their labels.
   * Resolves when the commands are with the GPU (at most two steps ahead); figures come through `onStats`.
   * @throws LabError 'non-finite' when an earlier step has stopped the run, 'bad-input' on an empty or oversized batch
   */
  async step(micro: readonly Batch[], lr: number): Promise<void> {
    await this.ready();
    const { tokens, labels } = this.accumulate(micro);
    this.applyGradients(lr, tokens, labels);
  }

  /**
   * The update from what stands in `grads` now: norm, clipping, AdamW. For recipes that combine gradients themselves; call
   * `ready` before.
   * @param loss what is reported; absent: the weighted mean loss of the batch that was accumulated last
   * @param updates prepared programs that stand in the place of AdamW on everything, see LayerUpdates
   */
  applyGradients(lr: number, tokens = 0, labels = 0, loss?: number, updates?: readonly Replayable[]): void {
    const step = ++this.steps;
    const { epoch } = this;
    this.norm.prepare({ step, lr });
    if (!updates) this.update.prepare({ step, lr });
    const encoder = this.gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    this.norm.encode(pass);
    for (const update of updates ?? [this.update]) update.encode(pass);
    pass.end();
    const submitted = this.ring.record(encoder, this.state.buffer, (bytes) =>
      this.report({ epoch, step, lr, tokens, labels, ...(loss !== undefined && { loss }) }, bytes),
    );
    this.gpu.submit(encoder);
    submitted();
  }

  /** Waits for a place among the steps in flight. @throws LabError 'non-finite' when an earlier step has stopped the run */
  async ready(): Promise<void> {
    await this.ring.ready();
    this.throwIfStopped();
  }

  /** Waits until every step is done and reported. @throws LabError 'non-finite' naming step and tensor */
  async flush(): Promise<void> {
    await this.ring.drain();
    this.throwIfStopped();
  }

  /** Fills `grads` with the gradient of the mean loss over all labels; no update. @throws LabError 'non-finite' */
  async gradient(micro: readonly Batch[], o: PassOptions = {}): Promise<{ loss: number; gradNorm: number }> {
    await this.flush();
    this.accumulate(micro, o);
    this.norm.run({ step: this.steps, lr: 0 });
    const view = new DataView(await this.gpu.read(this.state.buffer));
    if (view.getUint32(16, true) !== 0) this.failure ??= nonFinite(view, this.model.trained);
    this.throwIfStopped();
    return { loss: view.getFloat32(0, true), gradNorm: view.getFloat32(4, true) };
  }

  /**
   * Loss without gradient. tokenLoss[r][i] = -log p(labels[i+1]) of row r, 0 where nothing counts.
   */
  async evaluate(batch: Batch): Promise<{ loss: number; tokenLoss: Float32Array[] }> {
    const count = countLabels(batch);
    if (count === 0) throw emptyBatch();
    const { rows } = this.runForward(batch, 'labelled', 1 / count, [this.score]);
    const losses = await this.gpu.readFloats(this.loss.buffer, 0, rows);
    return { loss: losses.reduce((sum, x) => sum + x, 0) / count, tokenLoss: byRow(batch, losses) };
  }

  /** Log-probability of every row; a batch that is too long for one pass takes several. @throws LabError 'bad-input' on a row without labels */
  async scores(batch: Batch): Promise<RowScore[]> {
    if (batch.length === 0 || batch.some((row) => countLabels([row]) === 0)) throw emptyBatch();
    const scores: RowScore[] = [];
    for (const part of fitting(batch, this.cap))
      scores.push(...scoresOf(part, (await this.evaluate(part)).tokenLoss));
    return scores;
  }

  /**
   * Leaves in `grads` the gradient of a loss of the rows' log-probabilities. `slopes` is given their scores and answers with
   * d loss / d logp of every row. Where the batch is one pass, its activations serve both: a forward and a backward pass in all.
   */
  async accumulateFrom(batch: Batch, slopes: (scores: RowScore[]) => readonly number[]): Promise<void> {
    const by = slopes(await this.scores(batch));
    const weighted = batch.map(({ ids, labels }, r) => ({ ids, labels, weight: -by[r]! }));
    const parts = fitting(weighted, this.cap);
    parts.forEach((part, i) =>
      this.runForward(part, 'labelled', 1, [this.backward], i === 0, parts.length === 1),
    );
  }

  /** Logits at every token: [length, vocab] per row. Needs maxLabels of at least the batch's tokens. */
  async logits(batch: Batch): Promise<Float32Array[]> {
    const flat = await this.logitsReader.read(this.runForward(batch, 'all', 0));
    const { vocab_size } = this.model.config;
    let at = 0;
    return batch.map(({ ids }) => flat.slice(at, (at += ids.length * vocab_size)));
  }

  /** Values at a tap site after the last pass, [tokens, hidden] of the given number of tokens. */
  readTap(site: TapName, what: 'out' | 'grad', layer: number, tokens: number): Promise<Float32Array> {
    const { buffer } = tapAt(this.taps, site, what, layer);
    return this.gpu.readFloats(buffer, 0, tokens * this.model.config.hidden_size);
  }

  /** A batch as the passes that it takes, and the factor of the mean loss over all of its labels. */
  split(batch: Batch): { parts: Batch[]; scale: number } {
    return { parts: fitting(batch, this.cap), scale: 1 / countLabels(batch) };
  }

  /** Adds nothing at a tap site from now on. */
  clearTap(site: TapName, what: 'pert' | 'inject'): void {
    const encoder = this.gpu.device.createCommandEncoder();
    for (const { buffer } of this.taps?.[site][what] ?? []) encoder.clearBuffer(buffer);
    this.gpu.submit(encoder);
  }

  /** Sets what is added at a tap site from now on; undefined: nothing. */
  writeTap(site: TapName, what: 'pert' | 'inject', layer: number, values?: Float32Array): void {
    const { buffer } = tapAt(this.taps, site, what, layer);
    const all = new Float32Array(buffer.size / 4);
    if (values) all.set(values);
    this.gpu.device.queue.writeBuffer(buffer, 0, all);
  }

  /** Moments and step count. */
  async optimizerState(): Promise<TrainerState> {
    await this.flush();
    return { step: this.steps, m: await this.m.read(), v: await this.v.read() };
  }

  /** Goes on from a saved state; lifts a stop. The weights are the model's business. */
  restore(state: TrainerState): void {
    this.m.write(state.m);
    this.v.write(state.v);
    this.steps = state.step;
    this.epoch++;
    this.failure = undefined;
    this.gpu.device.queue.writeBuffer(this.state.buffer, 0, new Uint8Array(STATE_BYTES));
  }

  destroy(): void {
    for (const program of [this.forward, this.score, this.backward, this.entropy, this.norm, this.update])
      program?.destroy();
    this.logitsReader.destroy();
    for (const set of [this.grads, this.m, this.v]) set.destroy();
    this.acts.destroy();
    this.batch.destroy();
    this.ring.destroy();
    this.gpu.free(this.state.buffer);
    this.gpu.free(this.partial);
  }

  /** The forward pass alone: afterwards the tap sites hold its values. Nothing is waited for. */
  passForward(batch: Batch): void {
    this.runForward(batch, 'labelled', 0);
  }

  /**
   * Leaves in `grads` the gradient of the weighted mean loss over all labels of the micro-batches, or what the options say. For
   * recipes that go on with it themselves; nothing is waited for.
   */
  accumulate(micro: readonly Batch[], o: PassOptions = {}): { tokens: number; labels: number } {
    const labels = micro.reduce((sum, batch) => sum + countLabels(batch), 0);
    if (labels === 0) throw emptyBatch();
    const parts = micro.flatMap((batch) => fitting(batch, this.cap));
    const tokens = parts.flat().reduce((sum, { ids }) => sum + ids.length, 0);
    const entropy = o.objective === 'negative entropy';
    const last = entropy ? this.entropy : this.backward;
    if (!last) throw new Error('this trainer was made without negative entropy');
    const scale = o.scale ?? 1 / (entropy ? tokens : labels);
    parts.forEach((rows, i) => {
      o.before?.(rows, i);
      const then = o.between ? [o.between, last] : [last];
      this.runForward(rows, entropy ? 'all' : 'labelled', scale, then, i === 0);
    });
    return { tokens, labels };
  }

  private runForward(
    batch: Batch,
    wanted: RowsWanted,
    scale: number,
    then: readonly Program<Dims>[] = [],
    first = true,
    /** The activations of this very batch are there. */
    again = false,
  ): Dims {
    const dims = { ...this.batch.write(batch, wanted), scale };
    const last = then.at(-1);
    const backward = last !== undefined && last !== this.score;
    this.passes.count(batch, { forward: !again, backward });
    const programs = [...(again ? [] : [this.forward]), ...then];
    for (const program of [this.forward, ...then]) program.prepare(dims);
    const encoder = this.gpu.device.createCommandEncoder();
    if (first && last) {
      encoder.clearBuffer(this.state.buffer, 0, 4); // the loss; what stopped a run stays
      if (backward) encoder.clearBuffer(this.grads.buffer);
    }
    this.gpu.submit(encodeInPieces(this.gpu, encoder, programs));
    return dims;
  }

  private report(
    {
      epoch,
      ...about
    }: { epoch: number } & Omit<StepStats, 'loss' | 'gradNorm' | 'nonFinite'> & { loss?: number },
    bytes: ArrayBuffer,
  ): void {
    if (epoch !== this.epoch) return;
    const view = new DataView(bytes);
    if (view.getUint32(16, true) !== 0) {
      this.failure ??= nonFinite(view, this.model.trained);
      return;
    }
    this.onStats?.({
      loss: view.getFloat32(0, true),
      ...about,
      gradNorm: view.getFloat32(4, true),
      nonFinite: view.getUint32(12, true),
    });
  }

  private throwIfStopped(): void {
    if (this.failure) throw this.failure;
  }
}
