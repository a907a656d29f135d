// AdamW as torch.optim.AdamW (Loshchilov and Hutter 2019), over a whole parameter set:
//   g = grad * clip_scale;  p *= 1 - lr * weight_decay (elements before `decayed` only)
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr * c1 * m / (sqrt(v) * c2 + eps)
//   c1 = 1 / (1 - b1^t), c2 = 1 / sqrt(1 - b2^t)
// Writes nothing once the state is stopped. An invocation takes 16 elements, 64 apart: on lavapipe 13 ms for a million where one
// element an invocation took 22.
//:include lib/train_state
struct Params { n: u32, decayed: u32, lr: f32, decay: f32, b1: f32, b2: f32, eps: f32, c1: f32, c2: f32, one_minus_b1: f32, one_minus_b2: f32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> state: TrainState;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read_write> p: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3u, @builtin(local_invocation_index) t: u32, @builtin(num_workgroups) grid: vec3u) {
  if (state.stopped != 0u) { return; }
  let scale = state.clip_scale;
  let rate = P.lr * P.c1;
  let first = (w.y * grid.x + w.x) * ${CHUNK}u + t;
  for (var i = first; i < min(first + ${CHUNK}u, P.n); i += 64u) {
    let d = grad[i] * scale;
    let mi = P.b1 * m[i] + P.one_minus_b1 * d;
    let vi = P.b2 * v[i] + P.one_minus_b2 * d * d;
    m[i] = mi;
    v[i] = vi;
    let kept = select(1.0, P.decay, i < P.decayed);
    p[i] = p[i] * kept - rate * mi / (sqrt(vi) * P.c2 + P.eps);
  }
}
