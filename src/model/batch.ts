import { IGNORE, type Batch } from '../core/types.ts';
import { LabError } from '../core/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { range, type Dims } from '../kernels/common.ts';
import { NO_LABEL } from '../kernels/loss.ts';
import type { Binding } from '../gpu/program.ts';

/** Most tokens and most predicted rows of one batch; buffers are made for these. */
export interface Capacity {
  maxTokens: number;
  maxRows: number;
}

/** Where the parts of a packed batch stand, in words, and how long it is. */
export function batchWords({ maxTokens, maxRows }: Capacity) {
  const sizes = [maxTokens, maxTokens * 4, maxRows, maxRows, maxTokens, maxTokens * 4, maxTokens, maxRows];
  const offsets: number[] = [];
  let length = 0;
  for (const size of sizes) {
    offsets.push(length);
    length += Math.ceil(size / 64) * 64;
  }
  return { sizes, offsets, length };
}

/** Which predictions a batch asks for: those that have a label, all, or the one after each row's last token. */
export type RowsWanted = 'labelled' | 'all' | 'last';

/**
 * A batch packed row behind row, without padding, in one GPU buffer: ids, what each token knows of its row, which tokens'
 * predictions are wanted with which label and weight, and for the embedding gradient the tokens of each distinct id.
 */
export class PackedBatch {
  readonly ids: Binding;
  readonly tokens: Binding;
  readonly rows: Binding;
  readonly labels: Binding;
  readonly rowOf: Binding;
  readonly distinct: Binding;
  readonly order: Binding;
  /** f32, of every wanted prediction. */
  readonly weights: Binding;
  private readonly gpu: Gpu;
  private readonly buffer: GPUBuffer;
  private readonly words: Uint32Array<ArrayBuffer>;
  /** The same memory. */
  private readonly floats: Float32Array<ArrayBuffer>;
  private readonly capacity: Capacity;
  private readonly vocab: number;
  private readonly positions: number;

  constructor(gpu: Gpu, capacity: Capacity, config: { vocab_size: number; max_position_embeddings: number }) {
    this.gpu = gpu;
    this.capacity = capacity;
    this.vocab = config.vocab_size;
    this.positions = config.max_position_embeddings;
    const { sizes, offsets, length } = batchWords(capacity);
    this.words = new Uint32Array(length);
    this.floats = new Float32Array(this.words.buffer);
    this.buffer = gpu.buffer('batch', length * 4);
    const bind = (i: number) => range(this.buffer, offsets[i]!, sizes[i]!);
    this.ids = bind(0);
    this.tokens = bind(1);
    this.rows = bind(2);
    this.labels = bind(3);
    this.rowOf = bind(4);
    this.distinct = bind(5);
    this.order = bind(6);
    this.weights = bind(7);
  }

  /**
   * Packs and uploads a batch.
   * @param firstRow number of the first row, where the batch is a part of a longer list
   * @returns its sizes, without `scale`
   */
  write(batch: Batch, wanted: RowsWanted, firstRow = 0): Omit<Dims, 'scale'> {
    const at = (binding: Binding) => binding.offset! / 4;
    const w = this.words;
    let n = 0;
    let r = 0;
    let pairs = 0;
    const tokensOf = new Map<number, number[]>();
    batch.forEach((example, row) => {
      const first = n;
      const end = n + example.ids.length;
      pairs += (example.ids.length * (example.ids.length + 1)) / 2;
      if (example.ids.length > this.positions) throw tooLong(example.ids.length, this.positions);
      if (end > this.capacity.maxTokens) throw tooLarge('tokens', this.capacity.maxTokens);
      for (let i = 0; i < example.ids.length; i++, n++) {
        const id = example.ids[i]!;
        if (!(id >= 0 && id < this.vocab)) throw foreign(id, this.vocab);
        w[at(this.ids) + n] = id;
        w.set([i, first, end, firstRow + row], at(this.tokens) + n * 4);
        const mates = tokensOf.get(id);
        if (mates) mates.push(n);
        else tokensOf.set(id, [n]);
        const label = i + 1 < example.labels.length ? example.labels[i + 1]! : IGNORE;
        const ask = wanted === 'labelled' ? label !== IGNORE : wanted === 'all' || n === end - 1;
        if (label !== IGNORE && !(label >= 0 && label < this.vocab)) throw foreign(label, this.vocab);
        if (ask) {
          if (r >= this.capacity.maxRows) throw tooLarge('predicted tokens', this.capacity.maxRows);
          w[at(this.rows) + r] = n;
          w[at(this.labels) + r] = label === IGNORE ? NO_LABEL : label;
          this.floats[at(this.weights) + r] = example.weight ?? 1;
          w[at(this.rowOf) + n] = r++;
        } else {
          w[at(this.rowOf) + n] = NO_LABEL;
        }
      }
    });
    let k = 0;
    let d = 0;
    for (const [id, mates] of tokensOf) {
      w.set([id, k, k + mates.length, 0], at(this.distinct) + d++ * 4);
      w.set(mates, at(this.order) + k);
      k += mates.length;
    }
    this.gpu.device.queue.writeBuffer(this.buffer, 0, w);
    return { tokens: n, rows: r, distinct: d, pairs };
  }

