/** Kernels of losses other than cross-entropy. */
import { rowDistance } from '../kernels/elementwise.ts';
import { lossSum, negativeEntropy, negativeEntropyBackward, SOFTMAX_ROW } from '../kernels/loss.ts';
import * as ref from '../reference/ops.ts';
import { beside, columns, dims, partsOf, TOL, worst, type Check } from './bench.ts';
import { relError } from './compare.ts';
import { each, LOSSES } from './row-checks.ts';

const entropies: Check[] = LOSSES.map(([rows, counts]) => ({
  kernel: '08_negative_entropy, 09_loss_sum, 10_negative_entropy_backward',
  shape: `[${rows}, ${counts.join(' + ')}]${counts.length > 1 ? ' in parts' : ''}, weights, one logit of some rows far above`,
  tolerance: TOL,
  async run(b) {
    const vocab = counts.reduce((x, y) => x + y, 0);
    const values = b
      .normal(rows * vocab, 4)
      .map((x, i) => (i % (3 * vocab + 1) === 3 ? Math.fround(x + 90) : x));
    const weights = b.random(rows);
    const [seen, loss] = [b.room(rows * SOFTMAX_ROW), b.room(rows)];
    const state = b.put(new Float64Array(8));
    const scale = Math.fround(1 / 7);
    const parts = partsOf(counts).map((part) => ({
      part,
      logits: b.put(columns(values, vocab, part.first, part.count)),
    }));
    const shared = { weights, seen, rows: 'rows' as const };
    b.run(
      [
        ...parts.map((p) => negativeEntropy({ ...shared, ...p, loss })),
        lossSum({ loss, weights, state }),
        ...parts.toReversed().map((p) => negativeEntropyBackward({ ...shared, ...p })),
      ],
      dims({ rows, scale }),
    );
    const expected = ref.negativeEntropy(values, rows, vocab);
    const sum = expected.reduce((x, y, n) => x + y * weights.host[n]!, 0) * scale;
    const by = weights.host.map((w) => w * scale);
    const gradient = ref.negativeEntropyBackward(values, rows, vocab, by);
    const got = await Promise.all(parts.map(async ({ logits }) => Float64Array.from(await b.floats(logits))));
    return worst(
      await b.error(loss, expected),
      relError(beside(rows, ...got), gradient),
      await b.error(state, Float64Array.of(sum, 0, 0, 0, 0, 0, 0, 0)),
    );
  },
}));

const distances = each('43_row_distance', 'some rows equal: ', async (b, rows, width) => {
  const [a, scale] = [b.random(rows * width), Math.fround(0.3)];
  const other = b.put(
    a.host.map((x, i) => (Math.floor(i / width) % 3 === 1 ? x : Math.fround(x + 0.1 * b.rng.normal()))),
  );
  const [grad, distance] = [b.room(rows * width), b.room(rows)];
  b.run(
    [rowDistance({ a, b: other, grad, distance, rows: 'tokens', width, scale: () => scale })],
    dims({ tokens: rows }),
  );
  const d = a.host.map((x, i) => x - other.host[i]!);
  const lengths = Float64Array.from({ length: rows }, (_, n) =>
    Math.hypot(...d.subarray(n * width, (n + 1) * width)),
  );
  const expected = d.map((x, i) => (x === 0 ? 0 : (scale * x) / lengths[Math.floor(i / width)]!));
  return worst(await b.error(distance, lengths), await b.error(grad, expected));
});

export const objectiveChecks: readonly Check[] = [...entropies, ...distances];
