import { f32, grid1d, type Binding, type Op } from '../gpu/program.ts';
import { bytesOf, sizeOf, storedDefines, type Dims, type Matrix, type Size, type Span } from './common.ts';

/** shaders/01_embed.wgsl: x [tokens, width] = table[ids], where the ids stand in `part`, the table's rows. */
export function embed(o: { ids: Binding; table: Matrix; part: Span; x: Binding; width: number }): Op<Dims> {
  return {
    shader: '01_embed',
    defines: storedDefines(o.table),
    access: 'rrw',
    bindings: [o.ids, o.table, o.x],
    uniforms: (d) => [d.tokens, o.width, o.part.first, o.part.count],
    workgroups: (d) => grid1d(d.tokens * o.width, 64),
    // of the table only the rows that are asked for; those of other parts are counted as well
    bytes: (d) => d.tokens * (4 + o.width * (4 + bytesOf(o.table.stored ?? 'f32'))),
  };
}

export interface Rope {
  tokens: Binding;
  /** [positions, headDim / 2] of (cos, sin) */
  table: Binding;
  /** [tokens, stride], changed in place */
  qkv: Binding;
  stride: number;
  /** Query and key heads. */
  heads: number;
  headDim: number;
  /** -1: the backward pass. */
  sign: 1 | -1;
}

/** shaders/04_rope.wgsl */
export function rope(o: Rope): Op<Dims> {
  return {
    shader: '04_rope',
    defines: { SIGN: o.sign },
    access: 'rrw',
    bindings: [o.tokens, o.table, o.qkv],
    uniforms: (d) => [d.tokens, o.stride, o.heads, o.headDim / 2],
    workgroups: (d) => grid1d((d.tokens * o.heads * o.headDim) / 2, 64),
  };
}

/** shaders/06_swiglu.wgsl: gu [tokens, 2 width] -> act [tokens, width] */
export function swiglu(o: { gu: Binding; act: Binding; width: number }): Op<Dims> {
  return {
    shader: '06_swiglu',
    defines: {},
    access: 'rw',
    bindings: [o.gu, o.act],
    uniforms: (d) => [d.tokens, o.width],
    workgroups: (d) => grid1d(d.tokens * o.width, 64),
  };
}

/** shaders/16_swiglu_backward.wgsl: gu becomes its own gradient. */
export function swigluBackward(o: { gu: Binding; dact: Binding; width: number }): Op<Dims> {
  return {
    shader: '16_swiglu_backward',
    defines: {},
    access: 'rw',
    bindings: [o.dact, o.gu],
    uniforms: (d) => [d.tokens, o.width],
    workgroups: (d) => grid1d(d.tokens * o.width, 64),
  };
}

/** shaders/07_add.wgsl: sum = a + b (+ pert), rows of `width`. */
export function add(o: {
  a: Binding;
  b: Binding;
  sum: Binding;
  pert?: Binding;
  rows: Size;
  width: number;
}): Op<Dims> {
  return {
    shader: '07_add',
    defines: { PERT: o.pert !== undefined },
    access: o.pert ? 'rrwr' : 'rrw',
    bindings: [o.a, o.b, o.sum, ...(o.pert ? [o.pert] : [])],
    uniforms: (d) => [sizeOf(o.rows, d) * o.width],
    workgroups: (d) => grid1d(sizeOf(o.rows, d) * o.width, 64),
  };
}

/** shaders/42_copy.wgsl: to = source, `count` numbers, a multiple of four. */
export function copy(o: { source: Binding; to: Binding; count: number }): Op<Dims> {
  return {
    shader: '42_copy',
    defines: {},
    access: 'rw',
    bindings: [o.source, o.to],
    uniforms: () => [o.count / 4],
    workgroups: () => grid1d(o.count / 4, 256),
  };
}

/** shaders/40_combine.wgsl over rows of `width`: y = a x + b y. */
export function combine(o: {
  x: Binding;
  y: Binding;
  a: number;
  b: number;
  rows: Size;
  width: number;
}): Op<Dims> {
  return {
    shader: '40_combine',
    defines: {},
    access: 'rw',
    bindings: [o.x, o.y],
    uniforms: (d) => [sizeOf(o.rows, d) * o.width, f32(o.a), f32(o.b)],
    workgroups: (d) => grid1d(sizeOf(o.rows, d) * o.width, 64),
  };
}

/** shaders/17_embed_backward.wgsl: grad += rows of dx, by token id, where the ids stand in `part`, the rows of grad. */
export function embedBackward(o: {
  distinct: Binding;
  order: Binding;
  dx: Binding;
  grad: Binding;
  part: Span;
  width: number;
}): Op<Dims> {
  return {
    shader: '17_embed_backward',
    defines: {},
    access: 'rrrw',
    bindings: [o.distinct, o.order, o.dx, o.grad],
    uniforms: (d) => [d.distinct, o.width, o.part.first, o.part.count],
    workgroups: (d) => grid1d(d.distinct * o.width, 64),
    // of the gradient only the rows that are added to
    bytes: (d) => 16 * d.distinct + 4 * d.tokens + 4 * o.width * (d.tokens + 2 * d.distinct),
  };
}

/** shaders/18_scatter_rows.wgsl: dx [tokens, width] = drow at the rows taken by the head, else 0. */
export function scatterRows(o: { rowOf: Binding; drow: Binding; dx: Binding; width: number }): Op<Dims> {
  return {
    shader: '18_scatter_rows',
    defines: {},
    access: 'rrw',
    bindings: [o.rowOf, o.drow, o.dx],
    uniforms: (d) => [d.tokens, o.width],
    workgroups: (d) => grid1d(d.tokens * o.width, 64),
  };
}

/** shaders/43_row_distance.wgsl: distance [rows] of the rows of a and b, and in grad scale times its gradient by a. */
export function rowDistance(o: {
  a: Binding;
  b: Binding;
  grad: Binding;
  distance: Binding;
  rows: Size;
  width: number;
  scale: () => number;
}): Op<Dims> {
  return {
    shader: '43_row_distance',
    defines: {},
    access: 'rrww',
    bindings: [o.a, o.b, o.grad, o.distance],
    uniforms: (d) => [sizeOf(o.rows, d), o.width, f32(o.scale())],
    workgroups: (d) => grid1d(sizeOf(o.rows, d), 1),
  };
}
