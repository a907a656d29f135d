// state.loss += scale * sum(weights * loss over [0, rows)), in a fixed order. A weight of 1 changes no bit. One workgroup.
//:include lib/reduce_enable
//:include lib/train_state
struct Params { rows: u32, scale: f32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> loss: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: TrainState;
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var n = lane; n < P.rows; n += WIDTH) { sum += weights[n] * loss[n]; }
  sum = reduce_add(sum, lane);
  if (lane == 0u) { state.loss += sum * P.scale; }
}
