import type { Gpu } from '../gpu/gpu.ts';
import type { Binding, Op } from '../gpu/program.ts';
import { type Dims, type Size, type Span } from '../kernels/common.ts';
import { matmul, matmulFew, type Matmul } from '../kernels/matmul.ts';
import type { ParamSet } from './params.ts';
import type { WeightSet } from './weights.ts';

/** A matrix of weights [out, in]: one tensor, or those from the first to the last, which adjoin. */
export type Weight = readonly [first: string, last?: string];

interface Linear {
  gpu: Gpu;
  weight: Weight;
  in: number;
  out: number;
  rows: Size;
}

/**
 * Columns of an output row [.., out] that belong to a span of the weight's rows. A weight that one binding holds needs no view,
 * and gets the kernel without one.
 */
function columns(span: Span, out: number) {
  return span.count === out ? null : { first: span.first, stride: out };
}

/** A product x Wᵀ; `few`: mostly of a few rows, as in decoding. */
export function product(gpu: Gpu, few: boolean, m: Matmul & { layout: 'NT' }): Op<Dims>[] {
  return few ? matmulFew(gpu, m) : [matmul(gpu, m)];
}

/** y [rows, out] = x Wᵀ; `few` as in `product` */
export function linearForward(
  o: Linear & { params: WeightSet; x: Binding; y: Binding; few: boolean },
): Op<Dims>[] {
  return o.params.spans(...o.weight).flatMap((span) => {
    const c = columns(span, o.out);
    return product(o.gpu, o.few, {
      layout: 'NT',
      a: o.x,
      b: o.params.rows(o.weight[0], o.weight[1], span),
      c: o.y,
      M: o.rows,
      N: span.count,
      K: o.in,
      ...(c && { views: { c } }),
    });
  });
}

/** dx [rows, in] = dy W; with `grads`, dW += dyᵀ x */
export function linearBackward(
  o: Linear & { params: WeightSet; grads: ParamSet | undefined; x: Binding; dy: Binding; dx: Binding },
): Op<Dims>[] {
  const spans = o.params.spans(...o.weight);
  const views = (span: Span) => {
    const a = columns(span, o.out);
    return a && { views: { a } };
  };
  const ops = spans.map((span, i) =>
    matmul(o.gpu, {
      layout: 'NN',
      a: o.dy,
      b: o.params.rows(o.weight[0], o.weight[1], span),
      c: o.dx,
      M: o.rows,
      N: o.in,
      K: span.count,
      accumulate: i > 0,
      ...views(span),
    }),
  );
  const { grads } = o;
  if (!grads) return ops;
  for (const span of grads.spans(...o.weight))
    ops.push(
      matmul(o.gpu, {
        layout: 'TN',
        a: o.dy,
        b: o.x,
        c: grads.rows(o.weight[0], o.weight[1], span),
        M: span.count,
        N: o.in,
        K: o.rows,
        accumulate: true,
        ...views(span),
      }),
    );
  return ops;
}
