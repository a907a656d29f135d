// The same reductions through shared memory, for adapters without a fixed subgroup size.
const WIDTH = 64u;
var<workgroup> scratch_f: array<f32, 64>;
var<workgroup> scratch_u: array<u32, 64>;
fn reduce_add(v: f32, lane: u32) -> f32 {
  scratch_f[lane] = v;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { scratch_f[lane] += scratch_f[lane + half]; }
  }
  let total = workgroupUniformLoad(&scratch_f[0]);
  workgroupBarrier();
  return total;
}
fn reduce_max(v: f32, lane: u32) -> f32 {
  scratch_f[lane] = v;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { scratch_f[lane] = max(scratch_f[lane], scratch_f[lane + half]); }
  }
  let total = workgroupUniformLoad(&scratch_f[0]);
  workgroupBarrier();
  return total;
}
fn reduce_add_u(v: u32, lane: u32) -> u32 {
  scratch_u[lane] = v;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { scratch_u[lane] += scratch_u[lane + half]; }
  }
  let total = workgroupUniformLoad(&scratch_u[0]);
  workgroupBarrier();
  return total;
}
fn reduce_min_u(v: u32, lane: u32) -> u32 {
  scratch_u[lane] = v;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { scratch_u[lane] = min(scratch_u[lane], scratch_u[lane + half]); }
  }
  let total = workgroupUniformLoad(&scratch_u[0]);
  workgroupBarrier();
  return total;
}
