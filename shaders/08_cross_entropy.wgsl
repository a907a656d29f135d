// Masked cross-entropy of a row of logits, and with GRAD its gradient in the logits' place:
//   loss[n] = log sum exp(logits[n, :]) - logits[n, label];  logits[n, v] = (softmax(v) - [v == label]) * scale
// A label of NONE counts nothing: loss 0, gradient 0. scale = 1 / labels of the whole batch, so that gradient
// accumulation is the gradient of one mean. logits [rows, vocab], labels [rows] u32, loss [rows]. One workgroup a row.
//:include lib/reduce_enable
const NONE = 0xffffffffu;
struct Params { rows: u32, vocab: u32, scale: f32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
//:if GRAD
@group(0) @binding(2) var<storage, read_write> logits: array<f32>;
//:else
@group(0) @binding(2) var<storage, read> logits: array<f32>;
//:end
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.y * grid.x + g.x;
  if (n >= P.rows) { return; }
  let row = n * P.vocab;
  let label = labels[n];
  var top = -3.0e38;
  var target_logit = 0.0;
  for (var v = lane; v < P.vocab; v += WIDTH) {
    let z = logits[row + v];
    top = max(top, z);
    if (v == label) { target_logit = z; }
  }
  top = reduce_max(top, lane);
  target_logit = reduce_add(target_logit, lane);
  var total = 0.0;
  for (var v = lane; v < P.vocab; v += WIDTH) { total += exp(logits[row + v] - top); }
  total = reduce_add(total, lane);
  if (lane == 0u) {
    loss[n] = 0.0;
    if (label != NONE) { loss[n] = top + log(total) - target_logit; }
  }
//:if GRAD
  let scale = select(P.scale, 0.0, label == NONE);
  for (var v = lane; v < P.vocab; v += WIDTH) {
    logits[row + v] = (exp(logits[row + v] - top) / total - select(0.0, 1.0, v == label)) * scale;
  }
//:end
}
