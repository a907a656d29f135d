/** @jax-js/jax on WebGPU: the whole step in one jit, AdamW written out (its optimizer package is not on npm). */
import {
  c,
  decode,
  finish,
  headDim,
  ids,
  installGpu,
  layer,
  measure,
  NEW,
  NORM_EPS,
  OPTIM,
  PROMPT,
  rotary,
  wanted,
  weights,
} from './common.mjs';

polyfillIterators();
await installGpu();
const {
  init,
  defaultDevice,
  numpy: np,
  nn,
  jit,
  valueAndGrad,
  tree,
  blockUntilReady,
} = await import('@jax-js/jax');
await init('webgpu');
defaultDevice('webgpu');

const tokens = c.rows * c.seq;
const isMatrix = (name) => weights.get(name).shape.length > 1;
const byName = (make) =>
  Object.fromEntries([...weights.keys()].map((name) => [name, make(weights.get(name))]));
const table = rotary();
const positions = (from, count) =>
  [table.cos, table.sin].map((x) =>
    np.array(x.slice((from * headDim) / 2, ((from + count) * headDim) / 2)).reshape([count, 1, headDim / 2]),
  );

// Every value is used up by the call that takes it; `.ref` keeps one for another use.
const norm = (x, w) => {
  const square = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.mul(np.reciprocal(np.sqrt(square.add(NORM_EPS)))).mul(w);
};
const turn = (x, cos, sin) => {
  const [a, b] = np.split(x, 2, -1);
  return np.concatenate([a.ref.mul(cos.ref).sub(b.ref.mul(sin.ref)), b.mul(cos).add(a.mul(sin))], -1);
};
const mlp = (p, l, y) => {
  const gate = nn.silu(np.matmul(y.ref, p[layer(l, 'gate')]));
  return np.matmul(gate.mul(np.matmul(y, p[layer(l, 'up')])), p[layer(l, 'down')]);
};

function logits(p, batch, cos, sin) {
  let x = np.take(p.embed_tokens.ref, batch, 0);
  for (let l = 0; l < c.layers; l++) {
    const y = norm(x.ref, p[layer(l, 'norm1')]);
    const heads = (name, n) => np.matmul(y.ref, p[layer(l, name)]).reshape([c.rows, c.seq, n, headDim]);
    const q = turn(heads('q', c.heads), cos.ref, sin.ref);
    const k = turn(heads('k', c.kvHeads), cos.ref, sin.ref);
    const v = heads('v', c.kvHeads);
    y.dispose();
    const out = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([c.rows, c.seq, c.hidden]);
    x = x.add(np.matmul(out, p[layer(l, 'o')]));
    const z = norm(x.ref, p[layer(l, 'norm2')]);
    x = x.add(mlp(p, l, z));
  }
  cos.dispose();
  sin.dispose();
  return np.matmul(norm(x, p.norm).reshape([tokens, c.hidden]), np.transpose(p.embed_tokens));
}

const lossOf = (p, batch, labels, cos, sin) =>
  np.sum(nn.logSoftmax(logits(p, batch, cos, sin), -1).mul(nn.oneHot(labels, c.vocab))).mul(-1 / tokens);

function adamw(p, g, m, v, scale1, scale2) {
  const next = [{}, {}, {}];
  for (const name of Object.keys(p)) {
    const m1 = m[name].mul(OPTIM.b1).add(g[name].ref.mul(1 - OPTIM.b1));
    const v1 = v[name].mul(OPTIM.b2).add(np.square(g[name]).mul(1 - OPTIM.b2));
    next[1][name] = m1.ref;
    next[2][name] = v1.ref;
    let change = m1.mul(scale1.ref).div(np.sqrt(v1.mul(scale2.ref)).add(OPTIM.eps));
    if (isMatrix(name)) change = change.add(p[name].ref.mul(OPTIM.decay));
    next[0][name] = p[name].sub(change.mul(OPTIM.lr));
  }
  scale1.dispose();
  scale2.dispose();
  return next;
}

const step = jit((p, m, v, scale1, scale2, batch, labels, cos, sin) => {
  const [loss, g] = valueAndGrad(lossOf)(tree.ref(p), batch, labels, cos, sin);
  return [...adamw(p, g, m, v, scale1, scale2), loss];
});

