import { describe, expect, it } from 'vitest';
import { parseLlamaConfig, tensorShapes } from '../../src/core/config.ts';
import { Rng } from '../../src/core/rng.ts';
import { IGNORE, type Batch } from '../../src/core/types.ts';
import * as llama from '../../src/reference/llama.ts';
import * as ops from '../../src/reference/ops.ts';
import * as preference from '../../src/reference/preference.ts';
import { relError } from '../../src/selfcheck/compare.ts';

const rng = new Rng('gradcheck');
const normal = (n: number): ops.Vec => Float64Array.from({ length: n }, () => rng.normal());
const dot = (a: ops.Vec, b: ops.Vec): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** Central differences of `f` by every element of `x`, or by the chosen ones. */
function numeric(f: () => number, x: ops.Vec, chosen: readonly number[] = [...x.keys()]): ops.Vec {
  const h = 1e-5;
  return Float64Array.from(chosen, (i) => {
    const before = x[i]!;
    x[i] = before + h;
    const above = f();
    x[i] = before - h;
    const below = f();
    x[i] = before;
    return (above - below) / (2 * h);
  });
}

/** The truncation of central differences leaves about 1e-9. */
const same = (analytic: ops.Vec, byDifferences: ops.Vec, what?: string): void => {
  expect(relError(analytic, byDifferences), what).toBeLessThan(1e-7);
};

