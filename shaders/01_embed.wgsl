// x[n, c] = table[ids[n], c]
// ids [tokens] u32, table [vocab, width], with F16 or BF16 stored in 16 bits -> x [tokens, width]. One invocation an element.
struct Params { tokens: u32, width: u32 }
//:include lib/stored
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<Stored>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  if (i >= P.tokens * P.width) { return; }
  let at = ids[i / P.width] * P.width + i % P.width;
  x[i] = widen(table[word(at)], at);
}
