// to = source, four numbers a load: how fast this adapter moves numbers at its best, for the ceilings of a profile.
// source [n] vec4, to [n] vec4. An invocation takes four of them, a workgroup 256 in a row. Dispatch: n / 256.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> to: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = (g.y * grid.x + g.x) * 256u + lane;
//:for i 0 4
  if (first + ${i}u * 64u < P.n) { to[first + ${i}u * 64u] = source[first + ${i}u * 64u]; }
//:end
}
