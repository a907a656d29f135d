import { select } from '../kernels/loss.ts';
import { adamw, CHUNK, combineSets, dot, gradNorm, gradNormFinal } from '../kernels/optimizer.ts';
import * as ref from '../reference/ops.ts';
import {
  columns,
  dims,
  partsOf,
  rowsOf,
  TOL,
  tokenWords,
  worst,
  type Bench,
  type Check,
  type Slot,
} from './bench.ts';

/** Words of the train state, see shaders/lib/train_state. */
const STATE = { norm: 1, clipScale: 2, nonFinite: 3, stopped: 4, step: 5, at: 6, count: 7 } as const;
const ADAM = { betas: [0.9, 0.99], eps: 1e-8 } as const;

const COUNTS = [1, 33, CHUNK + 1] as const;

interface Run {
  p: Slot;
  m: Slot;
  v: Slot;
  state: Slot;
}

/** Norm, clipping and two AdamW steps with the given gradient. */
function steps(b: Bench, grad: Slot, clip: number, decayed: number, count: number): Run {
  const n = grad.length;
  const chunks = Math.ceil(n / CHUNK);
  const [p, m, v] = [b.random(n), b.put(new Float64Array(n)), b.put(new Float64Array(n))];
  const state = b.put(new Float64Array(8));
  const partial = b.room(chunks * 4);
  const ops = [
    gradNorm({ grad, partial, n, base: 0 }),
    gradNormFinal({ partial, state, chunks, clip }),
    adamw({ state, grad, p, m, v, n, decayed, ...ADAM, weightDecay: 0.1 }),
  ];
  for (let step = 1; step <= count; step++) b.run(ops, { step, lr: 0.01 });
  return { p, m, v, state };
}

const optimizer = COUNTS.flatMap((n): Check[] =>
  [0, 0.5].map((clip) => ({
    kernel: '20_grad_norm, 21_grad_norm_final, 22_adamw',
    shape: `${n} elements, half of them decayed, ${clip ? `clipped to ${clip}` : 'not clipped'}, two steps`,
    tolerance: TOL,
    async run(b) {
      const grad = b.random(n);
      const decayed = Math.floor(n / 2);
      const run = steps(b, grad, clip, decayed, 2);
      const norm = Math.sqrt(grad.host.reduce((sum, g) => sum + g * g, 0));
      const scale = ref.clipScale(norm, clip);
      const g = grad.host.map((x) => x * scale);
      const [p, m, v] = [run.p.host.slice(), new Float64Array(n), new Float64Array(n)];
      for (let step = 1; step <= 2; step++)
        for (const [from, to, weight_decay] of [
          [0, decayed, 0.1],
          [decayed, n, 0],
        ] as const) {
          const part = [p, g, m, v].map((x) => x.subarray(from, to)) as [ref.Vec, ref.Vec, ref.Vec, ref.Vec];
          ref.adamw(...part, { ...ADAM, lr: 0.01, weight_decay, step });
        }
      const state = await b.floats(run.state);
      const got = Float64Array.of(state[STATE.norm]!, state[STATE.clipScale]!);
      // The update, not the parameter: it would hide the optimizer's errors.
      const moved = (x: ArrayLike<number>): Float64Array => run.p.host.map((before, i) => x[i]! - before);
      const after = moved(await b.floats(run.p));
      const update = moved(p);
      const size = Math.sqrt(update.reduce((s, x) => s + x * x, 0));
      const off = Math.sqrt(update.reduce((s, x, i) => s + (x - after[i]!) ** 2, 0));
      return worst(
        Math.abs(got[0]! / norm - 1),
        Math.abs(got[1]! / scale - 1),
        await b.error(run.m, m),
        await b.error(run.v, v),
        // float32 parameters of size 1 hold an update of size 0.02 to about 1e-5 of itself
        off / size / 10,
      );
    },
  })),
);

/** A gradient that is not finite stops the run: nothing moves any more, and the place is named. */
const sticky = [NaN, Infinity, -Infinity].map((bad): Check => ({
  kernel: '20_grad_norm, 21_grad_norm_final, 22_adamw',
  shape: `${CHUNK + 9} elements, one gradient ${bad}: the step must change nothing`,
  tolerance: 0,
  async run(b) {
    const values = b.normal(CHUNK + 9);
    values[CHUNK + 3] = bad;
    values[CHUNK + 5] = bad;
    const run = steps(b, b.put(values), 1, CHUNK, 2);
    const words = await b.bits(run.state);
    const named =
      words[STATE.stopped] === 1 &&
      words[STATE.step] === 1 &&
      words[STATE.at] === CHUNK + 3 &&
      words[STATE.count] === 2 &&
      words[STATE.nonFinite] === 2;
    const still = worst(
      await b.error(run.p, run.p.host),
      await b.error(run.m, run.m.host),
      await b.error(run.v, run.v.host),
    );
    return named ? still : Infinity;
  },
}));

