// 05_attention_subgroup's maths with one invocation a (query, head), for adapters without a fixed subgroup size.
// Dispatch: x = ceil(tokens / 64), y = HEADS.
//:include lib/attention_params
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u) {
  let n = g.x;
  if (n >= P.tokens) { return; }
  let head = g.y;
  let query = n * STRIDE + head * HD;
  var o: array<f32, HD>;
  for (var d = 0u; d < HD; d++) { o[d] = 0.0; }
  var top = -1.0e30;
  var total = 0.0;
  for (var j = tokens[n].first; j <= n; j++) {
    let key = j * STRIDE + KEY + head / GROUP * HD;
    let value = j * STRIDE + VALUE + head / GROUP * HD;
    var s = 0.0;
    for (var d = 0u; d < HD; d++) { s += qkv[query + d] * qkv[key + d]; }
    s *= P.scale;
    let best = max(top, s);
    let shrink = exp(top - best);
    let p = exp(s - best);
    total = total * shrink + p;
    for (var d = 0u; d < HD; d++) { o[d] = o[d] * shrink + p * qkv[value + d]; }
    top = best;
  }
  lse[n * HEADS + head] = top + log(total);
  for (var d = 0u; d < HD; d++) { out[(n * HEADS + head) * HD + d] = o[d] / total; }
}
