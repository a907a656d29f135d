// grad[id - first, c] += sum over the tokens with that id of dx[n, c], for ids in [first, first + count). The host lists each
// distinct id with its tokens, so one invocation owns one element: no atomic adds, the same sum every time.
// distinct [ids] of (id, begin, end, 0) into order [tokens]; dx [tokens, width]; grad [count, width]: a part of the embedding's.
struct Params { distinct: u32, width: u32, first: u32, count: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> distinct: array<vec4u>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> dx: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = g.y * grid.x * 64u + g.x;
  if (i >= P.distinct * P.width) { return; }
  let entry = distinct[i / P.width];
  if (entry.x < P.first || entry.x - P.first >= P.count) { return; }
  let c = i % P.width;
  var sum = 0.0;
  for (var k = entry.y; k < entry.z; k++) { sum += dx[order[k] * P.width + c]; }
  grad[(entry.x - P.first) * P.width + c] += sum;
}
