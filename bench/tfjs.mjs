/** TensorFlow.js on WebGPU: its gradients over a Llama made of its ops, AdamW written out. */
import { createRequire } from 'node:module';
import {
  c,
  decode,
  finish,
  headDim,
  ids,
  installGpu,
  layer,
  measure,
  NORM_EPS,
  OPTIM,
  PROMPT,
  rotary,
  wanted,
  weights,
} from './common.mjs';

await installGpu();
globalThis.window ??= globalThis;
globalThis.self ??= globalThis;
globalThis.OffscreenCanvas ??= class {
  getContext() {
    return null;
  }
};
const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs');
const { WebGPUBackend } = require('@tensorflow/tfjs-backend-webgpu');
if (!tf.findBackendFactory('webgpu'))
  // It registers itself in browsers only.
  tf.registerBackend('webgpu', async () => {
    const adapter = await navigator.gpu.requestAdapter();
    const names = [
      'maxComputeWorkgroupStorageSize',
      'maxComputeWorkgroupsPerDimension',
      'maxStorageBufferBindingSize',
      'maxBufferSize',
      'maxComputeWorkgroupSizeX',
      'maxComputeInvocationsPerWorkgroup',
    ];
    const requiredLimits = Object.fromEntries(names.map((name) => [name, adapter.limits[name]]));
    return new WebGPUBackend(await adapter.requestDevice({ requiredLimits }), adapter.info);
  });
if (!(await tf.setBackend('webgpu'))) throw new Error('tfjs took no WebGPU backend');
await tf.ready();

const names = [...weights.keys()];
const make = (of) => Object.fromEntries(names.map((name) => [name, of(weights.get(name), name)]));
const P = make(({ shape, data }, name) => tf.variable(tf.tensor(data, shape), true, name));
const [M, V] = [0, 1].map(() => make(({ shape }) => tf.variable(tf.zeros(shape), false)));
const table = rotary();
const [cos, sin] = [table.cos, table.sin].map((x) => tf.tensor(x, [c.seq, headDim / 2]));
const future = (_, i) => (i % c.seq > Math.floor(i / c.seq) ? -1e9 : 0);
const mask = tf.tensor(Float32Array.from({ length: c.seq ** 2 }, future), [c.seq, c.seq]);

const norm = (x, w) => {
  const square = tf.mean(tf.square(x), -1, true);
  return tf.mul(tf.mul(x, tf.rsqrt(tf.add(square, NORM_EPS))), w);
};
const turn = (x, cosHere, sinHere) => {
  const [a, b] = tf.split(x, 2, -1);
  return tf.concat(
    [tf.sub(tf.mul(a, cosHere), tf.mul(b, sinHere)), tf.add(tf.mul(b, cosHere), tf.mul(a, sinHere))],
    -1,
  );
};

/** Logits of `rows` rows of `length` tokens; with a cache, of tokens that follow what stands in it. */
function logits(batch, rows, length, cosHere, sinHere, causal, cache) {
  let x = tf.gather(P.embed_tokens, batch);
  for (let l = 0; l < c.layers; l++) {
    const y = norm(x, P[layer(l, 'norm1')]);
    const heads = (name, n) =>
      tf.transpose(tf.reshape(tf.matMul(y, P[layer(l, name)]), [rows, length, n, headDim]), [0, 2, 1, 3]);
    const q = turn(heads('q', c.heads), cosHere, sinHere);
    let k = turn(heads('k', c.kvHeads), cosHere, sinHere);
    let v = heads('v', c.kvHeads);
    if (cache) {
      if (cache[l]) [k, v] = [tf.concat([cache[l][0], k], 2), tf.concat([cache[l][1], v], 2)];
      cache[l] = [k, v];
    }
    const all = k.shape[2];
    const repeated = (t) => {
      const times = c.heads / c.kvHeads;
      const flat = tf.reshape(t, [rows, c.kvHeads, 1, all * headDim]);
      return tf.reshape(tf.tile(flat, [1, 1, times, 1]), [rows, c.heads, all, headDim]);
    };
    let scores = tf.mul(tf.matMul(q, repeated(k), false, true), 1 / Math.sqrt(headDim));
    if (causal) scores = tf.add(scores, causal);
    const out = tf.transpose(tf.matMul(tf.softmax(scores), repeated(v)), [0, 2, 1, 3]);
    x = tf.add(x, tf.matMul(tf.reshape(out, [rows * length, c.hidden]), P[layer(l, 'o')]));
    const z = norm(x, P[layer(l, 'norm2')]);
    const gate = tf.matMul(z, P[layer(l, 'gate')]);
    const act = tf.mul(tf.mul(gate, tf.sigmoid(gate)), tf.matMul(z, P[layer(l, 'up')]));
    x = tf.add(x, tf.matMul(act, P[layer(l, 'down')]));
  }
  return tf.matMul(norm(x, P.norm), P.embed_tokens, false, true);
}

const batch = tf.tensor1d(ids, 'int32');
const hot = tf.cast(tf.oneHot(tf.tensor1d(wanted, 'int32'), c.vocab), 'float32');
const lossOf = () =>
  tf.neg(tf.mean(tf.sum(tf.mul(hot, tf.logSoftmax(logits(batch, c.rows, c.seq, cos, sin, mask))), -1)));

const training = await measure(async (i) => {
  const loss = tf.tidy(() => {
    const { value, grads } = tf.variableGrads(
      lossOf,
      names.map((name) => P[name]),
    );
    const scale = (b) => 1 / (1 - b ** (i + 1));
    for (const name of names) {
      const g = grads[name];
      M[name].assign(tf.add(tf.mul(M[name], OPTIM.b1), tf.mul(g, 1 - OPTIM.b1)));
      V[name].assign(tf.add(tf.mul(V[name], OPTIM.b2), tf.mul(tf.square(g), 1 - OPTIM.b2)));
      const root = tf.add(tf.sqrt(tf.mul(V[name], scale(OPTIM.b2))), OPTIM.eps);
      let change = tf.div(tf.mul(M[name], scale(OPTIM.b1)), root);
      if (P[name].rank > 1) change = tf.add(change, tf.mul(P[name], OPTIM.decay));
      P[name].assign(tf.sub(P[name], tf.mul(change, OPTIM.lr)));
    }
    return value;
  });
  const [value] = await loss.data();
  loss.dispose();
  return value;
});

const cache = [];
const some = (x, from, count) => tf.slice(x, [from, 0], [count, -1]);
const decoding = await decode(async (id, i) => {
  const first = i === PROMPT - 1;
  const input = first ? ids.subarray(0, PROMPT) : Int32Array.of(id);
  const from = first ? 0 : i;
  const places = [some(cos, from, input.length), some(sin, from, input.length)];
  const causal = first ? tf.slice(mask, [0, 0], [PROMPT, PROMPT]) : null;
  const out = logits(tf.tensor1d(input, 'int32'), 1, input.length, ...places, causal, cache);
  return (await tf.argMax(out, -1).data()).at(-1);
}, PROMPT - 1);
finish({ ...training, ...decoding });
