// Attention of one new token per row over the cache of its row, positions 0 .. pos. One workgroup a (token, head): lanes
// take keys in turn with an online softmax each, then their partial results are merged.
// qkv [tokens, STRIDE], cache as in 30 -> out [tokens, HEADS * HD]. Dispatch: x = tokens, y = HEADS.
//:include lib/reduce_enable
//:include lib/attention_params
@group(0) @binding(3) var<storage, read> cache: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.x;
  let head = g.y;
  let t = tokens[n];
  let query = n * STRIDE + head * HD;
  let base = t.row * ${POSITIONS}u * 2u * KV * HD + head / GROUP * HD;
  var o: array<f32, HD>;
  for (var d = 0u; d < HD; d++) { o[d] = 0.0; }
  var top = -1.0e30;
  var sum = 0.0;
  for (var j = lane; j <= t.pos; j += WIDTH) {
    let key = base + j * 2u * KV * HD;
    let value = key + KV * HD;
    var s = 0.0;
    for (var d = 0u; d < HD; d++) { s += qkv[query + d] * cache[key + d]; }
    s *= P.scale;
    let best = max(top, s);
    let shrink = exp(top - best);
    let p = exp(s - best);
    sum = sum * shrink + p;
    for (var d = 0u; d < HD; d++) { o[d] = o[d] * shrink + p * cache[value + d]; }
    top = best;
  }
  let best = reduce_max(top, lane);
  let shrink = exp(top - best);
  let total = reduce_add(sum * shrink, lane);
  for (var d = 0u; d < HD; d++) {
    let merged = reduce_add(o[d] * shrink, lane);
    if (lane == 0u) { out[(n * HEADS + head) * HD + d] = merged / total; }
  }
}
