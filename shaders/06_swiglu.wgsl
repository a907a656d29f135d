// act[n, c] = silu(gate[n, c]) * up[n, c], silu(z) = z / (1 + exp(-z)); gate and up are the halves of a row of gu.
// gu [tokens, 2 * width] -> act [tokens, width]. One invocation an element. Shazeer 2020, "GLU Variants".
struct Params { tokens: u32, width: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> gu: array<f32>;
@group(0) @binding(2) var<storage, read_write> act: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  if (i >= P.tokens * P.width) { return; }
  let at = (i / P.width) * 2u * P.width + i % P.width;
  let z = gu[at];
  act[i] = z / (1.0 + exp(-z)) * gu[at + P.width];
}
