// grad[k * grad_stride + c] += sum over b of partial[k * partial_stride + b * width + c], for all norms k at once.
// One invocation a (norm, column): x = columns, y = norms.
struct Params { blocks: u32, width: u32, partial_stride: u32, grad_stride: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) g: vec3u) {
  let c = g.x;
  if (c >= P.width) { return; }
  var sum = 0.0;
  for (var b = 0u; b < P.blocks; b++) { sum += partial[g.y * P.partial_stride + b * P.width + c]; }
  grad[g.y * P.grad_stride + c] += sum;
}
