// 15_attention_dkv_subgroup's maths with one invocation a (key, key/value head). Dispatch: x = ceil(tokens / 64), y = KV.
//:include lib/attention_params
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<f32>;
@group(0) @binding(6) var<storage, read_write> dqkv: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u) {
  let j = g.x;
  if (j >= P.tokens) { return; }
  let kv = g.y;
  let key = j * STRIDE + KEY + kv * HD;
  let value = j * STRIDE + VALUE + kv * HD;
  var dk: array<f32, HD>;
  var dv: array<f32, HD>;
  for (var d = 0u; d < HD; d++) {
    dk[d] = 0.0;
    dv[d] = 0.0;
  }
  for (var head = kv * GROUP; head < (kv + 1u) * GROUP; head++) {
    for (var n = j; n < tokens[j].end; n++) {
      let query = n * STRIDE + head * HD;
      let grad = (n * HEADS + head) * HD;
      var s = 0.0;
      var e = 0.0;
      for (var d = 0u; d < HD; d++) {
        s += qkv[query + d] * qkv[key + d];
        e += dout[grad + d] * qkv[value + d];
      }
      let p = exp(s * P.scale - lse[n * HEADS + head]);
      let ds = p * (e - delta[n * HEADS + head]) * P.scale;
      for (var d = 0u; d < HD; d++) {
        dv[d] += p * dout[grad + d];
        dk[d] += ds * qkv[query + d];
      }
    }
  }
  for (var d = 0u; d < HD; d++) {
    dqkv[key + d] = dk[d];
    dqkv[value + d] = dv[d];
  }
}