describe("the reference's backward passes equal finite differences", () => {
  it.each([
    [1, 1, 1],
    [3, 7, 5],
    [2, 1, 9],
  ])('linear, %i rows, %i from %i', (rows, out, inner) => {
    const [x, w, c] = [normal(rows * inner), normal(out * inner), normal(rows * out)];
    const f = (): number => dot(c, ops.linear(x, w, rows, out, inner));
    const { dx, dw } = ops.linearBackward(c, x, w, rows, out, inner);
    same(dx, numeric(f, x));
    same(dw, numeric(f, w));
  });

  it('matmul in its three layouts is one product', () => {
    const [m, n, k] = [3, 5, 7];
    const [a, b] = [normal(m * k), normal(k * n)];
    const turn = (x: ops.Vec, rows: number): ops.Vec => {
      const columns = x.length / rows;
      return x.map((_, i) => x[(i % rows) * columns + Math.floor(i / rows)]!);
    };
    const product = ops.matmul('NN', a, b, m, n, k);
    expect(product[1]).toBeCloseTo(
      Array.from({ length: k }, (_, l) => a[l]! * b[l * n + 1]!).reduce((x, y) => x + y),
      12,
    );
    same(ops.matmul('NT', a, turn(b, k), m, n, k), product);
    same(ops.matmul('TN', turn(a, m), b, m, n, k), product);
  });

  it.each([
    [1, 1],
    [3, 7],
  ])('rmsnorm [%i, %i]', (rows, width) => {
    const [x, w, c] = [normal(rows * width), normal(width), normal(rows * width)];
    const eps = 0.3; // large, so that a wrong place of epsilon shows
    const f = (): number => dot(c, ops.rmsnorm(x, w, rows, width, eps));
    const { dx, dw } = ops.rmsnormBackward(c, x, w, rows, width, eps);
    same(dx, numeric(f, x));
    same(dw, numeric(f, w));
  });

  it('rope', () => {
    const [heads, headDim, positions] = [3, 6, [0, 1, 2, 0, 5]];
    const invFreq = Float64Array.of(1, 0.3, 0.01);
    const [x, c] = [normal(90), normal(90)];
    const f = (): number => dot(c, ops.rope(x, heads, headDim, positions, invFreq));
    same(ops.rope(c, heads, headDim, positions, invFreq, -1), numeric(f, x));
  });

  it.each([
    { lengths: [1], s: { heads: 1, kvHeads: 1, headDim: 1 } },
    { lengths: [3, 1, 7], s: { heads: 4, kvHeads: 2, headDim: 3 } },
    { lengths: [5, 2], s: { heads: 3, kvHeads: 1, headDim: 2 } },
  ])('attention %j', ({ lengths, s }) => {
    const n = lengths.reduce((a, b) => a + b, 0);
    const [q, c] = [normal(n * s.heads * s.headDim), normal(n * s.heads * s.headDim)];
    const [k, v] = [normal(n * s.kvHeads * s.headDim), normal(n * s.kvHeads * s.headDim)];
    const f = (): number => dot(c, ops.attention(q, k, v, lengths, s));
    const { dq, dk, dv } = ops.attentionBackward(c, q, k, v, lengths, s);
    if (n > 1) {
      same(dq, numeric(f, q));
      same(dk, numeric(f, k));
    }
    same(dv, numeric(f, v));
  });

  it('swiglu, cross-entropy and embedding', () => {
    const [gate, up, c] = [normal(9), normal(9), normal(9)];
    const glu = (): number => dot(c, ops.swiglu(gate, up));
    const { dgate, dup } = ops.swigluBackward(c, gate, up);
    same(dgate, numeric(glu, gate));
    same(dup, numeric(glu, up));

    const [logits, targets] = [normal(21), [4, IGNORE, 0]];
    const loss = (): number => 0.25 * ops.crossEntropy(logits, targets, 7).reduce((a, b) => a + b, 0);
    same(ops.crossEntropyBackward(logits, targets, 7, 0.25), numeric(loss, logits));

    const [table, ids, d] = [normal(12), [3, 0, 3, 1], normal(12)];
    const embed = (): number => dot(d, ops.embedding(table, ids, 3));
    same(ops.embeddingBackward(d, ids, 4, 3), numeric(embed, table));
  });

  it.each([true, false])('the whole network with taps, tied = %s', (tied) => {
    const config = parseLlamaConfig({
      model_type: 'llama',
      vocab_size: 13,
      hidden_size: 7,
      intermediate_size: 5,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 4,
      rms_norm_eps: 0.01,
      rope_theta: 50,
      tie_word_embeddings: tied,
    });
    const params: llama.Params = new Map(
      [...tensorShapes(config)].map(([name, shape]) => [
        name,
        normal(shape.reduce((a, b) => a * b)).map((x) => x * 0.7),
      ]),
    );
    const batch: Batch = [
      { ids: [1, 5, 5, 12], labels: [1, IGNORE, 5, 12] },
      { ids: [2], labels: [2] },
      { ids: [0, 7, 3], labels: [IGNORE, 7, 3] },
    ];
    const width = 8 * config.hidden_size;
    const perLayer = (): ops.Vec[] => [normal(width), normal(width)];
    const perturb = { attn: perLayer(), hidden: perLayer() };
    const inject = { attn: perLayer(), hidden: perLayer() };
    // An injected gradient is that of a further loss, linear in the values at the taps.
    const loss = (): number => {
      const f = llama.forward(config, params, batch, perturb);
      let sum = f.tokenLoss.reduce((a, b) => a + b, 0) / f.labels;
      for (let l = 0; l < 2; l++)
        sum +=
          dot(inject.attn[l]!, ops.add(f.attnOut[l]!, perturb.attn[l]!)) +
          dot(inject.hidden[l]!, ops.add(f.hiddenOut[l]!, perturb.hidden[l]!));
      return sum;
    };
    const f = llama.forward(config, params, batch, perturb);
    expect(f.labels).toBe(4);
    const back = llama.backward(config, params, f, 1 / f.labels, inject);
    for (const [name, p] of params) {
      const chosen = rng.sample([...p.keys()], Math.min(12, p.length));
      const analytic = Float64Array.from(chosen, (i) => back.grads.get(name)![i]!);
      same(analytic, numeric(loss, p, chosen), name);
    }
    for (let l = 0; l < 2; l++) {
      const chosen = rng.sample([...perturb.attn[l]!.keys()], 12);
      const at = (g: ops.Vec): ops.Vec => Float64Array.from(chosen, (i) => g[i]!);
      same(at(back.attn[l]!), numeric(loss, perturb.attn[l]!, chosen), `attn ${l}`);
      same(at(back.hidden[l]!), numeric(loss, perturb.hidden[l]!, chosen), `hidden ${l}`);
    }
  });

  it('weighted rows and preference losses', () => {
    const config = parseLlamaConfig({
      model_type: 'llama',
      vocab_size: 13,
      hidden_size: 7,
      intermediate_size: 5,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 4,
      rms_norm_eps: 0.01,
      rope_theta: 50,
      tie_word_embeddings: true,
    });
    const weights = (): llama.Params =>
      new Map(
        [...tensorShapes(config)].map(([name, shape]) => [
          name,
          normal(shape.reduce((a, b) => a * b)).map((x) => x * 0.7),
        ]),
      );
    const [params, frozen] = [weights(), weights()];
    const chosen: Batch = [
      { ids: [1, 5, 5, 12, 2], labels: [1, IGNORE, 5, 12, 2] },
      { ids: [3, 8], labels: [IGNORE, 8] },
    ];
    const rejected: Batch = [
      { ids: [1, 5, 9], labels: [IGNORE, IGNORE, 9] },
      { ids: [3, 11, 0, 4], labels: [IGNORE, 11, 0, 4] },
    ];
    const weighted = [...chosen, ...rejected].map((row, r) => ({ ...row, weight: [2, -0.5, 0.1, 1.5][r]! }));
    const losses = {
      weighted: () => llama.gradient(config, params, [weighted]),
      simpo: () => preference.simpo(config, params, chosen, rejected, { beta: 2, gamma: 0.7, sft: 0.4 }),
      dpo: () => preference.dpo(config, params, frozen, chosen, rejected, 0.6),
    };
    for (const [what, of] of Object.entries(losses)) {
      const { grads } = of();
      for (const [name, p] of params) {
        const at = rng.sample([...p.keys()], Math.min(6, p.length));
        const analytic = Float64Array.from(at, (i) => grads.get(name)![i]!);
        same(
          analytic,
          numeric(() => of().loss, p, at),
          `${what} ${name}`,
        );
      }
    }
  });

  it('clipping and AdamW do what their formulas say', () => {
    expect(ops.clipScale(2, 0)).toBe(1);
    expect(ops.clipScale(0.5, 1)).toBe(1);
    expect(ops.clipScale(4, 1)).toBeCloseTo(0.25, 6);
    const [p, m, v] = [Float64Array.of(1), Float64Array.of(0), Float64Array.of(0)];
    ops.adamw(p, Float64Array.of(-3), m, v, {
      lr: 0.1,
      betas: [0.9, 0.99],
      eps: 1e-8,
      weight_decay: 0.5,
      step: 1,
    });
    expect(p[0]).toBeCloseTo(1 - 0.05 + 0.1, 7); // the first step has the size of the rate, whatever the gradient
  });
});
