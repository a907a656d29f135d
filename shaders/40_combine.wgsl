// z = a x + b y over n elements of parameter sets: copy (b = 0), axpy (b = 1 with y = z), lerp (a = t, b = 1 - t).
// The result goes where y stands. One invocation an element.
struct Params { n: u32, a: f32, b: f32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  if (i >= P.n) { return; }
  var z = P.a * x[i];
  if (P.b != 0.0) { z += P.b * y[i]; } // 0 * NaN must not survive a copy
  y[i] = z;
}
