import { f32, grid1d, type Binding, type Op } from '../gpu/program.ts';
import type { Dims } from './common.ts';

/** Label of a logits row that counts nothing. */
export const NO_LABEL = 0xffffffff;

/** shaders/08_cross_entropy.wgsl: loss [rows]; with `grad`, logits [rows, vocab] become their own gradient. */
export function crossEntropy(o: {
  labels: Binding;
  logits: Binding;
  loss: Binding;
  vocab: number;
  grad: boolean;
}): Op<Dims> {
  return {
    shader: '08_cross_entropy',
    defines: { GRAD: o.grad },
    access: o.grad ? 'rww' : 'rrw',
    bindings: [o.labels, o.logits, o.loss],
    uniforms: (d) => [d.rows, o.vocab, f32(d.scale)],
    workgroups: (d) => grid1d(d.rows, 1),
  };
}

/** shaders/09_loss_sum.wgsl: adds scale * sum(loss) to the train state. */
export function lossSum(o: { loss: Binding; state: Binding }): Op<Dims> {
  return {
    shader: '09_loss_sum',
    defines: {},
    access: 'rw',
    bindings: [o.loss, o.state],
    uniforms: (d) => [d.rows, f32(d.scale)],
    workgroups: () => [1, 1, 1],
  };
}

/** shaders/32_select.wgsl: the `top` best tokens of each row, logged at column `step`; sets the next input. */
export function select(o: {
  logits: Binding;
  ids: Binding;
  tokens: Binding;
  picks: Binding;
  vocab: number;
  top: number;
}): Op<Dims & { step: number }> {
  return {
    shader: '32_select',
    defines: { TOP: o.top },
    access: 'rwww',
    bindings: [o.logits, o.ids, o.tokens, o.picks],
    uniforms: (d) => [d.rows, o.vocab, d.step],
    workgroups: (d) => grid1d(d.rows, 1),
  };
}
