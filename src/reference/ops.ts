/**
 * The engine's operations as plain float64 loops, each forward beside its backward: the oracle of the tests and of the
 * self-check. Written to be read, not to be fast. Matrices are row-major; backwards return fresh arrays.
 */
import { IGNORE } from '../core/types.ts';

export type Vec = Float64Array;

/** C [m, n] = A B with A [m, k] ([k, m] in TN) and B [k, n] ([n, k] in NT). */
export function matmul(layout: 'NN' | 'NT' | 'TN', a: Vec, b: Vec, m: number, n: number, k: number): Vec {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) {
        const x = layout === 'TN' ? a[l * m + i]! : a[i * k + l]!;
        const y = layout === 'NT' ? b[j * k + l]! : b[l * n + j]!;
        sum += x * y;
      }
      c[i * n + j] = sum;
    }
  return c;
}

/** y [rows, out] = x [rows, in] Wᵀ, W [out, in] as Hugging Face stores it. */
export function linear(x: Vec, w: Vec, rows: number, out: number, inner: number): Vec {
  return matmul('NT', x, w, rows, out, inner);
}

export function linearBackward(
  dy: Vec,
  x: Vec,
  w: Vec,
  rows: number,
  out: number,
  inner: number,
): { dx: Vec; dw: Vec } {
  return { dx: matmul('NN', dy, w, rows, inner, out), dw: matmul('TN', dy, x, out, inner, rows) };
}

export function add(a: Vec, b: Vec): Vec {
  return a.map((x, i) => x + b[i]!);
}

/** x [ids, width] = table[ids]. */
export function embedding(table: Vec, ids: readonly number[], width: number): Vec {
  const x = new Float64Array(ids.length * width);
  ids.forEach((id, n) => x.set(table.subarray(id * width, (id + 1) * width), n * width));
  return x;
}

export function embeddingBackward(dx: Vec, ids: readonly number[], vocab: number, width: number): Vec {
  const dTable = new Float64Array(vocab * width);
  ids.forEach((id, n) => {
    for (let c = 0; c < width; c++) dTable[id * width + c]! += dx[n * width + c]!;
  });
  return dTable;
}

/** y = w x / sqrt(mean(x^2) + eps) by rows (Zhang and Sennrich 2019). */
export function rmsnorm(x: Vec, w: Vec, rows: number, width: number, eps: number): Vec {
  const y = new Float64Array(x.length);
  for (let n = 0; n < rows; n++) {
    const r = rstd(x, n, width, eps);
    for (let c = 0; c < width; c++) y[n * width + c] = w[c]! * x[n * width + c]! * r;
  }
  return y;
}

function rstd(x: Vec, n: number, width: number, eps: number): number {
  let squares = 0;
  for (let c = 0; c < width; c++) squares += x[n * width + c]! ** 2;
  return 1 / Math.sqrt(squares / width + eps);
}

export function rmsnormBackward(
  dy: Vec,
  x: Vec,
  w: Vec,
  rows: number,
  width: number,
  eps: number,
): { dx: Vec; dw: Vec } {
  const dx = new Float64Array(x.length);
  const dw = new Float64Array(width);
  for (let n = 0; n < rows; n++) {
    const r = rstd(x, n, width, eps);
    let dot = 0;
    for (let c = 0; c < width; c++) {
      const at = n * width + c;
      dot += dy[at]! * w[c]! * x[at]!;
      dw[c]! += dy[at]! * x[at]! * r;
    }
    for (let c = 0; c < width; c++) {
      const at = n * width + c;
      dx[at] = r * (dy[at]! * w[c]! - (x[at]! * r * r * dot) / width);
    }
  }
  return { dx, dw };
}

/**
 * Rotates every head of x [positions, heads * headDim] by its row's position, pairing i with i + headDim / 2 (Su et
 * al. 2021; rotate_half). The backward pass is the rotation by `sign` -1.
 */
