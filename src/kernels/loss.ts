import { f32, grid1d, type Binding, type Op } from '../gpu/program.ts';
import { sizeOf, type Dims, type Size, type Span } from './common.ts';

/** Label of a logits row that counts nothing. */
export const NO_LABEL = 0xffffffff;

/** Floats that 08_cross_entropy keeps of a row between two parts of its vocabulary. */
export const SOFTMAX_ROW = 3;

/** shaders/08_cross_entropy.wgsl: `seen` and loss [rows] after the columns `part` of the vocabulary, taken in order. */
export function crossEntropy(o: {
  labels: Binding;
  /** [rows, part.count] */
  logits: Binding;
  seen: Binding;
  loss: Binding;
  rows: Size;
  part: Span;
}): Op<Dims> {
  return {
    shader: '08_cross_entropy',
    defines: {},
    access: 'rrww',
    bindings: [o.labels, o.logits, o.seen, o.loss],
    uniforms: (d) => [sizeOf(o.rows, d), o.part.first, o.part.count],
    workgroups: (d) => grid1d(sizeOf(o.rows, d), 1),
  };
}

/** shaders/10_cross_entropy_backward.wgsl: logits [rows, part.count] become their own gradient; `weights` [rows] f32. */
export function crossEntropyBackward(o: {
  labels: Binding;
  weights: Binding;
  logits: Binding;
  seen: Binding;
  rows: Size;
  part: Span;
}): Op<Dims> {
  return {
    shader: '10_cross_entropy_backward',
    defines: {},
    access: 'rrrw',
    bindings: [o.labels, o.weights, o.seen, o.logits],
    uniforms: (d) => [sizeOf(o.rows, d), o.part.first, o.part.count, f32(d.scale)],
    workgroups: (d) => grid1d(sizeOf(o.rows, d), 1),
  };
}

/** shaders/08_negative_entropy.wgsl: `seen` and loss [rows] after the columns `part` of the vocabulary, taken in order. */
export function negativeEntropy(o: {
  /** [rows, part.count] */
  logits: Binding;
  seen: Binding;
  loss: Binding;
  rows: Size;
  part: Span;
}): Op<Dims> {
  return {
    shader: '08_negative_entropy',
    defines: {},
    access: 'rww',
    bindings: [o.logits, o.seen, o.loss],
    uniforms: (d) => [sizeOf(o.rows, d), o.part.first, o.part.count],
    workgroups: (d) => grid1d(sizeOf(o.rows, d), 1),
  };
}

/** shaders/10_negative_entropy_backward.wgsl: logits [rows, part.count] become their own gradient; `weights` [rows] f32. */
export function negativeEntropyBackward(o: {
  weights: Binding;
  logits: Binding;
  seen: Binding;
  rows: Size;
  part: Span;
}): Op<Dims> {
  return {
    shader: '10_negative_entropy_backward',
    defines: {},
    access: 'rrw',
    bindings: [o.weights, o.seen, o.logits],
    uniforms: (d) => [sizeOf(o.rows, d), o.part.first, o.part.count, f32(d.scale)],
    workgroups: (d) => grid1d(sizeOf(o.rows, d), 1),
  };
}

/** shaders/09_loss_sum.wgsl: adds scale * sum(weights * loss) to the train state. */
export function lossSum(o: {
  loss: Binding;
  weights: Binding;
  state: Binding;
  /** Absent: those of the batch that go to the head, with its scale. */
  rows?: Size;
  scale?: () => number;
}): Op<Dims> {
  return {
    shader: '09_loss_sum',
    defines: {},
    access: 'rrw',
    bindings: [o.loss, o.weights, o.state],
    uniforms: (d) => [sizeOf(o.rows ?? 'rows', d), f32(o.scale?.() ?? d.scale)],
    workgroups: () => [1, 1, 1],
  };
}

/**
 * shaders/32_select.wgsl: the `top` best tokens of each row after the columns `part` of the vocabulary, taken in order; after the
 * last ones they are logged at column `step`, and the next input is set.
 */
export function select(o: {
  /** [rows.count, part.count] */
  logits: Binding;
  /** Of all rows: [2, rows, top + 1] pairs of words */
  seen: Binding;
  /** Which half of `seen` is read; the other one is for the next part. */
  turn: number;
  ids: Binding;
  tokens: Binding;
  picks: Binding;
  vocab: number;
  rows: Span;
  part: Span;
  top: number;
}): Op<Dims & { step: number }> {
  return {
    shader: '32_select',
    defines: { TOP: o.top },
    access: 'rwwww',
    bindings: [o.logits, o.seen, o.ids, o.tokens, o.picks],
    uniforms: (d) => [
      d.rows,
      o.rows.first,
      sizeOf(o.rows, d),
      o.vocab,
      o.part.first,
      o.part.count,
      o.turn,
      d.step,
    ],
    workgroups: (d) => grid1d(sizeOf(o.rows, d), 1),
  };
}
