// Gradient of 08_cross_entropy in the place of the logits of columns [first, first + width):
//   logits[n, v] = (exp(logits[n, v] - top) / total - [first + v == label]) * scale * weights[n]
// with top and total of the whole row, as 08 left them. A row whose label is NONE gets 0. scale = 1 / labels of the whole batch,
// so that gradient accumulation is the gradient of one mean; a weight of 1 changes no bit.
// logits [rows, width], labels [rows] u32, weights [rows], seen [rows]. One workgroup a row.
//:include lib/softmax_row
const NONE = 0xffffffffu;
struct Params { rows: u32, first: u32, width: u32, scale: f32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> seen: array<SoftmaxRow>;
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.y * grid.x + g.x;
  if (n >= P.rows) { return; }
  let label = labels[n];
  let row = seen[n];
  let scale = select(P.scale * weights[n], 0.0, label == NONE);
  for (var v = lane; v < P.width; v += 64u) {
    let at = n * P.width + v;
    logits[at] = (exp(logits[at] - row.top) / row.total - select(0.0, 1.0, P.first + v == label)) * scale;
  }
}
