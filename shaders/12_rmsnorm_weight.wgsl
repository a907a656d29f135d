// Partial weight gradients of a norm: partial[b, c] = sum over the 32 rows of block b of dy[n, c] * x[n, c] * rstd[n].
// Summed by 13_column_sum: two passes in a fixed order instead of atomic adds. One invocation a (block, column).
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u) {
  let c = g.x;
  if (c >= P.width) { return; }
  let end = min(g.y * 32u + 32u, P.rows);
  var sum = 0.0;
  for (var n = g.y * 32u; n < end; n++) { sum += dy[n * P.width + c] * x[n * P.width + c] * rstd[n]; }
  partial[g.y * P.width + c] = sum;
}
