// Second pass: the norm, the clipping factor, and the sticky stop. One workgroup.
//   clip_scale = min(1, clip / (norm + 1e-6)); clip 0 = off
// A sum of squares beyond f32 counts as non-finite too.
//:include lib/reduce_enable
//:include lib/train_state
struct Params { chunks: u32, step: u32, clip: f32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> state: TrainState;
//:include lib/finite
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(local_invocation_index) lane: u32) {
  var squares = 0.0;
  var bad = 0u;
  var first = 0xffffffffu;
  for (var k = lane; k < P.chunks; k += WIDTH) {
    let p = partial[k];
    squares += bitcast<f32>(p.x);
    bad += p.y;
    first = min(first, p.z);
  }
  squares = reduce_add(squares, lane);
  bad = reduce_add_u(bad, lane);
  first = reduce_min_u(first, lane);
  if (lane != 0u) { return; }
  let norm = sqrt(squares);
  state.grad_norm = norm;
  state.clip_scale = 1.0;
  if (P.clip > 0.0) { state.clip_scale = min(1.0, P.clip / (norm + 1e-6)); }
  state.non_finite = bad;
  if (state.stopped == 0u && (bad > 0u || !is_finite(norm) || !is_finite(state.loss))) {
    state.stopped = 1u;
    state.stopped_step = P.step;
    state.stopped_at = first;
    state.stopped_count = bad;
  }
}
