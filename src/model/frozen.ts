import type { LlamaConfig } from '../core/config.ts';
import type { Half, Tensors } from '../core/types.ts';
import { narrowWords, widenWords } from '../files/dtypes.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { spansOf, type Matrix, type Span } from '../kernels/common.ts';
import {
  misfit,
  paramLayout,
  ParamSet,
  rowsPerBinding,
  rowsTooLong,
  tensorGroups,
  type ParamEntry,
  type ParamLayout,
} from './params.ts';
import type { WeightSet, WeightSource } from './weights.ts';

/** 16-bit numbers: the alignment of a binding. */
const ALIGN = 128;

/** Tensors that adjoin, in one range of a buffer. */
interface Group {
  /** Number of the buffer. */
  buffer: number;
  /** First element in the buffer, a multiple of ALIGN. */
  first: number;
  /** Elements of all its tensors; the next group begins at the next multiple of ALIGN. */
  size: number;
  entries: ParamEntry[];
}

/** Where the matrices stand, in as many buffers as the adapter's largest one asks for, and the norms, which are f32. */
function frozenLayout(config: LlamaConfig, maxBufferSize: number) {
  const layout = paramLayout(config);
  const { matrices, norms } = tensorGroups(config);
  const most = Math.floor(maxBufferSize / 2 / ALIGN) * ALIGN;
  /** Elements of each buffer. */
  const buffers: number[] = [];
  const groups = matrices.map((names): Group => {
    const entries = names.map((name) => layout.byName.get(name)!);
    const size = entries.reduce((sum, e) => sum + e.size, 0);
    const room = Math.ceil(size / ALIGN) * ALIGN;
    if (buffers.length === 0 || buffers.at(-1)! + room > most) buffers.push(0);
    const buffer = buffers.length - 1;
    const first = buffers[buffer]!;
    buffers[buffer] = first + room;
    return { buffer, first, size, entries };
  });
  return { layout, groups, buffers, norms: paramLayout(config, { matrices: [], norms }) };
}

/** Bytes of the buffers that frozen weights take. */
export function frozenBytes(config: LlamaConfig, { maxBufferSize }: { maxBufferSize: number }): number[] {
  const { buffers, norms } = frozenLayout(config, maxBufferSize);
  return [...buffers.map((elements) => elements * 2), norms.length * 4];
}

/**
 * A model's weights that no trainer changes: matrices in 16 bits, norms in f32. Numbers of a group of tensors that adjoin
 * stand without a gap, two to a word: a tensor or a row may begin inside of a word (shaders/lib/stored).
 */
export class FrozenWeights implements WeightSet {
  readonly precision: Half;
  readonly layout: ParamLayout;
  private readonly gpu: Gpu;
  private readonly norms: ParamSet;
  private readonly buffers: GPUBuffer[];
  private readonly groups: readonly Group[];
  private readonly groupOf = new Map<string, Group>();

  constructor(gpu: Gpu, config: LlamaConfig, precision: Half) {
    const { layout, groups, buffers, norms } = frozenLayout(config, gpu.info.limits.maxBufferSize);
    this.gpu = gpu;
    this.precision = precision;
    this.layout = layout;
    this.groups = groups;
    for (const group of groups) for (const { name } of group.entries) this.groupOf.set(name, group);
    this.buffers = buffers.map((elements) => gpu.buffer(`weights ${precision}`, elements * 2));
    this.norms = new ParamSet(gpu, norms, 'norms');
  }

  get bytes(): number {
    return this.buffers.reduce((sum, { size }) => sum + size, this.norms.bytes);
  }

  binding(first: string, last = first): Matrix {
    if (!this.groupOf.has(first)) return this.norms.binding(first, last);
    return this.rows(first, last, { first: 0, count: this.rowCount(first, last) });
  }

  rows(first: string, last: string | undefined, span: Span): Matrix {
    const group = this.groupOf.get(first)!;
    const entry = this.layout.byName.get(first)!;
    if (span.first + span.count > this.rowCount(first, last)) throw new Error(`${first} has no such rows`);
    const width = entry.shape[1]!;
    return {
      buffer: this.buffers[group.buffer]!,
      offset: (group.first + this.within(group, entry) + span.first * width) * 2,
      size: Math.ceil((span.count * width) / 8) * 16,
      stored: this.precision,
    };
  }

