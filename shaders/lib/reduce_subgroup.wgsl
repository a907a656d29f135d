// Reductions over a workgroup that is exactly one subgroup of ${SG} lanes: no shared memory, no barrier.
const WIDTH = ${SG}u;
fn reduce_add(v: f32, lane: u32) -> f32 { return subgroupAdd(v); }
fn reduce_max(v: f32, lane: u32) -> f32 { return subgroupMax(v); }
fn reduce_add_u(v: u32, lane: u32) -> u32 { return subgroupAdd(v); }
fn reduce_min_u(v: u32, lane: u32) -> u32 { return subgroupMin(v); }
