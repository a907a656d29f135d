import { ropeInvFreq, type LlamaConfig } from '../core/config.ts';
import type { Tensors } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { range } from '../kernels/common.ts';
import type { Binding } from '../gpu/program.ts';
import type { Adapter } from './lora.ts';
import { paramLayout, ParamSet, type WeightSource } from './params.ts';

/** A Llama on the GPU: its config, its weights and the table of its position encoding. */
export class Model {
  readonly gpu: Gpu;
  readonly config: LlamaConfig;
  readonly params: ParamSet;
  /** [positions, head_dim / 2] of (cos, sin) */
  readonly ropeTable: Binding;
  /** Low-rank changes on top of `params`, which are frozen then; the last one is what a trainer trains. */
  readonly adapters: readonly Adapter[];
  /** False for a view of another model's weights. */
  private readonly owner: boolean;

  private constructor(
    gpu: Gpu,
    config: LlamaConfig,
    weights: { params: ParamSet; ropeTable: Binding },
    view?: { adapters: readonly Adapter[] },
  ) {
    this.gpu = gpu;
    this.config = config;
    this.params = weights.params;
    this.ropeTable = weights.ropeTable;
    this.adapters = view?.adapters ?? [];
    this.owner = view === undefined;
  }

  /** @throws LabError 'corrupt-model' when a tensor is missing or has another size */
  static create(gpu: Gpu, config: LlamaConfig, tensors: Tensors): Model {
    const model = Model.blank(gpu, config);
    try {
      model.writeTensors(tensors);
    } catch (error) {
      model.destroy();
      throw error;
    }
    return model;
  }

  /**
   * A model whose weights come by slices, straight into its buffer on the GPU: for checkpoints that must not lie in memory
   * a second time. All or nothing: on any error every buffer is freed again.
   * @throws LabError 'out-of-memory' when this adapter cannot hold it, and what ParamSet.writeFrom throws
   */
  static async load(gpu: Gpu, config: LlamaConfig, source: WeightSource): Promise<Model> {
    const model = await gpu.allocate(() => Model.blank(gpu, config));
    try {
      model.params.checkBindings();
      await model.params.writeFrom(source);
    } catch (error) {
      model.destroy();
      throw error;
    }
    return model;
  }

  /** All weights zero. */
  private static blank(gpu: Gpu, config: LlamaConfig): Model {
    const numbers = config.max_position_embeddings * config.head_dim;
    // the buffer first: it refuses sizes that no adapter holds, before the table takes memory for them
    const buffer = gpu.buffer('rope', numbers * 4);
    gpu.device.queue.writeBuffer(buffer, 0, ropeTable(config));
    const params = new ParamSet(gpu, paramLayout(config), 'weights');
    return new Model(gpu, config, { params, ropeTable: range(buffer, 0, numbers) });
  }

  /**
   * The same weights with adapters on top: a view that costs nothing and stays valid as long as this model does. Whoever made
   * the adapters destroys them.
   */
  with(...adapters: readonly Adapter[]): Model {
    return new Model(this.gpu, this.config, this, { adapters: [...this.adapters, ...adapters] });
  }

  /** What a trainer changes: the last adapter, or without adapters the weights themselves. */
  get trained(): ParamSet {
    return this.adapters.at(-1)?.params ?? this.params;
  }

  async readTensors(): Promise<Tensors> {
    return this.params.tensors(await this.params.read());
  }

  writeTensors(tensors: Tensors): void {
    this.params.write(this.params.flatten(tensors));
  }

  /** Frees the weights; a view has none of its own. */
  destroy(): void {
    if (!this.owner) return;
    this.params.destroy();
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