const sets: Check[] = COUNTS.flatMap((n): Check[] => [
  {
    kernel: '40_combine',
    shape: `${n} elements of two parameter sets`,
    tolerance: TOL,
    async run(b) {
      const [x, y] = [b.random(n), b.random(n)];
      b.run(combineSets({ x, y, n }), { a: -0.5, b: 1 });
      return b.error(
        y,
        y.host.map((v, i) => v - 0.5 * x.host[i]!),
      );
    },
  },
  {
    kernel: '41_dot',
    shape: `${n} elements, with another set and with itself`,
    tolerance: TOL,
    async run(b) {
      const [x, y] = [b.random(n), b.random(n)];
      const chunks = Math.ceil(n / CHUNK);
      const [xy, xx] = [b.room(chunks), b.room(chunks)];
      b.run([dot({ x, y, partial: xy, n }), dot({ x, partial: xx, n })], {});
      const total = async (s: Slot): Promise<number> => (await b.floats(s)).reduce((sum, v) => sum + v, 0);
      const sum = (f: (i: number) => number): number => x.host.reduce((s, _, i) => s + f(i), 0);
      const size = sum((i) => Math.abs(x.host[i]! * y.host[i]!));
      return worst(
        Math.abs((await total(xy)) - sum((i) => x.host[i]! * y.host[i]!)) / size,
        Math.abs((await total(xx)) / sum((i) => x.host[i]! ** 2) - 1),
      );
    },
  },
]);

/** Rows in spans, columns in parts, and how many of the best. */
const SELECTIONS = [
  [[1], [1], 1],
  [[3], [33], 4],
  [[7], [131], 8],
  [[5], [4, 3, 5, 1], 8],
  [[64, 2], [64, 1, 66], 8],
] as const;

const selection: Check[] = SELECTIONS.map(([rowCounts, counts, top]) => ({
  kernel: '32_select',
  shape: `[${rowCounts.join(' + ')}, ${counts.join(' + ')}]${counts.length > 1 ? ' in parts' : ''}, the best ${top}, with equal logits`,
  tolerance: TOL,
  async run(b) {
    const [spans, parts] = [partsOf(rowCounts), partsOf(counts)];
    const rows = spans.reduce((n, { count }) => n + count, 0);
    const vocab = parts.reduce((n, { count }) => n + count, 0);
    const values = b.normal(rows * vocab, 3).map((x) => Math.round(x * 4) / 4); // many equal ones
    const [ids, seen] = [b.room(rows), b.put(new Float64Array(2 * rows * (top + 1) * 2))];
    const tokens = b.words(tokenWords(new Array<number>(rows).fill(1)));
    const picks = b.room(2 * rows * top * 2);
    const ops = spans.flatMap((span) =>
      parts.map((part, p) => {
        const logits = b.put(columns(rowsOf(values, span, vocab), vocab, part.first, part.count));
        return select({ logits, seen, ids, tokens, picks, vocab, rows: span, part, turn: p % 2, top });
      }),
    );
    b.run(ops, { ...dims({ rows, tokens: rows }), step: 1 });
    const words = await b.bits(picks);
    const chosen = await b.bits(ids);
    const after = await b.bits(tokens);
    let error = 0;
    for (let r = 0; r < rows; r++) {
      const row = values.subarray(r * vocab, (r + 1) * vocab);
      const lse = ref.logSumExp(row);
      const best = [...row.keys()].sort((i, j) => row[j]! - row[i]! || i - j);
      for (let k = 0; k < top; k++) {
        const at = ((rows + r) * top + k) * 2;
        if (words[at] !== best[k]) return Infinity;
        const logprob = new Float32Array(words.slice(at + 1, at + 2).buffer)[0]!;
        error = worst(error, Math.abs(logprob - (row[best[k]!]! - lse)) / Math.max(1, Math.abs(lse)));
      }
      if (chosen[r] !== best[0] || after[r * 4] !== 1) return Infinity;
    }
    return error;
  },
}));

export const stepChecks: Check[] = [...optimizer, ...sticky, ...sets, ...selection];
