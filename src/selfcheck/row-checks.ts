import {
  add,
  combine,
  copy,
  embed,
  embedBackward,
  rope,
  rowDistance,
  scatterRows,
  swiglu,
  swigluBackward,
} from '../kernels/elementwise.ts';
import { NO_LABEL } from '../kernels/loss.ts';
import { columnSum, NORM_BLOCK, rmsnorm, rmsnormBackward, rmsnormWeight } from '../kernels/rmsnorm.ts';
import * as ref from '../reference/ops.ts';
import {
  beside,
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

/** [rows, width] */
const SIZES = [
  [1, 1],
  [3, 33],
  [7, 65],
  [65, 7],
] as const;
const EPS = 1e-5;

const each = (
  kernel: string,
  what: string,
  run: (b: Bench, rows: number, width: number) => Promise<number>,
): Check[] =>
  SIZES.map(([rows, width]) => ({
    kernel,
    shape: `${what}[${rows}, ${width}]`,
    tolerance: TOL,
    run: (b) => run(b, rows, width),
  }));

const VOCAB = 9;
/** The table as a whole, and in parts that end at awkward places. */
const PARTS = [[VOCAB], [1, 5, 3]] as const;

const embedding: Check[] = [
  ...PARTS.flatMap((counts) =>
    each('01_embed', counts.length > 1 ? `table in ${counts.length} parts: ` : '', async (b, rows, width) => {
      const ids = Array.from({ length: rows }, () => b.rng.int(VOCAB));
      const table = b.normal(VOCAB * width);
      const x = b.room(rows * width);
      b.run(
        partsOf(counts).map((part) =>
          embed({ ids: b.words(ids), table: b.put(rowsOf(table, part, width)), part, x, width }),
        ),
        dims({ tokens: rows }),
      );
      return b.error(x, ref.embedding(table, ids, width));
    }),
  ),
  ...(['f16', 'bf16'] as const).flatMap((stored) =>
    each(
      '01_embed',
      `table in ${stored}, two parts, subnormal numbers too, exact: `,
      async (b, rows, width) => {
        const ids = Array.from({ length: rows }, () => b.rng.int(VOCAB));
        // f16 below 6.1e-5 is subnormal, and 6.0e-8 is its smallest number
        const table = b.normal(VOCAB * width).map((x, i) => x * [1, 3e-5, 2e-7, 1e3][i % 4]!);
        const x = b.room(rows * width);
        const parts = partsOf([4, VOCAB - 4]).map((part) => {
          return { part, table: b.half(rowsOf(table, part, width), stored) };
        });
        b.run(
          parts.map((p) => embed({ ids: b.words(ids), ...p, x, width })),
          dims({ tokens: rows }),
        );
        const rounded = Float64Array.from(parts.flatMap((p) => [...p.table.host]));
        return b.error(x, ref.embedding(rounded, ids, width));
      },
    ).map((check) => ({ ...check, tolerance: 0 })),
  ),
  ...PARTS.flatMap((counts) =>
    each(
      '17_embed_backward',
      `added, repeated ids${counts.length > 1 ? `, in ${counts.length} parts` : ''}: `,
      async (b, rows, width) => {
        const ids = Array.from({ length: rows }, () => b.rng.int(VOCAB));
        const distinct = [...new Set(ids)];
        const order = distinct.flatMap((id) => [...ids.keys()].filter((n) => ids[n] === id));
        let begin = 0;
        const entries = distinct.flatMap((id) => {
          const end = begin + ids.filter((x) => x === id).length;
          const entry = [id, begin, end, 0];
          begin = end;
          return entry;
        });
        const dx = b.random(rows * width);
        const before = b.normal(VOCAB * width);
        const shared = { distinct: b.words(entries), order: b.words(order), dx, width };
        const parts = partsOf(counts).map((part) => ({ part, grad: b.put(rowsOf(before, part, width)) }));
        b.run(
          parts.map((p) => embedBackward({ ...shared, ...p })),
          dims({ tokens: rows, distinct: distinct.length }),
        );
        const expected = ref.add(ref.embeddingBackward(dx.host, ids, VOCAB, width), before);
        const errors = parts.map(({ part, grad }) => b.error(grad, rowsOf(expected, part, width)));
        return worst(...(await Promise.all(errors)));
      },
    ),
  ),
  ...each('18_scatter_rows', '', async (b, rows, width) => {
    const rowOf = Array.from({ length: rows }, (_, n) => (n % 3 === 1 ? NO_LABEL : Math.floor(n / 2)));
    const drow = b.random(rows * width);
    const dx = b.room(rows * width);
    b.run(scatterRows({ rowOf: b.words(rowOf), drow, dx, width }), dims({ tokens: rows }));
    const expected = new Float64Array(rows * width);
    rowOf.forEach((r, n) => {
      if (r !== NO_LABEL) expected.set(drow.host.subarray(r * width, (r + 1) * width), n * width);
    });
    return b.error(dx, expected);
  }),
];

const norms: Check[] = [
  ...each('02_rmsnorm', '', async (b, rows, width) => {
    const [x, w] = [b.random(rows * width), b.random(width)];
    const [y, rstd] = [b.room(rows * width), b.room(rows)];
    b.run(rmsnorm({ x, w, y, rstd, rows: 'tokens', width, eps: EPS }), dims({ tokens: rows }));
    return b.error(y, ref.rmsnorm(x.host, w.host, rows, width, EPS));
  }),
  ...each('02_rmsnorm', 'tiny values (epsilon matters): ', async (b, rows, width) => {
    const [x, w] = [b.random(rows * width, 1e-3), b.random(width)];
    const [y, rstd] = [b.room(rows * width), b.room(rows)];
    b.run(rmsnorm({ x, w, y, rstd, rows, width, eps: EPS }), dims({}));
    return b.error(y, ref.rmsnorm(x.host, w.host, rows, width, EPS));
  }),
  ...each('02_rmsnorm', 'after a residual sum: ', async (b, rows, width) => {
    const [x, delta, pert, w] = [0, 0, 0, 0].map(() => b.random(rows * width)) as [Slot, Slot, Slot, Slot];
    const [y, rstd, sum] = [b.room(rows * width), b.room(rows), b.room(rows * width)];
    const errors: number[] = [];
    for (const p of [undefined, pert]) {
      const extra = p ? { pert: p } : {};
      b.run(
        rmsnorm({ x, w, y, rstd, add: { delta, sum, ...extra }, rows: 'tokens', width, eps: EPS }),
        dims({ tokens: rows }),
      );
      const s = p ? ref.add(ref.add(x.host, delta.host), p.host) : ref.add(x.host, delta.host);
      errors.push(await b.error(sum, s), await b.error(y, ref.rmsnorm(s, w.host, rows, width, EPS)));
    }
    return worst(...errors);
  }),
  ...each('02_rmsnorm', 'of chosen rows: ', async (b, rows, width) => {
    const chosen = [...Array(rows).keys()].filter((n) => n % 3 !== 1).reverse();
    const [x, w] = [b.random(rows * width), b.random(width)];
    const [y, rstd, sum] = [
      b.room(chosen.length * width),
      b.room(chosen.length),
      b.room(chosen.length * width),
    ];
    b.run(
      rmsnorm({ x, w, y, rstd, gather: { rows: b.words(chosen), sum }, rows: 'rows', width, eps: EPS }),
      dims({ tokens: rows, rows: chosen.length }),
    );
    const s = ref.embedding(x.host, chosen, width);
    return worst(await b.error(sum, s), await b.error(y, ref.rmsnorm(s, w.host, chosen.length, width, EPS)));
  }),
  ...each('11_rmsnorm_backward, 12_rmsnorm_weight, 13_column_sum', 'added: ', async (b, rows, width) => {
    const [x, w, dy] = [b.random(rows * width), b.random(width), b.random(rows * width)];
    const [y, rstd] = [b.room(rows * width), b.room(rows)];
    const [dx0, dw0] = [b.normal(rows * width), b.normal(width)];
    const [dx, grad] = [b.put(dx0), b.put(dw0)];
    const partial = b.room(Math.ceil(rows / NORM_BLOCK) * width);
    const sizes = { rows: 'tokens' as const, width };
    b.run(
      [
        rmsnorm({ x, w, y, rstd, ...sizes, eps: EPS }),
        rmsnormBackward({ dy, x, w, rstd, dx, accumulate: true, ...sizes }),
        rmsnormWeight({ dy, x, rstd, partial, ...sizes }),
        columnSum({ partial, grad, norms: 1, ...sizes, partialStride: partial.length, gradStride: width }),
      ],
      dims({ tokens: rows }),
    );
    const expected = ref.rmsnormBackward(dy.host, x.host, w.host, rows, width, EPS);
    return worst(
      await b.error(dx, ref.add(expected.dx, dx0)),
      await b.error(grad, ref.add(expected.dw, dw0)),
    );
  }),
];

const rotary: Check[] = (
  [
    [1, [1], 1, 1, 2],
    [1, [7, 3], 3, 1, 10],
    [-1, [33, 1, 65], 4, 2, 6],
  ] as const
).map(([sign, lengths, heads, kvHeads, headDim]) => ({
  kernel: '04_rope',
  shape: `${sign > 0 ? 'forward' : 'backward'}, rows of ${lengths.join(', ')}; ${heads} + ${kvHeads} heads of ${headDim}`,
  tolerance: TOL,
  async run(b) {
    const positions = lengths.flatMap((n) => [...Array(n).keys()]);
    const n = positions.length;
    const invFreq = Float64Array.from({ length: headDim / 2 }, (_, i) => 100 ** ((-2 * i) / headDim));
    const longest = Math.max(...lengths);
    const table = new Float64Array(longest * headDim);
    for (let p = 0; p < longest; p++)
      invFreq.forEach((f, i) => table.set([Math.cos(p * f), Math.sin(p * f)], p * headDim + 2 * i));
    const rotated = (heads + kvHeads) * headDim;
    const stride = rotated + kvHeads * headDim;
    const qkv = b.random(n * stride);
    b.run(
      rope({
        tokens: b.words(tokenWords(lengths)),
        table: b.put(table),
        qkv,
        stride,
        heads: heads + kvHeads,
        headDim,
        sign,
      }),
      dims({ tokens: n }),
    );
    const turned = ref.rope(
      columns(qkv.host, stride, 0, rotated),
      heads + kvHeads,
      headDim,
      positions,
      invFreq,
      sign,
    );
    return b.error(qkv, beside(n, turned, columns(qkv.host, stride, rotated, kvHeads * headDim)));
  },
}));

const elementwise: Check[] = [
  ...each('06_swiglu', '', async (b, rows, width) => {
    const gu = b.random(rows * 2 * width, 3);
    const act = b.room(rows * width);
    b.run(swiglu({ gu, act, width }), dims({ tokens: rows }));
    const [gate, up] = [columns(gu.host, 2 * width, 0, width), columns(gu.host, 2 * width, width, width)];
    return b.error(act, ref.swiglu(gate, up));
  }),
  ...each('16_swiglu_backward', '', async (b, rows, width) => {
    const gu = b.random(rows * 2 * width, 3);
    const dact = b.random(rows * width);
    b.run(swigluBackward({ gu, dact, width }), dims({ tokens: rows }));
    const [gate, up] = [columns(gu.host, 2 * width, 0, width), columns(gu.host, 2 * width, width, width)];
    const { dgate, dup } = ref.swigluBackward(dact.host, gate, up);
    return b.error(gu, beside(rows, dgate, dup));
  }),
  ...each('07_add', 'with and without a perturbation: ', async (b, rows, width) => {
    const [x, y, pert] = [b.random(rows * width), b.random(rows * width), b.random(rows * width)];
    const [plain, pushed] = [b.room(rows * width), b.room(rows * width)];
    b.run(
      [
        add({ a: x, b: y, sum: plain, rows: 'tokens', width }),
        add({ a: x, b: y, sum: pushed, pert, rows: 'tokens', width }),
      ],
      dims({ tokens: rows }),
    );
    const sum = ref.add(x.host, y.host);
    return worst(await b.error(plain, sum), await b.error(pushed, ref.add(sum, pert.host)));
  }),
  ...each('40_combine', 'a x + b y, and a copy over NaN: ', async (b, rows, width) => {
    const [x, y] = [b.random(rows * width), b.random(rows * width)];
    const over = b.room(rows * width);
    b.run(
      [
        combine({ x, y, a: 0.25, b: -2, rows: 'tokens', width }),
        combine({ x, y: over, a: 1, b: 0, rows: 'tokens', width }),
      ],
      dims({ tokens: rows }),
    );
    const mixed = x.host.map((v, i) => 0.25 * v - 2 * y.host[i]!);
    return worst(await b.error(y, mixed), await b.error(over, x.host));
  }),
  ...each('42_copy', 'four times ', async (b, rows, width) => {
    const source = b.random(4 * rows * width);
    const to = b.room(4 * rows * width);
    b.run(copy({ source, to, count: 4 * rows * width }), dims({}));
    return b.error(to, source.host);
  }),
  ...each('43_row_distance', 'some rows equal: ', async (b, rows, width) => {
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
  }),
];

export const rowChecks: Check[] = [...embedding, ...norms, ...rotary, ...elementwise];