  spans(first: string, last = first): Span[] {
    const entry = this.layout.byName.get(first)!;
    const count = this.rowCount(first, last);
    const most = this.gpu.info.limits.maxStorageBufferBindingSize;
    if (count * entry.shape[1]! * 2 <= most) return spansOf(count, count);
    const fit = rowsPerBinding(entry.shape[1]!, 2 * most);
    if (fit === 0) throw rowsTooLong(entry, most, 2);
    return spansOf(count, fit);
  }

  async readValues(name: string, at: number, count: number): Promise<Float32Array> {
    const group = this.groupOf.get(name);
    if (!group) return this.norms.readValues(name, at, count);
    const begin = group.first + this.within(group, this.layout.byName.get(name)!) + at;
    const word = begin >> 1;
    const words = new Uint16Array(
      await this.gpu.read(this.buffers[group.buffer]!, word * 4, (((begin + count + 1) >> 1) - word) * 4),
    );
    return widenWords(words.subarray(begin & 1, (begin & 1) + count), this.precision);
  }

  async writeFrom(source: WeightSource): Promise<void> {
    const { queue } = this.gpu.device;
    for (const group of this.groups) {
      const writer = new WordWriter(this.gpu, this.buffers[group.buffer]!, group.first);
      for (const e of group.entries) {
        let done = 0;
        for await (const { at, values } of source.words(e.name, this.precision)) {
          if (at !== done || at + values.length > e.size) throw misfit(e, at + values.length);
          writer.push(values);
          done += values.length;
          // the driver keeps its own copy of what was written until it has been carried out
          if (values.byteLength >= 2 ** 20) await queue.onSubmittedWorkDone();
        }
        if (done !== e.size) throw misfit(e, done);
      }
      writer.end();
    }
    await this.norms.writeFrom(source);
  }

  /** @throws LabError 'corrupt-model' when a tensor is missing or has another size, 'bad-input' when it does not fit the type */
  writeTensors(tensors: Tensors): void {
    for (const group of this.groups) {
      const writer = new WordWriter(this.gpu, this.buffers[group.buffer]!, group.first);
      for (const e of group.entries) {
        const tensor = tensors.get(e.name);
        if (tensor?.data.length !== e.size) throw misfit(e, tensor?.data.length);
        writer.push(narrowWords(e.name, tensor.data, this.precision));
      }
      writer.end();
    }
    this.norms.write(this.norms.flatten(tensors));
  }

  checkBindings(): void {
    for (const { entries } of this.groups) this.spans(entries[0]!.name, entries.at(-1)!.name);
  }

  destroy(): void {
    for (const buffer of this.buffers) this.gpu.free(buffer);
    this.norms.destroy();
  }

  /** Rows of the matrix that the tensors from `first` to `last` make. */
  private rowCount(first: string, last = first): number {
    const [a, b] = [this.layout.byName.get(first)!, this.layout.byName.get(last)!];
    return (b.offset + b.size - a.offset) / a.shape[1]!;
  }

  /** Elements of the group before this tensor: both layouts put a group's tensors one behind the other. */
  private within(group: Group, e: ParamEntry): number {
    return e.offset - group.entries[0]!.offset;
  }
}

/** Writes 16-bit numbers one behind the other; WebGPU writes whole words, so one half waits for the next. */
class WordWriter {
  private readonly queue: GPUQueue;
  private readonly buffer: GPUBuffer;
  /** Element that is written next; even. */
  private at: number;
  private half: number | undefined;

  /** @param first element of the buffer that is written first */
  constructor(gpu: Gpu, buffer: GPUBuffer, first: number) {
    this.queue = gpu.device.queue;
    this.buffer = buffer;
    this.at = first;
  }

  push(values: Uint16Array): void {
    let from = 0;
    if (this.half !== undefined && values.length > 0) {
      this.write(Uint16Array.of(this.half, values[0]!));
      this.half = undefined;
      from = 1;
    }
    const even = from + Math.floor((values.length - from) / 2) * 2;
    if (even > from) this.write(values.subarray(from, even));
    if (even < values.length) this.half = values[even];
  }

  end(): void {
    if (this.half !== undefined) this.write(Uint16Array.of(this.half, 0));
    this.half = undefined;
  }

  private write(words: Uint16Array): void {
    this.queue.writeBuffer(this.buffer, this.at * 2, words as Uint16Array<ArrayBuffer>);
    this.at += words.length;
  }
}