export function rope(
  x: Vec,
  heads: number,
  headDim: number,
  positions: readonly number[],
  invFreq: Float64Array,
  sign: 1 | -1 = 1,
): Vec {
  const y = new Float64Array(x.length);
  const half = headDim / 2;
  positions.forEach((position, n) => {
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < half; i++) {
        const at = (n * heads + h) * headDim + i;
        const cos = Math.cos(position * invFreq[i]!);
        const sin = sign * Math.sin(position * invFreq[i]!);
        y[at] = x[at]! * cos - x[at + half]! * sin;
        y[at + half] = x[at + half]! * cos + x[at]! * sin;
      }
  });
  return y;
}

/** Query heads, key/value heads and their width; query head h reads key/value head floor(h / (heads / kvHeads)). */
export interface HeadShape {
  heads: number;
  kvHeads: number;
  headDim: number;
}

/** Calls `visit` for every (head, query token): its causal softmax over tokens first .. n of its row. */
function eachSoftmax(
  q: Vec,
  k: Vec,
  lengths: readonly number[],
  s: HeadShape,
  visit: (p: Vec, first: number, n: number, head: number, kvHead: number) => void,
): void {
  const scale = 1 / Math.sqrt(s.headDim);
  let first = 0;
  for (const length of lengths) {
    for (let n = first; n < first + length; n++)
      for (let h = 0; h < s.heads; h++) {
        const kv = Math.floor(h / (s.heads / s.kvHeads));
        const p = new Float64Array(n - first + 1);
        for (let j = first; j <= n; j++) {
          let dot = 0;
          for (let d = 0; d < s.headDim; d++)
            dot += q[(n * s.heads + h) * s.headDim + d]! * k[(j * s.kvHeads + kv) * s.headDim + d]!;
          p[j - first] = dot * scale;
        }
        const lse = logSumExp(p);
        for (let j = 0; j < p.length; j++) p[j] = Math.exp(p[j]! - lse);
        visit(p, first, n, h, kv);
      }
    first += length;
  }
}

export function logSumExp(xs: Vec): number {
  let top = -Infinity;
  for (const x of xs) top = Math.max(top, x);
  let sum = 0;
  for (const x of xs) sum += Math.exp(x - top);
  return top + Math.log(sum);
}

/**
 * Causal attention of rows packed one behind the other (`lengths`): q [tokens, heads * headDim], k and v
 * [tokens, kvHeads * headDim] -> [tokens, heads * headDim]. Scores are scaled by 1 / sqrt(headDim).
 */
export function attention(q: Vec, k: Vec, v: Vec, lengths: readonly number[], s: HeadShape): Vec {
  const out = new Float64Array(q.length);
  eachSoftmax(q, k, lengths, s, (p, first, n, h, kv) => {
    for (let j = 0; j < p.length; j++)
      for (let d = 0; d < s.headDim; d++)
        out[(n * s.heads + h) * s.headDim + d]! += p[j]! * v[((first + j) * s.kvHeads + kv) * s.headDim + d]!;
  });
  return out;
}

export function attentionBackward(
  dout: Vec,
  q: Vec,
  k: Vec,
  v: Vec,
  lengths: readonly number[],
  s: HeadShape,
): { dq: Vec; dk: Vec; dv: Vec } {
  const dq = new Float64Array(q.length);
  const dk = new Float64Array(k.length);
  const dv = new Float64Array(v.length);
  const scale = 1 / Math.sqrt(s.headDim);
  eachSoftmax(q, k, lengths, s, (p, first, n, h, kv) => {
    const at = (n * s.heads + h) * s.headDim;
    const dp = new Float64Array(p.length);
    let mean = 0;
    for (let j = 0; j < p.length; j++) {
      const key = ((first + j) * s.kvHeads + kv) * s.headDim;
      for (let d = 0; d < s.headDim; d++) {
        dp[j]! += dout[at + d]! * v[key + d]!;
        dv[key + d]! += p[j]! * dout[at + d]!;
      }
      mean += p[j]! * dp[j]!;
    }
    for (let j = 0; j < p.length; j++) {
      const key = ((first + j) * s.kvHeads + kv) * s.headDim;
      const ds = p[j]! * (dp[j]! - mean) * scale;
      for (let d = 0; d < s.headDim; d++) {
        dq[at + d]! += ds * k[key + d]!;
        dk[key + d]! += ds * q[at + d]!;
      }
    }
  });
  return { dq, dk, dv };
}

