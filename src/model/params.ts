import { tensorShapes, type LlamaConfig } from '../core/config.ts';
import type { Tensors } from '../core/types.ts';
import { LabError } from '../core/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Program, type Binding, type Op } from '../gpu/program.ts';
import { spansOf, type Span } from '../kernels/common.ts';
import { CHUNK, combineSets, dot } from '../kernels/optimizer.ts';
import type { WeightSet, WeightSource } from './weights.ts';

/** One tensor inside a parameter set; offset and size in floats. */
export interface ParamEntry {
  name: string;
  shape: readonly number[];
  offset: number;
  size: number;
  decayed: boolean;
}

/**
 * Where each tensor stands in the one contiguous buffer. Matrices come first (they decay), norms last. Tensors that one
 * kernel reads as a single matrix (q, k, v; gate, up) adjoin; every such group starts at a multiple of 64 floats, the
 * alignment of a binding. The gaps hold zeros and stay zero.
 */
export interface ParamLayout {
  entries: readonly ParamEntry[];
  byName: ReadonlyMap<string, ParamEntry>;
  /** Floats in the set, gaps included. */
  length: number;
  /** Elements before this one decay. */
  decayedLength: number;
  /** Floats from one norm to the next. */
  normStride: number;
}

/** Floats: the alignment of a binding. */
export const ALIGN = 64;

/** Rows of a matrix of this width that always end at a binding's boundary, also where two numbers share a word. */
export function rowStep(width: number): number {
  let step = 2 * ALIGN;
  for (let rest = width; rest % 2 === 0 && step > 1; rest /= 2) step /= 2;
  return step;
}

/** Rows of a matrix of this width that one binding holds, a multiple of `rowStep`; 0 where not even one step fits. */
export function rowsPerBinding(width: number, bindingBytes: number): number {
  const step = rowStep(width);
  return Math.floor(bindingBytes / 4 / width / step) * step;
}

/** Names of a Llama's tensors: matrices, those that adjoin together, and norms. */
export function tensorGroups(config: LlamaConfig): { matrices: string[][]; norms: string[] } {
  const groups: string[][] = [['model.embed_tokens.weight']];
  const norms: string[] = [];
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const at = `model.layers.${l}.`;
    groups.push(
      ['q_proj', 'k_proj', 'v_proj'].map((p) => `${at}self_attn.${p}.weight`),
      [`${at}self_attn.o_proj.weight`],
      ['gate_proj', 'up_proj'].map((p) => `${at}mlp.${p}.weight`),
      [`${at}mlp.down_proj.weight`],
    );
    norms.push(`${at}input_layernorm.weight`, `${at}post_attention_layernorm.weight`);
  }
  if (!config.tie_word_embeddings) groups.push(['lm_head.weight']);
  norms.push('model.norm.weight');
  return { matrices: groups, norms };
}

/** Layout of a Llama's tensors, or of some of them. */
export function paramLayout(config: LlamaConfig, { matrices, norms } = tensorGroups(config)): ParamLayout {
  const shapes = tensorShapes(config);
  const entries: ParamEntry[] = [];
  let offset = 0;
  const place = (names: string[], decayed: boolean) => {
    offset = Math.ceil(offset / ALIGN) * ALIGN;
    for (const name of names) {
      const shape = shapes.get(name);
      if (!shape) throw new Error(`the config has no tensor ${name}`);
      const size = shape.reduce((a, b) => a * b, 1);
      entries.push({ name, shape, offset, size, decayed });
      offset += size;
    }
  };
  for (const names of matrices) place(names, true);
  const decayedLength = Math.ceil(offset / ALIGN) * ALIGN;
  for (const name of norms) place([name], false);
  return {
    entries,
    byName: new Map(entries.map((e) => [e.name, e])),
    length: Math.ceil(offset / ALIGN) * ALIGN,
    decayedLength,
    normStride: Math.ceil(config.hidden_size / ALIGN) * ALIGN,
  };
}

/**
 * Weights, gradients or moments of a whole model in one GPU buffer. Operations over the set are dispatches over pieces that
 * fit the adapter's binding limit.
 */
export class ParamSet implements WeightSet {
  readonly precision = 'f32';
  readonly gpu: Gpu;
  readonly layout: ParamLayout;
  readonly buffer: GPUBuffer;
  private scratch: GPUBuffer | undefined;
  // compiled operations with another set, by operation; rebuilt when the partner changes
  private readonly combined = new Map<GPUBuffer, Program<{ a: number; b: number }>>();
  private readonly dotted = new Map<GPUBuffer, Program<object>>();

  constructor(gpu: Gpu, layout: ParamLayout, label: string) {
    this.gpu = gpu;
    this.layout = layout;
    this.buffer = gpu.buffer(label, layout.length * 4);
  }

  get bytes(): number {
    return this.buffer.size;
  }

