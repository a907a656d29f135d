// dx[n, :] = rows_of[n] is NONE ? 0 : drow[rows_of[n], :] — the gradient of taking only some rows to the head.
// rows_of [tokens] u32, drow [rows, width] -> dx [tokens, width]. One invocation an element.
const NONE = 0xffffffffu;
struct Params { tokens: u32, width: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> row_of: array<u32>;
@group(0) @binding(2) var<storage, read> drow: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  if (i >= P.tokens * P.width) { return; }
  let row = row_of[i / P.width];
  dx[i] = 0.0;
  if (row != NONE) { dx[i] = drow[row * P.width + i % P.width]; }
}
