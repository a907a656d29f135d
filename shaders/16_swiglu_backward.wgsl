// Backward of act = silu(z) * u, in place of the pre-activations:
//   s = 1 / (1 + exp(-z));  dz = dact * u * s * (1 + z * (1 - s));  du = dact * z * s
// gu [tokens, 2 * width]: (z, u) in, (dz, du) out; dact [tokens, width]. One invocation an element.
struct Params { tokens: u32, width: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> dact: array<f32>;
@group(0) @binding(2) var<storage, read_write> gu: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  if (i >= P.tokens * P.width) { return; }
  let at = (i / P.width) * 2u * P.width + i % P.width;
  let z = gu[at];
  let u = gu[at + P.width];
  let d = dact[i];
  let s = 1.0 / (1.0 + exp(-z));
  gu[at] = d * u * s * (1.0 + z * (1.0 - s));
  gu[at + P.width] = d * z * s;
}
