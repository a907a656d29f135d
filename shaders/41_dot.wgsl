// partial[chunk] = sum over the chunk's ${CHUNK} elements of x * y (x * x without Y). One workgroup a chunk; the host adds the
// partial sums in float64, in order.
//:include lib/reduce_enable
const CHUNK = ${CHUNK}u;
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
//:if Y
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;
//:else
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;
//:end
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let chunk = g.y * grid.x + g.x;
  if (chunk * CHUNK >= P.n) { return; }
  var sum = 0.0;
  let end = min(chunk * CHUNK + CHUNK, P.n);
  for (var i = chunk * CHUNK + lane; i < end; i += WIDTH) {
//:if Y
    sum += x[i] * y[i];
//:else
    sum += x[i] * x[i];
//:end
  }
  sum = reduce_add(sum, lane);
  if (lane == 0u) { partial[chunk] = sum; }
}
