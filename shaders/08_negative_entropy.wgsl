// Negative entropy of the predicted distribution, sum of p log p, over columns [first, first + width) of the vocabulary, after those
// before them. With m the largest logit so far, s the sum of exp(z - m), u that of (z - m) exp(z - m):
//   m' = max(m, max z);  s' = s exp(m - m') + sum exp(z - m');  u' = exp(m - m') (u + (m - m') s) + sum (z - m') exp(z - m')
//   loss[n] = u' / s' - log s'
// The loss is whole after the last columns. Labels do not matter: every row counts.
// logits [rows, width], seen [rows] (u in the place of the label's logit), loss [rows]. One workgroup a row.
//:include lib/reduce_enable
//:include lib/softmax_row
struct Params { rows: u32, first: u32, width: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> seen: array<SoftmaxRow>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.y * grid.x + g.x;
  if (n >= P.rows) { return; }
  let row = n * P.width;
  var before = SoftmaxRow(-3.0e38, 0.0, 0.0);
  if (P.first > 0u) { before = seen[n]; }
  var top = before.top;
  for (var v = lane; v < P.width; v += WIDTH) { top = max(top, logits[row + v]); }
  top = reduce_max(top, lane);
  var total = 0.0;
  var weighted = 0.0;
  for (var v = lane; v < P.width; v += WIDTH) {
    let z = logits[row + v] - top;
    let e = exp(z);
    total += e;
    weighted += z * e;
  }
  total = reduce_add(total, lane);
  weighted = reduce_add(weighted, lane);
  if (P.first > 0u) {
    let shrink = exp(before.top - top);
    weighted += shrink * (before.label_logit + (before.top - top) * before.total);
    total += shrink * before.total;
  }
  if (lane != 0u) { return; }
  seen[n] = SoftmaxRow(top, total, weighted);
  loss[n] = weighted / total - log(total);
}
