// Gradient of 08_negative_entropy in the place of the logits of columns [first, first + width): with p = exp(z - top) / total,
//   logits[n, v] = p (log p - sum of p log p) * scale * weights[n]
// with top, total and the sum of the whole row, as 08 left them.
// logits [rows, width], weights [rows], seen [rows]. One workgroup a row.
//:include lib/softmax_row
struct Params { rows: u32, first: u32, width: u32, scale: f32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> seen: array<SoftmaxRow>;
@group(0) @binding(3) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.y * grid.x + g.x;
  if (n >= P.rows) { return; }
  let row = seen[n];
  let mean = row.label_logit / row.total;
  let scale = P.scale * weights[n];
  for (var v = lane; v < P.width; v += 64u) {
    let at = n * P.width + v;
    let z = logits[at] - row.top;
    // log p - sum of p log p, in which log total cancels
    logits[at] = exp(z) / row.total * (z - mean) * scale;
  }
}