/** silu(gate) * up, silu(z) = z / (1 + exp(-z)) (Shazeer 2020). */
export function swiglu(gate: Vec, up: Vec): Vec {
  return gate.map((z, i) => (z / (1 + Math.exp(-z))) * up[i]!);
}

export function swigluBackward(dy: Vec, gate: Vec, up: Vec): { dgate: Vec; dup: Vec } {
  const sigmoid = gate.map((z) => 1 / (1 + Math.exp(-z)));
  return {
    dgate: gate.map((z, i) => dy[i]! * up[i]! * sigmoid[i]! * (1 + z * (1 - sigmoid[i]!))),
    dup: gate.map((z, i) => dy[i]! * z * sigmoid[i]!),
  };
}

/** -log softmax(logits)[target] by rows of logits [targets, vocab]; 0 where the target is IGNORE. */
export function crossEntropy(logits: Vec, targets: readonly number[], vocab: number): Vec {
  return Float64Array.from(targets, (target, n) => {
    if (target === IGNORE) return 0;
    return logSumExp(logits.subarray(n * vocab, (n + 1) * vocab)) - logits[n * vocab + target]!;
  });
}

/** Gradient of scale * sum of crossEntropy by the logits; a scale for every target, or one for all. */
export function crossEntropyBackward(
  logits: Vec,
  targets: readonly number[],
  vocab: number,
  scale: number | Vec,
): Vec {
  const dlogits = new Float64Array(logits.length);
  targets.forEach((target, n) => {
    if (target === IGNORE) return;
    const row = logits.subarray(n * vocab, (n + 1) * vocab);
    const lse = logSumExp(row);
    const by = typeof scale === 'number' ? scale : scale[n]!;
    for (let c = 0; c < vocab; c++)
      dlogits[n * vocab + c] = by * (Math.exp(row[c]! - lse) - (c === target ? 1 : 0));
  });
  return dlogits;
}

/** Sum of p log p of every row's distribution over the vocabulary. */
export function negativeEntropy(logits: Vec, rows: number, vocab: number): Vec {
  return Float64Array.from({ length: rows }, (_, n) => {
    const row = logits.subarray(n * vocab, (n + 1) * vocab);
    const lse = logSumExp(row);
    return row.reduce((sum, z) => sum + Math.exp(z - lse) * (z - lse), 0);
  });
}

/** Gradient of the sum of scale[n] negativeEntropy[n] by the logits. */
export function negativeEntropyBackward(logits: Vec, rows: number, vocab: number, scale: Vec): Vec {
  const sums = negativeEntropy(logits, rows, vocab);
  return logits.map((z, i) => {
    const n = Math.floor(i / vocab);
    const lp = z - logSumExp(logits.subarray(n * vocab, (n + 1) * vocab));
    return scale[n]! * Math.exp(lp) * (lp - sums[n]!);
  });
}

/** Factor that brings a gradient of global norm `norm` to at most `clip`; 0 = off. */
export function clipScale(norm: number, clip: number): number {
  return clip > 0 ? Math.min(1, clip / (norm + 1e-6)) : 1;
}

export interface AdamWSettings {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  /** 0 for tensors that do not decay. */
  weight_decay: number;
  /** From 1. */
  step: number;
}

/** torch.optim.AdamW (Loshchilov and Hutter 2019); changes p, m and v in place. */
export function adamw(p: Vec, g: Vec, m: Vec, v: Vec, o: AdamWSettings): void {
  const [b1, b2] = o.betas;
  for (let i = 0; i < p.length; i++) {
    p[i]! *= 1 - o.lr * o.weight_decay;
    m[i] = b1 * m[i]! + (1 - b1) * g[i]!;
    v[i] = b2 * v[i]! + (1 - b2) * g[i]! ** 2;
    const mHat = m[i]! / (1 - b1 ** o.step);
    const vHat = v[i]! / (1 - b2 ** o.step);
    p[i]! -= (o.lr * mHat) / (Math.sqrt(vHat) + o.eps);
  }
}
