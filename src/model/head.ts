/**
 * The head: logits = n Wᵀ of the wanted rows' hidden states n [rows, hidden], and what is made of them. Logits exist in pieces of
 * some rows by some of the vocabulary, one at a time, in one buffer: no [tokens, vocab] tensor is held.
 */
import type { LlamaConfig } from '../core/config.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Program, type Binding, type Op } from '../gpu/program.ts';
import { sizeOf, spansOf, type Dims, type Span } from '../kernels/common.ts';
import {
  crossEntropy,
  crossEntropyBackward,
  negativeEntropy,
  negativeEntropyBackward,
  select,
  SOFTMAX_ROW,
} from '../kernels/loss.ts';
import { matmul } from '../kernels/matmul.ts';
import { widths, type Activations } from './activations.ts';
import { product } from './linear.ts';
import { ALIGN, rowsPerBinding, rowStep, type ParamSet } from './params.ts';
import type { WeightSet } from './weights.ts';

/** Rows and columns of the largest piece of logits. */
export interface LogitsPiece {
  rows: number;
  vocab: number;
}

/** Bytes of logits that are held at once. */
const LOGITS_BYTES = 32 * 2 ** 20;

export function headName(c: LlamaConfig): string {
  return c.tie_word_embeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
}

/**
 * How the logits of `maxRows` rows are cut. Rows first, down to 64: with the whole vocabulary at hand the backward pass finds the
 * logits in place, else it computes all but the last columns again. A part of the vocabulary also fits a binding of the head.
 * @param wanted smaller pieces, rounded up to where a binding can begin
 */
export function logitsPiece(
  config: Pick<LlamaConfig, 'vocab_size' | 'hidden_size'>,
  maxRows: number,
  bindingBytes: number,
  wanted: Partial<LogitsPiece> = {},
): LogitsPiece {
  const { vocab_size, hidden_size } = config;
  const step = rowStep(hidden_size);
  const floats = Math.min(LOGITS_BYTES, bindingBytes) / 4;
  const up = (n: number, to: number): number => Math.ceil(n / to) * to;
  const down = (n: number, to: number): number => Math.max(to, Math.floor(n / to) * to);
  const bindable =
    vocab_size * hidden_size * 4 <= bindingBytes
      ? vocab_size
      : Math.max(step, rowsPerBinding(hidden_size, bindingBytes));
  const fewest = Math.min(maxRows, ALIGN);
  const most = Math.min(bindable, fewest * vocab_size <= floats ? vocab_size : down(floats / fewest, step));
  const vocab = Math.min(most, up(wanted.vocab ?? most, step));
  const fitting = maxRows * vocab <= floats ? maxRows : down(floats / vocab, ALIGN);
  return { vocab, rows: Math.min(fitting, up(wanted.rows ?? fitting, ALIGN)) };
}

/** Floats of a head's buffers: logits, and with a loss what is known of each row. */
export function headFloats(piece: LogitsPiece, maxRows: number) {
  return { logits: piece.rows * piece.vocab, seen: maxRows * SOFTMAX_ROW, loss: maxRows };
}

export interface Head {
  gpu: Gpu;
  params: WeightSet;
  name: string;
  hidden: number;
  vocab: number;
  piece: LogitsPiece;
  /** See `product`. */
  few: boolean;
  /** [rows, hidden], see Activations.rowNorm */
  input: Binding;
  /** [piece rows, piece vocab] */
  logits: Binding;
  rows: Span[];
  parts: Span[];
}

/** A head on hidden states in `acts.rowNorm`; its buffer is one of the activations'. `few`: see `product`. */
export function makeHead(
  gpu: Gpu,
  config: LlamaConfig,
  params: WeightSet,
  acts: Activations,
  maxRows: number,
  wanted?: Partial<LogitsPiece>,
  few = false,
): Head {
  const { hidden, vocab } = widths(config);
  const piece = logitsPiece(config, maxRows, gpu.info.limits.maxStorageBufferBindingSize, wanted);
  return {
    gpu,
    params,
    name: headName(config),
    hidden,
    vocab,
    piece,
    few,
    input: acts.rowNorm,
    logits: acts.make('logits', headFloats(piece, maxRows).logits),
    rows: spansOf(maxRows, piece.rows),
    parts: spansOf(vocab, piece.vocab),
  };
}

/** Rows of a tensor with `width` floats a row. */
function rowsOf({ buffer, offset = 0 }: Binding, { first, count }: Span, width: number): Binding {
  return { buffer, offset: offset + first * width * 4, size: Math.ceil((count * width) / 4) * 16 };
}

/** logits [rows, part.count] = n Wᵀ */
function logitsOps(h: Head, rows: Span, part: Span): Op<Dims>[] {
  return product(h.gpu, h.few, {
    layout: 'NT',
    a: rowsOf(h.input, rows, h.hidden),
    b: h.params.rows(h.name, undefined, part),
    c: h.logits,
    M: rows,
    N: part.count,
    K: h.hidden,
  });
}