  /** The range of the tensors from `first` to `last` (which adjoin), for a kernel. */
  binding(first: string, last = first): Binding {
    const a = this.entry(first);
    const b = this.entry(last);
    return {
      buffer: this.buffer,
      offset: a.offset * 4,
      size: Math.ceil((b.offset + b.size - a.offset) / 4) * 16,
    };
  }

  /** Rows of the matrix that the tensors from `first` to `last` (which adjoin) make, for a kernel. */
  rows(first: string, last: string | undefined, span: Span): Binding {
    const { offset, shape } = this.entry(first);
    const width = shape[1]!;
    const whole = this.binding(first, last);
    if ((span.first + span.count) * width * 4 > whole.size!) throw new Error(`${first} has no such rows`);
    return {
      buffer: this.buffer,
      offset: (offset + span.first * width) * 4,
      size: Math.ceil((span.count * width) / 4) * 16,
    };
  }

  /**
   * Rows of that matrix in spans that one binding holds each: one span where all of it fits.
   * @throws LabError 'out-of-memory' where a binding cannot hold even a few rows
   */
  spans(first: string, last = first): Span[] {
    const entry = this.entry(first);
    const width = entry.shape[1]!;
    const rows = (this.entry(last).offset + this.entry(last).size - entry.offset) / width;
    const most = this.gpu.info.limits.maxStorageBufferBindingSize;
    if (rows * width * 4 <= most) return spansOf(rows, rows);
    const fit = rowsPerBinding(width, most);
    if (fit === 0) throw rowsTooLong(entry, most);
    return spansOf(rows, fit);
  }

  /** The range that holds `count` norms of the layers from number `first` on, `normStride` apart. */
  norms(first: number, count: number): Binding {
    const { decayedLength, normStride } = this.layout;
    return {
      buffer: this.buffer,
      offset: (decayedLength + first * normStride) * 4,
      size: count * normStride * 4,
    };
  }

  entry(name: string): ParamEntry {
    const entry = this.layout.byName.get(name);
    if (!entry) throw new Error(`no tensor ${name} in this model`);
    return entry;
  }

  /** Pieces [base, n] in floats that fit one binding and start at a multiple of CHUNK. */
  pieces(): { base: number; n: number }[] {
    const most = Math.floor(this.gpu.info.limits.maxStorageBufferBindingSize / 4 / CHUNK) * CHUNK;
    const out: { base: number; n: number }[] = [];
    for (let base = 0; base < this.layout.length; base += most) {
      out.push({ base, n: Math.min(most, this.layout.length - base) });
    }
    return out;
  }

  /** The binding of a piece. */
  piece(p: { base: number; n: number }): Binding {
    return { buffer: this.buffer, offset: p.base * 4, size: p.n * 4 };
  }

  /** A new set with the same values. */
  clone(label = 'copy'): ParamSet {
    const copy = new ParamSet(this.gpu, this.layout, label);
    copy.copyFrom(this);
    return copy;
  }

  /** this = other */
  copyFrom(other: ParamSet): void {
    this.check(other);
    const encoder = this.gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(other.buffer, 0, this.buffer, 0, this.layout.length * 4);
    this.gpu.submit(encoder);
  }

  /** this = 0 */
  clear(): void {
    const encoder = this.gpu.device.createCommandEncoder();
    encoder.clearBuffer(this.buffer);
    this.gpu.submit(encoder);
  }

  /** this += alpha * other */
  axpy(alpha: number, other: ParamSet): void {
    this.combine(alpha, other, 1);
  }

  /** this = (1 - t) * a + t * b */
  lerp(a: ParamSet, b: ParamSet, t: number): void {
    if (b === this) throw new Error('lerp would overwrite its second end before reading it');
    this.copyFrom(a);
    this.combine(t, b, 1 - t);
  }

  /** Sum of products with another set (or with itself). Partial sums in f32, their sum in float64. */
  async dot(other: ParamSet = this): Promise<number> {
    this.check(other);
    const chunks = Math.ceil(this.layout.length / CHUNK);
    this.scratch ??= this.gpu.buffer('partial sums', chunks * 4 + 256 * this.pieces().length);
    let program = this.dotted.get(other.buffer);
    const starts: number[] = [];
    let at = 0;
    for (const p of this.pieces()) {
      starts.push(at);
      at += Math.ceil(Math.ceil(p.n / CHUNK) / 64) * 64;
    }
    if (!program) {
      const ops = this.pieces().map((p, i) =>
        dot({
          x: this.piece(p),
          ...(other === this ? {} : { y: other.piece(p) }),
          partial: {
            buffer: this.scratch!,
            offset: starts[i]! * 4,
            size: Math.ceil(Math.ceil(p.n / CHUNK) / 4) * 16,
          },
          n: p.n,
        }),
      );
      program = new Program<object>(this.gpu, 'dot', ops as Op<object>[]);
      this.dotted.set(other.buffer, program);
    }
    program.run({});
    const partial = await this.gpu.readFloats(this.scratch);
    let sum = 0;
    this.pieces().forEach((p, i) => {
      for (let k = 0; k < Math.ceil(p.n / CHUNK); k++) sum += partial[starts[i]! + k]!;
    });
    return sum;
  }

