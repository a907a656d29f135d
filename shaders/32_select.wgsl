// Greedy choice for rows [first_row, first_row + count) over columns [first, first + width) of the vocabulary, after those before
// them: the best TOP logits so far, best first (equal logits: lower id first), and the sum of exp(z - best). After the last
// columns their log-probabilities are written to the log at column `step`, and the next step's input is set: ids[n] = best id,
// position + 1. logits [count, width]; of all rows: ids, tokens [rows]; picks [steps, rows, TOP] of (id, bits of log-probability);
// seen [2, rows, TOP + 1] of (id, bits of logit), behind them (0, bits of the sum): columns by turns read one half and write the
// other. One workgroup a row.
//:include lib/reduce_enable
const TOP = ${TOP}u;
const NO_ID = 0xffffffffu;
struct Params { rows: u32, first_row: u32, count: u32, vocab: u32, first: u32, width: u32, turn: u32, step: u32 }
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
  let old = (P.turn * P.rows + n) * (TOP + 1u);
  let next = ((1u - P.turn) * P.rows + n) * (TOP + 1u);
  let known = select(0u, TOP, P.first > 0u);
  let whole = P.first + P.width >= P.vocab;
  var sum = 0.0;
  var highest = 0.0;
  var last = 3.0e38;
  var last_id = 0u;
  for (var k = 0u; k < TOP; k++) {
    var top = -3.0e38;
    var id = NO_ID;
    for (var j = lane; j < known; j += WIDTH) {
      let z = bitcast<f32>(seen[old + j].y);
      let v = seen[old + j].x;
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
    let best = reduce_max(top, lane);
    last_id = reduce_min_u(select(NO_ID, id, top == best), lane);
    last = best;
    if (k == 0u) {
      highest = best;
      for (var j = lane; j < P.width; j += WIDTH) { sum += exp(logits[row + j] - best); }
      sum = reduce_add(sum, lane);
      if (known > 0u) { sum += bitcast<f32>(seen[old + TOP].y) * exp(bitcast<f32>(seen[old].y) - best); }
    }
    if (lane == 0u && whole) {
      picks[(P.step * P.rows + n) * TOP + k] = vec2u(last_id, bitcast<u32>(best - highest - log(sum)));
      if (k == 0u) {
        ids[n] = last_id;
        tokens[n].pos += 1u;
      }
    }
    if (lane == 0u && !whole) {
      seen[next + k] = vec2u(last_id, bitcast<u32>(best));
      if (k == 0u) { seen[next + TOP] = vec2u(0u, bitcast<u32>(sum)); }
    }
  }
}