export interface LossBuffers {
  /** What is minimised; absent: cross-entropy. */
  objective?: 'negative entropy';
  /** Of every row, from the batch. */
  labels: Binding;
  weights: Binding;
  /** [rows], [rows, SOFTMAX_ROW] */
  loss: Binding;
  seen: Binding;
}

function lossOf(
  { objective, labels }: Omit<LossBuffers, 'weights'>,
  at: Parameters<typeof negativeEntropy>[0] & { rows: Span },
): Op<Dims> {
  return objective ? negativeEntropy(at) : crossEntropy({ ...at, labels: rowsOf(labels, at.rows, 1) });
}

function lossOfRows(h: Head, l: Omit<LossBuffers, 'weights'>, rows: Span): Op<Dims>[] {
  return h.parts.flatMap((part) => [
    ...logitsOps(h, rows, part),
    lossOf(l, {
      logits: h.logits,
      seen: rowsOf(l.seen, rows, SOFTMAX_ROW),
      loss: rowsOf(l.loss, rows, 1),
      rows,
      part,
    }),
  ]);
}

/** The loss of every row, not weighted. */
export function lossOps(h: Head, l: Omit<LossBuffers, 'weights'>): Op<Dims>[] {
  return h.rows.flatMap((rows) => lossOfRows(h, l, rows));
}

/**
 * The loss of every row and its gradient, weighted: dn [rows, hidden], and with `grads` dW +=. Piece by piece: the logits become their own
 * gradient, which both products take at once. The last columns come first, whose logits are still there.
 */
export function lossBackwardOps(
  h: Head,
  l: LossBuffers,
  dn: Binding,
  grads: ParamSet | undefined,
): Op<Dims>[] {
  const last = h.parts.at(-1)!;
  return h.rows.flatMap((rows) => {
    const ops = lossOfRows(h, l, rows);
    const at = (part: Span) => ({
      weights: rowsOf(l.weights, rows, 1),
      logits: h.logits,
      seen: rowsOf(l.seen, rows, SOFTMAX_ROW),
      rows,
      part,
    });
    for (const part of h.parts.toReversed()) {
      if (part !== last) ops.push(...logitsOps(h, rows, part));
      ops.push(
        l.objective
          ? negativeEntropyBackward(at(part))
          : crossEntropyBackward({ ...at(part), labels: rowsOf(l.labels, rows, 1) }),
        matmul(h.gpu, {
          layout: 'NN',
          a: h.logits,
          b: h.params.rows(h.name, undefined, part),
          c: rowsOf(dn, rows, h.hidden),
          M: rows,
          N: h.hidden,
          K: part.count,
          accumulate: part !== last,
        }),
      );
      if (!grads) continue;
      ops.push(
        matmul(h.gpu, {
          layout: 'TN',
          a: h.logits,
          b: rowsOf(h.input, rows, h.hidden),
          c: grads.rows(h.name, undefined, part),
          M: part.count,
          N: h.hidden,
          K: rows,
          accumulate: true,
        }),
      );
    }
    return ops;
  });
}

/** The greedy choice of every row. */
export function selectOps(
  h: Head,
  s: { seen: Binding; ids: Binding; tokens: Binding; picks: Binding; top: number },
): Op<Dims & { step: number }>[] {
  return h.rows.flatMap((rows) =>
    h.parts.flatMap((part, p) => [
      ...logitsOps(h, rows, part),
      select({ ...s, logits: h.logits, vocab: h.vocab, rows, part, turn: p % 2 }),
    ]),
  );
}

/** Logits brought to the host, a few rows at a time: the only place where a row of them is whole. */
export class LogitsReader {
  private readonly head: Head;
  private readonly program: Program<Dims>;

  constructor(head: Head) {
    this.head = head;
    this.program = new Program(
      head.gpu,
      'logits',
      head.rows.flatMap((rows) => head.parts.flatMap((part) => logitsOps(head, rows, part))),
    );
  }

  /** [dims.rows, vocab], after the pass that made the hidden states. */
  async read(dims: Dims): Promise<Float32Array> {
    const { gpu, rows, parts, vocab, logits } = this.head;
    const each = this.program.length / (rows.length * parts.length);
    this.program.prepare(dims);
    const all = new Float32Array(dims.rows * vocab);
    for (const [r, span] of rows.entries()) {
      const count = sizeOf(span, dims);
      if (count === 0) continue;
      const bytes = await gpu.readRecorded(count * vocab * 4, (encoder, staging) => {
        for (const [p, part] of parts.entries()) {
          const op = (r * parts.length + p) * each;
          const pass = encoder.beginComputePass();
          this.program.encode(pass, op, op + each);
          pass.end();
          // part behind part, each [count, part.count]
          encoder.copyBufferToBuffer(
            logits.buffer,
            0,
            staging,
            count * part.first * 4,
            count * part.count * 4,
          );
        }
      });
      for (const part of parts)
        for (let n = 0; n < count; n++)
          all.set(
            new Float32Array(bytes, (count * part.first + n * part.count) * 4, part.count),
            (span.first + n) * vocab + part.first,
          );
    }
    return all;
  }

  destroy(): void {
    this.program.destroy();
  }
}
