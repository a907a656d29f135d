// Masked cross-entropy over columns [first, first + width) of the vocabulary, after those before them (online softmax,
// Milakov and Gimelshein 2018): with m the largest logit so far and s the sum of exp(z - m),
//   m' = max(m, max z);  s' = s exp(m - m') + sum exp(z - m');  loss[n] = m' + log s' - logits[n, label]
// The loss is whole after the last columns. A label of NONE counts nothing: loss 0.
// logits [rows, width], labels [rows] u32, seen [rows], loss [rows]. One workgroup a row.
//:include lib/reduce_enable
//:include lib/softmax_row
const NONE = 0xffffffffu;
struct Params { rows: u32, first: u32, width: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read_write> seen: array<SoftmaxRow>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.y * grid.x + g.x;
  if (n >= P.rows) { return; }
  let row = n * P.width;
  let label = labels[n];
  var before = SoftmaxRow(-3.0e38, 0.0, 0.0);
  if (P.first > 0u) { before = seen[n]; }
  var top = before.top;
  var label_logit = 0.0;
  for (var v = lane; v < P.width; v += WIDTH) {
    let z = logits[row + v];
    top = max(top, z);
    if (P.first + v == label) { label_logit = z; }
  }
  top = reduce_max(top, lane);
  label_logit = before.label_logit + reduce_add(label_logit, lane);
  var total = 0.0;
  for (var v = lane; v < P.width; v += WIDTH) { total += exp(logits[row + v] - top); }
  total = before.total * exp(before.top - top) + reduce_add(total, lane);
  if (lane != 0u) { return; }
  seen[n] = SoftmaxRow(top, total, label_logit);
  loss[n] = 0.0;
  if (label != NONE) { loss[n] = top + log(total) - label_logit; }
}
