import { ropeInvFreq, type LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import type { Precision, Tensors } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { range } from '../kernels/common.ts';
import type { Binding } from '../gpu/program.ts';
import { FrozenWeights } from './frozen.ts';
import type { Adapter } from './lora.ts';
import { paramLayout, ParamSet } from './params.ts';
import type { WeightSet, WeightSource } from './weights.ts';

/** Values that are read back at once. */
const READ_VALUES = 4 * 2 ** 20;

/** A Llama on the GPU: its config, its weights and the table of its position encoding. */
export class Model {
  readonly gpu: Gpu;
  readonly config: LlamaConfig;
  /** What the kernels read. */
  readonly weights: WeightSet;
  /** [positions, head_dim / 2] of (cos, sin) */
  readonly ropeTable: Binding;
  /** Low-rank changes on top of `weights`, which are frozen then; the last one is what a trainer trains. */
  readonly adapters: readonly Adapter[];
  /** False for a view of another model's weights. */
  private readonly owner: boolean;

  private constructor(
    gpu: Gpu,
    config: LlamaConfig,
    shared: { weights: WeightSet; ropeTable: Binding },
    view?: { adapters: readonly Adapter[] },
  ) {
    this.gpu = gpu;
    this.config = config;
    this.weights = shared.weights;
    this.ropeTable = shared.ropeTable;
    this.adapters = view?.adapters ?? [];
    this.owner = view === undefined;
  }

  /**
   * @param precision 16 bits: the matrices are rounded, and only adapters can be trained on them
   * @throws LabError 'corrupt-model' when a tensor is missing or has another size, 'bad-input' when it does not fit the type
   */
  static create(gpu: Gpu, config: LlamaConfig, tensors: Tensors, precision: Precision = 'f32'): Model {
    const model = Model.blank(gpu, config, precision);
    try {
      if (model.weights instanceof FrozenWeights) model.weights.writeTensors(tensors);
      else model.writeTensors(tensors);
    } catch (error) {
      model.destroy();
      throw error;
    }
    return model;
  }

  /**
   * A model whose weights come by slices, straight into its buffers on the GPU: for checkpoints that must not lie in memory
   * a second time. All or nothing: on any error every buffer is freed again.
   * @param precision as in `create`; matrices that the source stores in this type come as they are
   * @throws LabError 'out-of-memory' when this adapter cannot hold it, and what WeightSet.writeFrom throws
   */
  static async load(
    gpu: Gpu,
    config: LlamaConfig,
    source: WeightSource,
    precision: Precision = 'f32',
  ): Promise<Model> {
    const model = await gpu.allocate(() => Model.blank(gpu, config, precision));
    try {
      model.weights.checkBindings();
      await model.weights.writeFrom(source);
    } catch (error) {
      model.destroy();
      throw error;
    }
    return model;
  }

  /** All weights zero. */
  private static blank(gpu: Gpu, config: LlamaConfig, precision: Precision): Model {
    const numbers = config.max_position_embeddings * config.head_dim;
    // the buffer first: it refuses sizes that no adapter holds, before the table takes memory for them
    const buffer = gpu.buffer('rope', numbers * 4);
    gpu.device.queue.writeBuffer(buffer, 0, ropeTable(config));
    const weights =
      precision === 'f32'
        ? new ParamSet(gpu, paramLayout(config), 'weights')
        : new FrozenWeights(gpu, config, precision);
    return new Model(gpu, config, { weights, ropeTable: range(buffer, 0, numbers) });
  }

  /**
   * The same weights with adapters on top: a view that costs nothing and stays valid as long as this model does. Whoever made
   * the adapters destroys them.
   */
  with(...adapters: readonly Adapter[]): Model {
    return new Model(this.gpu, this.config, this, { adapters: [...this.adapters, ...adapters] });
  }

  /** The same weights and adapters, computed with the kernels of another view of the device; a view as that of `with`. */
  on(gpu: Gpu): Model {
    return new Model(gpu, this.config, this, { adapters: this.adapters });
  }

  /**
   * The weights as a set that can be changed.
   * @throws LabError 'bad-input' when they are stored in 16 bits
   */
  get params(): ParamSet {
    if (this.weights instanceof ParamSet) return this.weights;
    throw new LabError(
      'bad-input',
      `The weights of this model are frozen: they are stored in ${this.weights.precision}.`,
      {
        safe: 'Nothing was changed.',
        next: 'Train an adapter (LoRA) on them, or load the model in f32.',
      },
    );
  }

  /**
   * What a trainer changes: the last adapter, or without adapters the weights themselves.
   * @throws LabError as `params`
   */
  get trained(): ParamSet {
    return this.adapters.at(-1)?.params ?? this.params;
  }

  /** On the GPU: weights, position encoding and adapters, whoever owns them. */
  get bytes(): number {
    const { weights, ropeTable, adapters } = this;
    return adapters.reduce((sum, { params }) => sum + params.bytes, weights.bytes + ropeTable.buffer.size);
  }

  /** A tensor of the weights, slice after slice: for files that are written without a copy of the model in memory. */
  async *readValues(name: string): AsyncGenerator<{ at: number; values: Float32Array }> {
    const size = this.weights.layout.byName.get(name)!.size;
    for (let at = 0; at < size; at += READ_VALUES)
      yield { at, values: await this.weights.readValues(name, at, Math.min(READ_VALUES, size - at)) };
  }

  async readTensors(): Promise<Tensors> {
    const { weights } = this;
    if (weights instanceof ParamSet) return weights.tensors(await weights.read());
    const tensors: Tensors = new Map();
    for (const { name, shape, size } of weights.layout.entries) {
      const data = new Float32Array(size);
      for await (const { at, values } of this.readValues(name)) data.set(values, at);
      tensors.set(name, { shape: [...shape], data });
    }
    return tensors;
  }

  /** @throws LabError as `params`, and 'corrupt-model' when a tensor is missing or has another size */
  writeTensors(tensors: Tensors): void {
    this.params.write(this.params.flatten(tensors));
  }

  /** Frees the weights; a view has none of its own. */
  destroy(): void {
    if (!this.owner) return;
    this.weights.destroy();
    this.gpu.free(this.ropeTable.buffer);
  }
}

/** Cosine and sine for every position, computed in float64: angles in float32 cost 1e-5 in a long row. */
function ropeTable(config: LlamaConfig): Float32Array<ArrayBuffer> {
  const freq = ropeInvFreq(config);
  const table = new Float32Array(config.max_position_embeddings * freq.length * 2);
  for (let pos = 0, at = 0; pos < config.max_position_embeddings; pos++) {
    for (const f of freq) {
      table[at++] = Math.cos(pos * f);
      table[at++] = Math.sin(pos * f);
    }
  }
  return table;
}
