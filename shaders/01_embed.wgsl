// x[n, c] = table[ids[n] - first, c] where the id stands in the table's rows [first, first + count); other rows of x stay.
// ids [tokens] u32, table [count, width]: a part of the embedding, with F16 or BF16 stored in 16 bits -> x [tokens, width]. One invocation an element.
struct Params { tokens: u32, width: u32, first: u32, count: u32 }
//:include lib/stored
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<Stored>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  if (i >= P.tokens * P.width) { return; }
  let id = ids[i / P.width];
  if (id < P.first || id - P.first >= P.count) { return; }
  let at = (id - P.first) * P.width + i % P.width;
  x[i] = widen(table[word(at)], at);
}
