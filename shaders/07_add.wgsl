// sum = a + b (+ pert with PERT): the residual stream after the last layer. One invocation an element; n elements.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> sum: array<f32>;
//:if PERT
@group(0) @binding(4) var<storage, read> pert: array<f32>;
//:end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  if (i >= P.n) { return; }
//:if PERT
  sum[i] = a[i] + b[i] + pert[i];
//:else
  sum[i] = a[i] + b[i];
//:end
}
