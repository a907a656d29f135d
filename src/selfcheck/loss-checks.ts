/** Kernels of the losses at the end of the network, over a vocabulary in one part or in several. */
import { IGNORE } from '../core/types.ts';
import type { Op } from '../gpu/program.ts';
import type { Dims, Span } from '../kernels/common.ts';
import {
  crossEntropy,
  crossEntropyBackward,
  lossSum,
  negativeEntropy,
  negativeEntropyBackward,
  NO_LABEL,
  SOFTMAX_ROW,
} from '../kernels/loss.ts';
import * as ref from '../reference/ops.ts';
import { beside, columns, dims, partsOf, TOL, worst, type Bench, type Check, type Slot } from './bench.ts';
import { relError } from './compare.ts';

/** Rows, and columns of the parts of the vocabulary. */
const SIZES = [
  [1, [1]],
  [3, [7]],
  [7, [131]],
  [65, [33]],
  [3, [4, 3]],
  [9, [1, 64, 2, 64]],
  [65, [16, 16, 1]],
] as const;

/** What the kernels of a loss take of one part. */
interface Part {
  part: Span;
  logits: Slot;
  weights: Slot;
  seen: Slot;
  rows: 'rows';
}

/** A loss on the GPU, and in float64. */
interface Loss {
  values: Float64Array;
  forward(part: Part, loss: Slot): Op<Dims>;
  backward(part: Part): Op<Dims>;
  /** By row. */
  expected: Float64Array;
  /** @param scale by row */
  gradient(scale: Float64Array): Float64Array;
}

/** The loss of every row, the weighted sum of all, and the gradient in the place of the logits. */
const checks = (
  kernel: string,
  what: string,
  make: (b: Bench, rows: number, vocab: number) => Loss,
): Check[] =>
  SIZES.map(([rows, counts]) => ({
    kernel,
    shape: `[${rows}, ${counts.join(' + ')}]${counts.length > 1 ? ' in parts' : ''}, ${what}`,
    tolerance: TOL,
    async run(b) {
      const vocab = counts.reduce((x, y) => x + y, 0);
      const { values, forward, backward, expected, gradient } = make(b, rows, vocab);
      const weights = b.random(rows);
      const [seen, loss] = [b.room(rows * SOFTMAX_ROW), b.room(rows)];
      const state = b.put(new Float64Array(8));
      const scale = Math.fround(1 / 7);
      const parts = partsOf(counts).map((part) => ({
        part,
        logits: b.put(columns(values, vocab, part.first, part.count)),
        ...{ weights, seen, rows: 'rows' as const },
      }));
      b.run(
        [
          ...parts.map((part) => forward(part, loss)),
          lossSum({ loss, weights, state }),
          ...parts.toReversed().map(backward),
        ],
        dims({ rows, scale }),
      );
      const sum = expected.reduce((x, y, n) => x + y * weights.host[n]!, 0) * scale;
      const got = await Promise.all(
        parts.map(async ({ logits }) => Float64Array.from(await b.floats(logits))),
      );
      return worst(
        await b.error(loss, expected),
        relError(beside(rows, ...got), gradient(weights.host.map((w) => w * scale))),
        await b.error(state, Float64Array.of(sum, 0, 0, 0, 0, 0, 0, 0)),
      );
    },
  }));

export const lossChecks: readonly Check[] = [
  ...checks(
    '08_cross_entropy, 09_loss_sum, 10_cross_entropy_backward',
    'some rows without label, weights, logits up to 100',
    (b, rows, vocab) => {
      const values = b.normal(rows * vocab, 4).map((x, i) => (i % 11 === 3 ? Math.fround(x + 90) : x));
      // labels in every part, the first and the last column among them
      const any = (n: number): number => [0, vocab - 1, b.rng.int(vocab)][n % 4] ?? b.rng.int(vocab);
      const targets = Array.from({ length: rows }, (_, n) => (n % 3 === 1 ? IGNORE : any(n)));
      const labels = b.words(targets.map((t) => (t === IGNORE ? NO_LABEL : t)));
      return {
        values,
        forward: (part, loss) => crossEntropy({ ...part, labels, loss }),
        backward: (part) => crossEntropyBackward({ ...part, labels }),
        expected: ref.crossEntropy(values, targets, vocab),
        gradient: (scale) => ref.crossEntropyBackward(values, targets, vocab, scale),
      };
    },
  ),
  ...checks(
    '08_negative_entropy, 09_loss_sum, 10_negative_entropy_backward',
    'weights, one logit of some rows far above',
    (b, rows, vocab) => {
      const far = 3 * vocab + 1;
      const values = b.normal(rows * vocab, 4).map((x, i) => (i % far === 3 ? Math.fround(x + 90) : x));
      return {
        values,
        forward: (part, loss) => negativeEntropy({ ...part, loss }),
        backward: (part) => negativeEntropyBackward(part),
        expected: ref.negativeEntropy(values, rows, vocab),
        gradient: (scale) => ref.negativeEntropyBackward(values, rows, vocab, scale),
      };
    },
  ),
];
