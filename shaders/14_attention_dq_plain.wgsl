// 14_attention_dq_subgroup's maths with one invocation a (query, head). Dispatch: x = ceil(tokens / 64), y = HEADS.
//:include lib/attention_params
@group(0) @binding(3) var<storage, read> out: array<f32>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> dout: array<f32>;
@group(0) @binding(6) var<storage, read_write> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> dqkv: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u) {
  let n = g.x;
  if (n >= P.tokens) { return; }
  let head = g.y;
  let query = n * STRIDE + head * HD;
  let mine = (n * HEADS + head) * HD;
  var dq: array<f32, HD>;
  var dot = 0.0;
  for (var d = 0u; d < HD; d++) {
    dq[d] = 0.0;
    dot += dout[mine + d] * out[mine + d];
  }
  let lse_n = lse[n * HEADS + head];
  for (var j = tokens[n].first; j <= n; j++) {
    let key = j * STRIDE + KEY + head / GROUP * HD;
    let value = j * STRIDE + VALUE + head / GROUP * HD;
    var s = 0.0;
    var e = 0.0;
    for (var d = 0u; d < HD; d++) {
      s += qkv[query + d] * qkv[key + d];
      e += dout[mine + d] * qkv[value + d];
    }
    let ds = exp(s * P.scale - lse_n) * (e - dot) * P.scale;
    for (var d = 0u; d < HD; d++) { dq[d] += ds * qkv[key + d]; }
  }
  delta[n * HEADS + head] = dot;
  for (var d = 0u; d < HD; d++) { dqkv[query + d] = dq[d]; }
}
