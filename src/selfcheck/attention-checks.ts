import { attention, attentionBackward, attentionDecode, cacheAppend } from '../kernels/attention.ts';
import * as ref from '../reference/ops.ts';
import { beside, columns, dims, TOL, tokenWords, worst, type Bench, type Check, type Slot } from './bench.ts';

const SHAPES: { lengths: number[]; s: ref.HeadShape }[] = [
  { lengths: [1], s: { heads: 1, kvHeads: 1, headDim: 2 } },
  { lengths: [3, 7, 1, 9], s: { heads: 3, kvHeads: 1, headDim: 32 } },
  { lengths: [33, 65], s: { heads: 6, kvHeads: 2, headDim: 10 } },
];

const words = (lengths: readonly number[], s: ref.HeadShape): string =>
  `rows of ${lengths.join(', ')}; ${s.heads} heads of ${s.headDim}, ${s.kvHeads} for keys`;

interface Setup {
  tokens: number;
  token: Slot;
  qkv: Slot;
  q: Float64Array;
  k: Float64Array;
  v: Float64Array;
}

function setup(b: Bench, lengths: readonly number[], s: ref.HeadShape): Setup {
  const tokens = lengths.reduce((x, y) => x + y, 0);
  const [q, kv] = [s.heads * s.headDim, s.kvHeads * s.headDim];
  const stride = q + 2 * kv;
  const qkv = b.random(tokens * stride, 1.5);
  return {
    tokens,
    token: b.words(tokenWords(lengths)),
    qkv,
    q: columns(qkv.host, stride, 0, q),
    k: columns(qkv.host, stride, q, kv),
    v: columns(qkv.host, stride, q + kv, kv),
  };
}

const forwardAndBackward = SHAPES.flatMap(({ lengths, s }): Check[] => {
  const forward = async (b: Bench) => {
    const t = setup(b, lengths, s);
    const out = b.room(t.tokens * s.heads * s.headDim);
    const lse = b.room(t.tokens * s.heads);
    b.run(attention(b.gpu, s, { tokens: t.token, qkv: t.qkv, out, lse }), dims({ tokens: t.tokens }));
    return { ...t, out, lse };
  };
  return [
    {
      kernel: '05_attention_*',
      shape: words(lengths, s),
      tolerance: TOL,
      async run(b) {
        const t = await forward(b);
        return b.error(t.out, ref.attention(t.q, t.k, t.v, lengths, s));
      },
    },
    {
      kernel: '14_attention_dq_*, 15_attention_dkv_*',
      shape: words(lengths, s),
      tolerance: TOL,
      async run(b) {
        const t = await forward(b);
        const dout = b.random(t.out.length);
        const delta = b.room(t.tokens * s.heads);
        const dqkv = b.room(t.qkv.length);
        const { token, qkv, out, lse, tokens } = t;
        const ops = attentionBackward(b.gpu, s, { tokens: token, qkv, out, lse, dout, delta, dqkv });
        b.run(ops, dims({ tokens }));
        const { dq, dk, dv } = ref.attentionBackward(dout.host, t.q, t.k, t.v, lengths, s);
        // A row of one token has no gradient for queries and keys: compare the parts together.
        return b.error(dqkv, beside(tokens, dq, dk, dv));
      },
    },
  ];
});

/** Rows grow token by token through the cache: the last query of each row against the reference's last token. */
const decode = SHAPES.map(({ lengths, s }): Check => ({
  kernel: '30_cache_append, 31_attention_decode',
  shape: words(lengths, s),
  tolerance: TOL,
  async run(b) {
    const t = setup(b, lengths, s);
    const [q, kv] = [s.heads * s.headDim, s.kvHeads * s.headDim];
    const positions = Math.max(...lengths) + 3;
    const cache = b.put(new Float64Array(lengths.length * positions * 2 * kv));
    b.run(cacheAppend(s, { tokens: t.token, qkv: t.qkv, cache, positions }), dims({ tokens: t.tokens }));

    const ends = lengths.map((_, r) => lengths.slice(0, r + 1).reduce((x, y) => x + y, 0) - 1);
    const last = (x: Float64Array, width: number): Float64Array => {
      const rows = ends.map((n) => x.subarray(n * width, (n + 1) * width));
      return Float64Array.from(rows.flatMap((row) => [...row]));
    };
    const token = b.words(ends.flatMap((_, r) => [lengths[r]! - 1, r, r + 1, r]));
    const qkv = b.put(last(t.qkv.host, q + 2 * kv));
    const out = b.room(lengths.length * q);
    b.run(
      attentionDecode(s, { tokens: token, qkv, cache, out, positions }),
      dims({ tokens: lengths.length }),
    );
    const expected = new Float64Array(cache.length);
    let n = 0;
    lengths.forEach((length, r) => {
      for (let i = 0; i < length; i++, n++)
        expected.set(
          [...t.k.subarray(n * kv, (n + 1) * kv), ...t.v.subarray(n * kv, (n + 1) * kv)],
          (r * positions + i) * 2 * kv,
        );
    });
    return worst(
      await b.error(cache, expected),
      await b.error(out, last(ref.attention(t.q, t.k, t.v, lengths, s), q)),
    );
  },
}));

export const attentionChecks: Check[] = [...forwardAndBackward, ...decode];
