// Rotary position embedding in place on the query and key parts of qkv, rotate_half convention: element i of a head pairs
// with i + head_dim/2. SIGN = 1 rotates forward, -1 is the backward pass (the rotation's transpose).
// qkv [tokens, stride] (heads of head_dim: queries, keys, values), table [positions, head_dim/2] of (cos, sin) computed in
// float64. One invocation a pair. Su et al. 2021.
struct Params { tokens: u32, stride: u32, rotated_heads: u32, half_dim: u32 }
@group(0) @binding(0) var<uniform> P: Params;
//:include lib/tokens
@group(0) @binding(1) var<storage, read> tokens: array<Token>;
@group(0) @binding(2) var<storage, read> table: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> qkv: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  let pairs = P.rotated_heads * P.half_dim;
  if (i >= P.tokens * pairs) { return; }
  let n = i / pairs;
  let head = (i % pairs) / P.half_dim;
  let d = i % P.half_dim;
  let at = n * P.stride + head * P.half_dim * 2u + d;
  let turn = table[tokens[n].pos * P.half_dim + d];
  let sin = turn.y * ${SIGN}f;
  let a = qkv[at];
  let b = qkv[at + P.half_dim];
  qkv[at] = a * turn.x - b * sin;
  qkv[at + P.half_dim] = b * turn.x + a * sin;
}