let params = byName(({ shape, data }) => np.array(data).reshape(shape));
let [m, v] = [0, 1].map(() => byName(({ shape }) => np.zeros(shape)));
const batch = np.array(ids).reshape([c.rows, c.seq]);
const labels = np.array(wanted);
const [cos, sin] = positions(0, c.seq);

const training = await measure(async (i) => {
  const scale = (b) => np.array(1 / (1 - b ** (i + 1)));
  let loss;
  [params, m, v, loss] = step(
    params,
    m,
    v,
    scale(OPTIM.b1),
    scale(OPTIM.b2),
    batch.ref,
    labels.ref,
    cos.ref,
    sin.ref,
  );
  const value = (await loss.data())[0];
  await blockUntilReady(params);
  return value;
});

// Decoding: a cache of fixed length, written by a one-hot position; one jit for a token.
const room = PROMPT + NEW;
const decodeStep = jit((p, K, V, id, at, mask, cosHere, sinHere) => {
  let x = np.take(p.embed_tokens.ref, id, 0);
  const keys = [];
  const values = [];
  for (let l = 0; l < c.layers; l++) {
    const y = norm(x.ref, p[layer(l, 'norm1')]);
    const heads = (name, n) => np.matmul(y.ref, p[layer(l, name)]).reshape([1, n, headDim]);
    const q = turn(heads('q', c.heads), cosHere.ref, sinHere.ref);
    const k = turn(heads('k', c.kvHeads), cosHere.ref, sinHere.ref);
    const value = heads('v', c.kvHeads);
    y.dispose();
    const put = (cache, now) => cache.mul(np.subtract(1, at.ref)).add(now.mul(at.ref));
    const allK = put(K[l], k);
    const allV = put(V[l], value);
    keys.push(allK.ref);
    values.push(allV.ref);
    const grouped = q.reshape([c.kvHeads, c.heads / c.kvHeads, headDim]);
    const scores = np
      .einsum('grd,tgd->grt', grouped, allK)
      .mul(1 / Math.sqrt(headDim))
      .add(mask.ref);
    const out = np.einsum('grt,tgd->grd', nn.softmax(scores, -1), allV).reshape([1, c.hidden]);
    x = x.add(np.matmul(out, p[layer(l, 'o')]));
    const z = norm(x.ref, p[layer(l, 'norm2')]);
    x = x.add(mlp(p, l, z));
  }
  for (const used of [at, mask, cosHere, sinHere]) used.dispose();
  return [np.argmax(np.matmul(norm(x, p.norm), np.transpose(p.embed_tokens)), -1), keys, values];
});
let [K, V] = [0, 1].map(() => Array.from({ length: c.layers }, () => np.zeros([room, c.kvHeads, headDim])));
const decoding = await decode(async (id, i) => {
  const each = (f) => np.array(Float32Array.from({ length: room }, (_, j) => f(j)));
  let likeliest;
  [likeliest, K, V] = decodeStep(
    tree.ref(params),
    K,
    V,
    np.array(Int32Array.of(id)),
    each((j) => Number(j === i)).reshape([room, 1, 1]),
    each((j) => (j <= i ? 0 : -1e30)),
    ...positions(i, 1),
  );
  return (await likeliest.data())[0];
});
finish({ ...training, ...decoding });

/** The package uses Iterator helpers, which Node has from 22 on and browsers have had longer. */
function polyfillIterators() {
  const proto = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  const lazy = {
    *map(f) {
      let i = 0;
      for (const x of this) yield f(x, i++);
    },
    *filter(f) {
      let i = 0;
      for (const x of this) if (f(x, i++)) yield x;
    },
    *flatMap(f) {
      for (const x of this) yield* f(x);
    },
    *take(n) {
      for (const x of this) {
        if (n-- <= 0) return;
        yield x;
      }
    },
  };
  const eager = Object.fromEntries(
    ['some', 'every', 'find', 'forEach', 'reduce'].map((name) => [
      name,
      function (...a) {
        return [...this][name](...a);
      },
    ]),
  );
  eager.toArray = function () {
    return [...this];
  };
  for (const [name, f] of Object.entries({ ...lazy, ...eager })) proto[name] ??= f;
}
