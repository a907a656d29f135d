// y = x W^T (NT of 03_matmul_subgroup) for the few rows of x that decoding has. COLS columns of up to ROWS rows of y belong to
// SPLIT lanes, which take turns along k, four numbers at a time; their sums are added in a fixed order. VIEW, ACC, F16 and BF16 as
// there. Dispatch: x = ceil(N SPLIT / (COLS LANES)), y = ceil(M / ROWS).
//
// Microseconds of CPU for one row, 512 x 96 (lavapipe, SwiftShader): the register tile of training 312, 1121; lanes x SPLIT x COLS
// with one lane a column group: ROWS 4, COLS 8 78, 556; ROWS 8, COLS 4 102, 1303 (SwiftShader pays for rows that are not there);
// ROWS 8, COLS 1 111, 1664. Lanes along k lose on both: 8 or 4 of them, ROWS 1, COLS 4 100, 700 against 66, 444.
//:include lib/matmul_load
//:if PARTED
var<workgroup> partial: array<f32, ${LANES} * ${ROWS} * ${COLS}>;
//:end

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) g: vec3u, @builtin(local_invocation_index) t: u32) {
  let m = g.y * ${ROWS}u;
  let n = (g.x * ${LANES}u + t) / ${SPLIT}u * ${COLS}u;
//:for r 0 ROWS
//:for c 0 COLS
  var s${r}_${c} = 0.0;
//:end
//:end
  for (var k = t % ${SPLIT}u * 4u; k < P.K; k += 4u * ${SPLIT}u) {
//:for c 0 COLS
    let w${c} = load_b(n + ${c}u, k);
//:end
//:for r 0 ROWS
    if (m + ${r}u < P.M) {
      let x = load_a(m + ${r}u, k);
//:for c 0 COLS
      s${r}_${c} += dot(x, w${c});
//:end
    }
//:end
  }
//:if PARTED
//:for r 0 ROWS
//:for c 0 COLS
  partial[(${r}u * ${COLS}u + ${c}u) * ${LANES}u + t] = s${r}_${c};
//:end
//:end
  workgroupBarrier();
  // ROWS x COLS sums of each of the LANES / SPLIT groups, over all lanes
  for (var e = t; e < ${ROWS}u * ${COLS}u * ${LANES}u / ${SPLIT}u; e += ${LANES}u) {
    let group = e % (${LANES}u / ${SPLIT}u);
    let rc = e / (${LANES}u / ${SPLIT}u);
    var sum = 0.0;
    for (var i = 0u; i < ${SPLIT}u; i++) { sum += partial[rc * ${LANES}u + group * ${SPLIT}u + i]; }
    put(m + rc / ${COLS}u, (g.x * ${LANES}u / ${SPLIT}u + group) * ${COLS}u + rc % ${COLS}u, sum);
  }
//:else
//:for r 0 ROWS
//:for c 0 COLS
  put(m + ${r}u, n + ${c}u, s${r}_${c});
//:end
//:end
//:end
}
