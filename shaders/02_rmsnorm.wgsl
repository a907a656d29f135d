// Root mean square norm of a row, with what stands before it in a Llama layer:
//   ADD:    s = x + delta (+ pert with PERT); sum[n, :] = s     the residual addition
//   GATHER: s = x[rows[n], :]                                   only the rows that the head needs
//   r = 1 / sqrt(mean(s^2) + eps);  y[n, c] = w[c] * s[c] * r;  rstd[n] = r
// x, delta, pert, sum, y [rows, width]; w [width]; rstd [rows]. One workgroup a row.
// Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
//:include lib/reduce_enable
struct Params { rows: u32, width: u32, eps: f32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> rstd: array<f32>;
//:if ADD
@group(0) @binding(5) var<storage, read> delta: array<f32>;
@group(0) @binding(6) var<storage, read_write> sum: array<f32>;
//:if PERT
@group(0) @binding(7) var<storage, read> pert: array<f32>;
//:end
//:end
//:if GATHER
@group(0) @binding(5) var<storage, read> gather: array<u32>;
@group(0) @binding(6) var<storage, read_write> sum: array<f32>;
//:end
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.y * grid.x + g.x;
  if (n >= P.rows) { return; }
  let row = n * P.width;
//:if GATHER
  let source = gather[n] * P.width;
//:end
  var squares = 0.0;
  for (var c = lane; c < P.width; c += WIDTH) {
//:if ADD
    var s = x[row + c] + delta[row + c];
//:if PERT
    s += pert[row + c];
//:end
    sum[row + c] = s;
//:else
//:if GATHER
    let s = x[source + c];
    sum[row + c] = s;
//:else
    let s = x[row + c];
//:end
//:end
    squares += s * s;
  }
  let r = inverseSqrt(reduce_add(squares, lane) / f32(P.width) + P.eps);
  if (lane == 0u) { rstd[n] = r; }
  for (var c = lane; c < P.width; c += WIDTH) {
//:if ADD
    y[row + c] = w[c] * sum[row + c] * r;
//:else
//:if GATHER
    y[row + c] = w[c] * sum[row + c] * r;
//:else
    y[row + c] = w[c] * x[row + c] * r;
//:end
//:end
  }
}