  /** L2 norm over all tensors. */
  async norm(): Promise<number> {
    return Math.sqrt(await this.dot());
  }

  /** All values, gaps included. */
  read(): Promise<Float32Array> {
    return this.gpu.readFloats(this.buffer, 0, this.layout.length);
  }

  readValues(name: string, at: number, count: number): Promise<Float32Array> {
    return this.gpu.readFloats(this.buffer, this.entry(name).offset * 4 + at * 4, count);
  }

  /** @throws LabError 'bad-input' when the length is another model's */
  write(values: Float32Array): void {
    if (values.length !== this.layout.length) {
      throw new LabError(
        'bad-input',
        `These weights have ${values.length} numbers; the model has ${this.layout.length}.`,
        {
          safe: 'The model in memory is unchanged.',
          next: 'Open a checkpoint of the same architecture.',
        },
      );
    }
    this.gpu.device.queue.writeBuffer(this.buffer, 0, values as Float32Array<ArrayBuffer>);
  }

  /**
   * Writes every tensor as its slices come; no more of them is in memory than the slice at hand.
   * @throws LabError 'corrupt-model' when a tensor has another size, and what `source` throws; values written until then stay
   */
  async writeFrom(source: WeightSource): Promise<void> {
    const { queue } = this.gpu.device;
    for (const e of this.layout.entries) {
      let done = 0;
      for await (const { at, values } of source.values(e.name)) {
        if (at !== done || at + values.length > e.size) throw misfit(e, at + values.length);
        queue.writeBuffer(this.buffer, (e.offset + at) * 4, values as Float32Array<ArrayBuffer>);
        done += values.length;
        // the driver keeps its own copy of what was written until it has been carried out
        if (values.byteLength >= 2 ** 20) await queue.onSubmittedWorkDone();
      }
      if (done !== e.size) throw misfit(e, done);
    }
  }

  /**
   * Kernels read a matrix in spans of its rows.
   * @throws LabError 'out-of-memory' naming the first tensor whose rows are too long for one binding of this adapter
   */
  checkBindings(): void {
    const most = this.gpu.info.limits.maxStorageBufferBindingSize;
    const long = this.layout.entries.find(
      ({ shape, size }) => size * 4 > most && rowsPerBinding(shape[1] ?? size, most) === 0,
    );
    if (long) throw rowsTooLong(long, most);
  }

  /** Splits values as `read` gives them into named tensors. */
  tensors(flat: Float32Array): Tensors {
    return new Map(
      this.layout.entries.map((e) => [
        e.name,
        { shape: [...e.shape], data: flat.slice(e.offset, e.offset + e.size) },
      ]),
    );
  }

  /** Joins named tensors into values for `write`. @throws Error naming a tensor that is missing or of another size */
  flatten(tensors: Tensors): Float32Array {
    const flat = new Float32Array(this.layout.length);
    for (const e of this.layout.entries) {
      const tensor = tensors.get(e.name);
      if (!tensor || tensor.data.length !== e.size) throw misfit(e, tensor?.data.length);
      flat.set(tensor.data, e.offset);
    }
    return flat;
  }

  destroy(): void {
    for (const program of [...this.combined.values(), ...this.dotted.values()]) program.destroy();
    this.combined.clear();
    this.dotted.clear();
    if (this.scratch) this.gpu.free(this.scratch);
    this.gpu.free(this.buffer);
  }

  private combine(a: number, other: ParamSet, b: number): void {
    this.check(other);
    if (other === this) throw new Error('a parameter set cannot be combined with itself');
    let program = this.combined.get(other.buffer);
    if (!program) {
      const ops = this.pieces().map((p) => combineSets({ x: other.piece(p), y: this.piece(p), n: p.n }));
      program = new Program(this.gpu, 'combine', ops);
      this.combined.set(other.buffer, program);
    }
    program.run({ a, b });
  }

  private check(other: ParamSet): void {
    if (other.layout.length !== this.layout.length) throw new Error('parameter sets of different models');
  }
}

export function rowsTooLong(
  { name, shape, size }: ParamEntry,
  bindingBytes: number,
  numberBytes = 4,
): LabError {
  const width = shape[1];
  const least = (width === undefined ? size : rowStep(width) * width) * numberBytes;
  return new LabError(
    'out-of-memory',
    `The tensor ${name} takes at least ${least} bytes at once, and this adapter's kernels reach ${bindingBytes}.`,
    { safe: 'Nothing was changed.', next: 'Choose a smaller model, or another adapter.' },
  );
}

export function misfit(e: ParamEntry, numbers: number | undefined): LabError {
  return new LabError(
    'corrupt-model',
    `The tensor ${e.name} ${numbers === undefined ? 'is missing' : `has ${numbers} numbers instead of ${e.size}`}.`,
    {
      safe: 'Nothing was changed.',
      next: 'Check that weights and config.json belong together.',
    },
  );
}
