/** webgpu-llm through its public calls: micro-batches of one row, gradients accumulated. */
import {
  c,
  decode,
  finish,
  headDim,
  ids,
  installGpu,
  kvWidth,
  layer,
  measure,
  OPTIM,
  PROMPT,
  wanted,
  weights,
} from './common.mjs';

// It asks for subgroups of 32 lanes; on other adapters its reductions are rewritten for the width that is there.
let lanes = 32;
await installGpu({
  info(info) {
    lanes = info.subgroupMinSize || 32;
    return { subgroupMinSize: 32, subgroupMaxSize: 32 };
  },
  wgsl(code) {
    if (lanes === 32) return code;
    const all = (start, combine) =>
      `var v: f32 = ${start}; for (var q = lane; q < NUM_SUBGROUPS; q += SUBGROUP_SIZE) { ${combine} }`;
    return code
      .replace('const SUBGROUP_SIZE: u32 = 32u;', `const SUBGROUP_SIZE: u32 = ${lanes}u;`)
      .replace('const NUM_SUBGROUPS: u32 = 8u;', `const NUM_SUBGROUPS: u32 = ${256 / lanes}u;`)
      .replace(
        /var v: f32 = 0\.0;\s*if \(lane < NUM_SUBGROUPS\) \{ v = sh_red\[lane\]; \}/,
        all('0.0', 'v += sh_red[q];'),
      )
      .replace(
        /var v: f32 = NEG_INF;\s*if \(lane < NUM_SUBGROUPS\) \{ v = sh_red\[lane\]; \}/,
        all('NEG_INF', 'v = max(v, sh_red[q]);'),
      );
  },
});
const { LLMEngine, Model } = await import('webgpu-llm/llm');
const engine = await new LLMEngine().init();
const model = new Model(engine, {
  d_model: c.hidden,
  n_heads: c.heads,
  n_kv_heads: c.kvHeads,
  n_layers: c.layers,
  d_ff: c.ff,
  head_dim: headDim,
  kv_dim: kvWidth,
  rms_eps: 1e-5,
  activation: 'swiglu',
  vocab_size: c.vocab,
  seq_len: c.seq,
  precision: 'fp32',
});
model.allocate();
model.allocActivations();
model.allocBackward();

/** Its rotary positions turn neighbours, ours the two halves of a head: columns of q and k change places. */
function interleaved(data, heads) {
  const out = new Float32Array(data.length);
  const width = heads * headDim;
  for (let row = 0; row < data.length; row += width)
    for (let h = 0; h < width; h += headDim)
      for (let i = 0; i < headDim / 2; i++) {
        out[row + h + 2 * i] = data[row + h + i];
        out[row + h + 2 * i + 1] = data[row + h + i + headDim / 2];
      }
  return out;
}
const put = ({ buffer, offset }, data) => engine.write(buffer, data, offset);
put(model.weights.tok_emb, weights.get('embed_tokens').data);
put(model.weights.final_norm_w, weights.get('norm').data);
for (let l = 0; l < c.layers; l++) {
  const w = model.weights.layers[l];
  const of = (name) => weights.get(layer(l, name)).data;
  put(w.attn_norm_w, of('norm1'));
  put(w.wq, interleaved(of('q'), c.heads));
  put(w.wk, interleaved(of('k'), c.kvHeads));
  put(w.wv, of('v'));
  put(w.wo, of('o'));
  put(w.ffn_norm_w, of('norm2'));
  put(w.w_gate, of('gate'));
  put(w.w_up, of('up'));
  put(w.w_down, of('down'));
}

const adam = {
  lr: OPTIM.lr,
  beta1: OPTIM.b1,
  beta2: OPTIM.b2,
  adam_eps: OPTIM.eps,
  weight_decay: OPTIM.decay,
  grad_clip: 1e9,
};
const training = await measure(async () => {
  let loss = 0;
  for (let row = 0; row < c.rows; row++) {
    const of = (x) => Uint32Array.from(x.subarray(row * c.seq, (row + 1) * c.seq));
    loss += (await model.forwardLoss(of(ids), of(wanted))) / c.rows;
    await model.backward(of(ids), row > 0);
  }
  await model.step(adam, c.rows);
  return loss;
});
// makes the cache; the prompt is then replayed token by token, which fills it anew
await model.prefillCache(Uint32Array.from(ids.subarray(0, PROMPT)));
const likeliest = (row) => row.reduce((best, x, i) => (x > row[best] ? i : best), 0);
const decoding = await decode(async (id, i) => likeliest(await model.decodeOne(id, i)));
finish({ ...training, ...decoding });
