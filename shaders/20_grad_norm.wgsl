// First pass of the global gradient norm: chunk k of ${CHUNK} elements gives (sum of squares, count of non-finite, lowest index
// of a non-finite element). Non-finite elements are left out of the sum, counted instead. One workgroup a chunk.
//:include lib/reduce_enable
const CHUNK = ${CHUNK}u;
struct Params { n: u32, base: u32, chunk_base: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<vec4u>;
//:include lib/finite
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let chunk = g.y * grid.x + g.x;
  if (chunk * CHUNK >= P.n) { return; }
  let end = min(chunk * CHUNK + CHUNK, P.n);
  var squares = 0.0;
  var bad = 0u;
  var first = 0xffffffffu;
  for (var i = chunk * CHUNK + lane; i < end; i += WIDTH) {
    let v = grad[i];
    if (is_finite(v)) { squares += v * v; } else { bad++; first = min(first, P.base + i); }
  }
  squares = reduce_add(squares, lane);
  bad = reduce_add_u(bad, lane);
  first = reduce_min_u(first, lane);
  if (lane == 0u) { partial[P.chunk_base + chunk] = vec4u(bitcast<u32>(squares), bad, first, 0u); }
}
