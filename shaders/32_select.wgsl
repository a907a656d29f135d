// Greedy choice: for each row the best TOP logits with their log-probabilities, best first (equal logits: lower id first), and
// the next step's input: ids[n] = best id, position + 1. Written to the log at column `step`.
// logits [rows, vocab]; ids [rows]; tokens [rows]; picks [steps, rows, TOP] of (id, bits of log-probability).
// One workgroup a row.
//:include lib/reduce_enable
const TOP = ${TOP}u;
struct Params { rows: u32, vocab: u32, step: u32 }
@group(0) @binding(0) var<uniform> P: Params;
//:include lib/tokens
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> tokens: array<Token>;
@group(0) @binding(4) var<storage, read_write> picks: array<vec2u>;
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = g.y * grid.x + g.x;
  if (n >= P.rows) { return; }
  let row = n * P.vocab;
  var total = 0.0;
  var highest = 0.0;
  var last = 3.0e38;
  var last_id = 0u;
  for (var k = 0u; k < TOP; k++) {
    var top = -3.0e38;
    var id = 0xffffffffu;
    for (var v = lane; v < P.vocab; v += WIDTH) {
      let z = logits[row + v];
      let after = k == 0u || z < last || (z == last && v > last_id);
      if (after && z > top) {
        top = z;
        id = v;
      }
    }
    let best = reduce_max(top, lane);
    last_id = reduce_min_u(select(0xffffffffu, id, top == best), lane);
    last = best;
    if (k == 0u) {
      highest = best;
      var sum = 0.0;
      for (var v = lane; v < P.vocab; v += WIDTH) { sum += exp(logits[row + v] - best); }
      total = log(reduce_add(sum, lane));
    }
    if (lane == 0u) {
      picks[(P.step * P.rows + n) * TOP + k] = vec2u(last_id, bitcast<u32>(best - highest - total));
      if (k == 0u) {
        ids[n] = last_id;
        tokens[n].pos += 1u;
      }
    }
  }
}
