// Greedy choice for rows [first_row, first_row + count) over columns [first, first + width) of the vocabulary, after those before
// them: the best TOP logits so far, best first (equal logits: lower id first), and the sum of exp(z - best). After the last
// columns their log-probabilities are written to the log at column `step`, and the next step's input is set: ids[n] = best id,
// position + 1. logits [count, width]; of all rows: ids, tokens [rows]; picks [steps, rows, TOP] of (id, bits of log-probability);
// seen [rows, TOP + 1] of (bits of logit, id), behind them (bits of the sum, 0). One workgroup a row.
//:include lib/reduce_enable
const TOP = ${TOP}u;
const NO_ID = 0xffffffffu;
struct Params { rows: u32, first_row: u32, count: u32, vocab: u32, first: u32, width: u32, step: u32 }
@group(0) @binding(0) var<uniform> P: Params;
//:include lib/tokens
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> seen: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> tokens: array<Token>;
@group(0) @binding(5) var<storage, read_write> picks: array<vec2u>;
//:include lib/reduce

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let r = g.y * grid.x + g.x;
  if (r >= P.count) { return; }
  let row = r * P.width;
  let n = P.first_row + r;
  let kept = n * (TOP + 1u);
  let before = select(0u, TOP, P.first > 0u); // entries of earlier columns
  var best_logit: array<f32, TOP>;
  var best_id: array<u32, TOP>;
  var last = 3.0e38;
  var last_id = 0u;
  for (var k = 0u; k < TOP; k++) {
    var top = -3.0e38;
    var id = NO_ID;
    for (var j = 0u; j < before; j++) {
      let z = bitcast<f32>(seen[kept + j].x);
      let v = seen[kept + j].y;
      let after = k == 0u || z < last || (z == last && v > last_id);
      if (v != NO_ID && after && z > top) {
        top = z;
        id = v;
      }
    }
    for (var j = lane; j < P.width; j += WIDTH) {
      let z = logits[row + j];
      let v = P.first + j;
      let after = k == 0u || z < last || (z == last && v > last_id);
      if (after && z > top) {
        top = z;
        id = v;
      }
    }
    last = reduce_max(top, lane);
    last_id = reduce_min_u(select(NO_ID, id, top == last), lane);
    best_logit[k] = last;
    best_id[k] = last_id;
  }
  var sum = 0.0;
  for (var j = lane; j < P.width; j += WIDTH) { sum += exp(logits[row + j] - best_logit[0]); }
  sum = reduce_add(sum, lane);
  if (before > 0u) { sum += bitcast<f32>(seen[kept + TOP].x) * exp(bitcast<f32>(seen[kept].x) - best_logit[0]); }
  storageBarrier(); // every lane has read the earlier entries
  if (lane != 0u) { return; }
  if (P.first + P.width < P.vocab) {
    for (var k = 0u; k < TOP; k++) { seen[kept + k] = vec2u(bitcast<u32>(best_logit[k]), best_id[k]); }
    seen[kept + TOP] = vec2u(bitcast<u32>(sum), 0u);
    return;
  }
  let total = log(sum);
  for (var k = 0u; k < TOP; k++) {
    picks[(P.step * P.rows + n) * TOP + k] = vec2u(best_id[k], bitcast<u32>(best_logit[k] - best_logit[0] - total));
  }
  ids[n] = best_id[0];
  tokens[n].pos += 1u;
}
