// Puts keys and values of new tokens into the cache: cache[(row * positions + pos) * 2 * width + c], keys then values.
// qkv [tokens, stride]; the key part starts at `key`, keys and values are `width` elements each and adjoin.
// One invocation an element of (keys, values).
struct Params { tokens: u32, stride: u32, key: u32, width: u32, positions: u32 }
@group(0) @binding(0) var<uniform> P: Params;
//:include lib/tokens
@group(0) @binding(1) var<storage, read> tokens: array<Token>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read_write> cache: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  let both = 2u * P.width;
  if (i >= P.tokens * both) { return; }
  let n = i / both;
  let t = tokens[n];
  cache[(t.row * P.positions + t.pos) * both + i % both] = qkv[n * P.stride + P.key + i % both];
}
