// Distance of rows, and its gradient: with d = a[n, :] - b[n, :],
//   distance[n] = ||d||;  grad[n, :] = scale * d / ||d||, and 0 where the rows are equal
// a, b, grad [rows, width], distance [rows]. One workgroup a row.
//:include lib/reduce_enable
struct Params { rows: u32, width: u32, scale: f32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read_write> distance: array<f32>;
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.y * grid.x + g.x;
  if (n >= P.rows) { return; }
  let row = n * P.width;
  var squares = 0.0;
  for (var c = lane; c < P.width; c += WIDTH) {
    let d = a[row + c] - b[row + c];
    squares += d * d;
  }
  squares = reduce_add(squares, lane);
  let length = sqrt(squares);
  // a square below f32's range is 0 as well: the factor must not be a division by it
  var by = 0.0;
  if (squares > 0.0) { by = P.scale / length; }
  for (var c = lane; c < P.width; c += WIDTH) { grad[row + c] = by * (a[row + c] - b[row + c]); }
  if (lane == 0u) { distance[n] = length; }
}
