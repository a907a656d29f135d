// Backward of y = w * x * r, r = 1 / sqrt(mean(x^2) + eps):
//   h = dy * w;  dx = r * (h - x * r^2 * mean(h * x));  ACC: dx is added to what stands there (the residual's gradient)
// dy, x, dx [rows, width]; rstd [rows]. One workgroup a row.
//:include lib/reduce_enable
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read> rstd: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.y * grid.x + g.x;
  if (n >= P.rows) { return; }
  let row = n * P.width;
  var dot = 0.0;
  for (var c = lane; c < P.width; c += WIDTH) { dot += dy[row + c] * w[c] * x[row + c]; }
  let r = rstd[n];
  let pull = reduce_add(dot, lane) / f32(P.width) * r * r;
  for (var c = lane; c < P.width; c += WIDTH) {
    let d = r * (dy[row + c] * w[c] - x[row + c] * pull);
//:if ACC
    dx[row + c] += d;
//:else
    dx[row + c] = d;
//:end
  }
}