  destroy(): void {
    this.gpu.free(this.buffer);
  }
}

/** Labels of a batch that count: at an index of at least 1, not IGNORE. */
export function countLabels(batch: Batch): number {
  let count = 0;
  for (const { labels } of batch) for (let i = 1; i < labels.length; i++) if (labels[i] !== IGNORE) count++;
  return count;
}

/** Losses of a batch's labels, one behind the other, by row and token: [r][i] is that of labels[i + 1], 0 where nothing counts. */
export function byRow(batch: Batch, losses: Float32Array): Float32Array[] {
  let at = 0;
  return batch.map(({ ids, labels }) => {
    const row = new Float32Array(ids.length);
    for (let i = 0; i + 1 < labels.length; i++) if (labels[i + 1] !== IGNORE) row[i] = losses[at++]!;
    return row;
  });
}

/** Of a row's labels together. */
export interface RowScore {
  /** Sum of their log-probabilities, in nats; not weighted. */
  logp: number;
  labels: number;
}

/** @param tokenLoss as `byRow` gives it */
export function scoresOf(batch: Batch, tokenLoss: readonly Float32Array[]): RowScore[] {
  return batch.map((row, r) => ({
    logp: -tokenLoss[r]!.reduce((sum, x) => sum + x, 0),
    labels: countLabels([row]),
  }));
}

function tooLarge(what: string, most: number): LabError {
  return new LabError('bad-input', `The batch has more than the ${most} ${what} that this run planned for.`, {
    safe: 'Nothing was changed.',
    next: 'Use fewer or shorter examples per step.',
  });
}

function tooLong(length: number, positions: number): LabError {
  return new LabError('bad-input', `A row has ${length} tokens; this model has ${positions} positions.`, {
    safe: 'Nothing was changed.',
    next: 'Shorten the example.',
  });
}

function foreign(id: number, vocab: number): LabError {
  return new LabError('bad-input', `Token id ${id} is outside the vocabulary of ${vocab}.`, {
    safe: 'Nothing was changed.',
    next: 'Use the tokenizer that belongs to this model.',
  });
}

/**
 * A batch in parts that fit, row by row in its own order; a part without a label teaches nothing and is left out. A row that fits
 * nowhere stands alone, and is refused by name where it is written.
 */
export function fitting(batch: Batch, { maxTokens, maxRows }: Capacity): Batch[] {
  const parts: Batch[] = [];
  let part: Batch = [];
  let tokens = 0;
  let labels = 0;
  for (const row of batch) {
    const count = countLabels([row]);
    if (part.length > 0 && (tokens + row.ids.length > maxTokens || labels + count > maxRows)) {
      parts.push(part);
      [part, tokens, labels] = [[], 0, 0];
    }
    part = [...part, row];
    tokens += row.ids.length;
    labels += count;
  }
  return [...parts, part].filter((p) => countLabels(p) > 0);
}
