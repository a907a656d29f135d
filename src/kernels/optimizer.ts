import { f32, grid1d, type Binding, type Op } from '../gpu/program.ts';

/** Elements that one workgroup reduces in 20_grad_norm and 41_dot. */
export const CHUNK = 4096;

/** Elements that one workgroup of 22_adamw updates. */
const ADAMW_CHUNK = 1024;

/** What an optimizer step needs beside its buffers. */
export interface StepDims {
  /** From 1. */
  step: number;
  lr: number;
}

/** shaders/20_grad_norm.wgsl over one piece of a parameter set, starting at element `base`. */
export function gradNorm(o: { grad: Binding; partial: Binding; n: number; base: number }): Op<StepDims> {
  const chunks = Math.ceil(o.n / CHUNK);
  return {
    shader: '20_grad_norm',
    defines: { CHUNK },
    access: 'rw',
    bindings: [o.grad, o.partial],
    uniforms: () => [o.n, o.base, o.base / CHUNK],
    workgroups: () => grid1d(chunks, 1),
  };
}

/** shaders/21_grad_norm_final.wgsl */
export function gradNormFinal(o: {
  partial: Binding;
  state: Binding;
  chunks: number;
  clip: number;
}): Op<StepDims> {
  return {
    shader: '21_grad_norm_final',
    defines: {},
    access: 'rw',
    bindings: [o.partial, o.state],
    uniforms: (d) => [o.chunks, d.step, f32(o.clip)],
    workgroups: () => [1, 1, 1],
  };
}

export interface AdamW {
  state: Binding;
  grad: Binding;
  p: Binding;
  m: Binding;
  v: Binding;
  n: number;
  /** Elements before this one decay. */
  decayed: number;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
}

/** shaders/22_adamw.wgsl over one piece of a parameter set. */
export function adamw(o: AdamW): Op<StepDims> {
  const [b1, b2] = o.betas;
  return {
    shader: '22_adamw',
    defines: { CHUNK: ADAMW_CHUNK },
    access: 'rrwww',
    bindings: [o.state, o.grad, o.p, o.m, o.v],
    uniforms: ({ step, lr }) => [
      o.n,
      o.decayed,
      f32(lr),
      f32(1 - lr * o.weightDecay),
      f32(b1),
      f32(b2),
      f32(o.eps),
      f32(1 / (1 - b1 ** step)),
      f32(1 / Math.sqrt(1 - b2 ** step)),
      f32(1 - b1),
      f32(1 - b2),
    ],
    workgroups: () => grid1d(o.n, ADAMW_CHUNK),
  };
}

/** shaders/40_combine.wgsl: y = a x + b y over n elements; a and b are given when it runs. */
export function combineSets(o: { x: Binding; y: Binding; n: number }): Op<{ a: number; b: number }> {
  return {
    shader: '40_combine',
    defines: {},
    access: 'rw',
    bindings: [o.x, o.y],
    uniforms: (d) => [o.n, f32(d.a), f32(d.b)],
    workgroups: () => grid1d(o.n, 64),
  };
}

/** shaders/41_dot.wgsl: partial sums of x * y (of x * x without y). */
export function dot(o: { x: Binding; y?: Binding; partial: Binding; n: number }): Op<object> {
  return {
    shader: '41_dot',
    defines: { CHUNK, Y: o.y !== undefined },
    access: o.y ? 'rrw' : 'rw',
    bindings: o.y ? [o.x, o.y, o.partial] : [o.x, o.partial],
    uniforms: () => [o.n],
    workgroups: () => grid1d(Math.ceil(o.n / CHUNK), 1),
  };
}
