import { f32, grid1d, type Binding, type Op } from '../gpu/program.ts';
import { sizeOf, type Dims, type Size } from './common.ts';

export interface RmsNorm {
  /** [rows, width] */
  x: Binding;
  w: Binding;
  y: Binding;
  /** [rows], kept for the backward pass */
  rstd: Binding;
  /** Residual addition before the norm: sum = x + delta (+ pert). */
  add?: { delta: Binding; sum: Binding; pert?: Binding };
  /** Take only rows[n] of x; the taken rows are kept in `sum`. */
  gather?: { rows: Binding; sum: Binding };
  rows: Size;
  width: number;
  eps: number;
}

/** shaders/02_rmsnorm.wgsl */
export function rmsnorm(o: RmsNorm): Op<Dims> {
  const bindings = [o.x, o.w, o.y, o.rstd];
  let access = 'rrww';
  if (o.add) {
    bindings.push(o.add.delta, o.add.sum);
    access += 'rw';
    if (o.add.pert) {
      bindings.push(o.add.pert);
      access += 'r';
    }
  } else if (o.gather) {
    bindings.push(o.gather.rows, o.gather.sum);
    access += 'rw';
  }
  return {
    shader: '02_rmsnorm',
    defines: { ADD: o.add !== undefined, PERT: o.add?.pert !== undefined, GATHER: o.gather !== undefined },
    access,
    bindings,
    uniforms: (d) => [sizeOf(o.rows, d), o.width, f32(o.eps)],
    workgroups: (d) => grid1d(sizeOf(o.rows, d), 1),
  };
}

/** shaders/11_rmsnorm_backward.wgsl: dx (+)= the norm's backward of dy. */
export function rmsnormBackward(o: {
  dy: Binding;
  x: Binding;
  w: Binding;
  rstd: Binding;
  dx: Binding;
  accumulate: boolean;
  rows: Size;
  width: number;
}): Op<Dims> {
  return {
    shader: '11_rmsnorm_backward',
    defines: { ACC: o.accumulate },
    access: 'rrrrw',
    bindings: [o.dy, o.x, o.w, o.rstd, o.dx],
    uniforms: (d) => [sizeOf(o.rows, d), o.width],
    workgroups: (d) => grid1d(sizeOf(o.rows, d), 1),
  };
}

/** Rows that one partial sum of a norm's weight gradient covers; the shader has the same figure. */
export const NORM_BLOCK = 32;

/** shaders/12_rmsnorm_weight.wgsl: partial [blocks, width] */
export function rmsnormWeight(o: {
  dy: Binding;
  x: Binding;
  rstd: Binding;
  partial: Binding;
  rows: Size;
  width: number;
}): Op<Dims> {
  return {
    shader: '12_rmsnorm_weight',
    defines: {},
    access: 'rrrw',
    bindings: [o.dy, o.x, o.rstd, o.partial],
    uniforms: (d) => [sizeOf(o.rows, d), o.width],
    workgroups: (d) => [Math.ceil(o.width / 64), Math.ceil(sizeOf(o.rows, d) / NORM_BLOCK), 1],
  };
}

/** shaders/13_column_sum.wgsl: adds the partial sums of `norms` norms to their weight gradients. */
export function columnSum(o: {
  partial: Binding;
  grad: Binding;
  norms: number;
  rows: Size;
  width: number;
  /** Floats between two norms in `partial` and in `grad`. */
  partialStride: number;
  gradStride: number;
}): Op<Dims> {
  return {
    shader: '13_column_sum',
    defines: {},
    access: 'rw',
    bindings: [o.partial, o.grad],
    uniforms: (d) => [Math.ceil(sizeOf(o.rows, d) / NORM_BLOCK), o.width, o.partialStride, o.gradStride],
    workgroups: (d) => [sizeOf(o.rows, d) > 0 ? Math.ceil(o.width / 64) : 0, o.norms, 1],
  };
}
