// C = A B in three layouts, one workgroup = one subgroup of ${SG} lanes computing a tile of R rows x (COLS * SG) columns in
// registers. Rows of A are read once by the lanes together and handed round by broadcasts; no shared memory, no barrier.
//   NT: A [M, K], B [N, K]   y = x W^T, weights as Hugging Face stores them
//   NN: A [M, K], B [K, N]   dx = dy W
//   TN: A [K, M], B [K, N]   dW = dy^T x
// ACC adds to C instead of replacing it. Dispatch: x = ceil(N / (COLS * SG)), y = ceil(M / R).
// Rows and columns past the edge are clamped on load and not stored. R is a multiple of SG in TN.
enable subgroups;
diagnostic(off, subgroup_uniformity);
struct Params { M: u32, N: u32, K: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> A: array<f32>;
@group(0) @binding(2) var<storage, read> B: array<f32>;
@group(0) @binding(3) var<storage, read_write> C: array<f32>;

@compute @workgroup_size(${SG})
fn main(@builtin(workgroup_id) g: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = g.y * ${R}u;
  let col = g.x * ${COLS}u * ${SG}u + lane;
//:for j 0 COLS
  let c${j} = min(col + ${j}u * ${SG}u, P.N - 1u);
//:end
//:if TN
//:for p 0 PARTS
//:for l 0 SG
//:for j 0 COLS
  var t${p}_${l}_${j} = 0.0;
//:end
//:end
//:end
//:for p 0 PARTS
  let r${p} = min(row + ${p}u * ${SG}u + lane, P.M - 1u);
//:end
  for (var k = 0u; k < P.K; k++) {
//:for j 0 COLS
    let b${j} = B[k * P.N + c${j}];
//:end
//:for p 0 PARTS
    let a${p} = A[k * P.M + r${p}];
//:end
//:for p 0 PARTS
//:for l 0 SG
    {
      let a = subgroupBroadcast(a${p}, ${l}u);
//:for j 0 COLS
      t${p}_${l}_${j} = fma(a, b${j}, t${p}_${l}_${j});
//:end
    }
//:end
//:end
  }
//:else
//:for i 0 R
//:for j 0 COLS
  var s${i}_${j} = 0.0;
//:end
//:end
//:for i 0 R
  let r${i} = min(row + ${i}u, P.M - 1u) * P.K;
//:end
  let whole = P.K / ${SG}u * ${SG}u;
  for (var k = 0u; k < whole; k += ${SG}u) {
//:for i 0 R
    let a${i} = A[r${i} + k + lane];
//:end
//:for l 0 SG
    {
//:for j 0 COLS
//:if NT
      let b${j} = B[c${j} * P.K + k + ${l}u];
//:else
      let b${j} = B[(k + ${l}u) * P.N + c${j}];
//:end
//:end
//:for i 0 R
      {
        let a = subgroupBroadcast(a${i}, ${l}u);
//:for j 0 COLS
        s${i}_${j} = fma(a, b${j}, s${i}_${j});
//:end
      }
//:end
    }
//:end
  }
  for (var k = whole; k < P.K; k++) {
//:for j 0 COLS
//:if NT
    let b${j} = B[c${j} * P.K + k];
//:else
    let b${j} = B[k * P.N + c${j}];
//:end
//:end
//:for i 0 R
    {
      let a = A[r${i} + k];
//:for j 0 COLS
      s${i}_${j} = fma(a, b${j}, s${i}_${j});
//:end
    }
//:end
  }
//:end
//:if TN
//:for p 0 PARTS
//:for l 0 SG
  if (row + ${p}u * ${SG}u + ${l}u < P.M) {
//:for j 0 COLS
    if (col + ${j}u * ${SG}u < P.N) {
      let at = (row + ${p}u * ${SG}u + ${l}u) * P.N + col + ${j}u * ${SG}u;
//:if ACC
      C[at] += t${p}_${l}_${j};
//:else
      C[at] = t${p}_${l}_${j};
//:end
    }
//:end
  }
//:end
//:end
//:else
//:for i 0 R
  if (row + ${i}u < P.M) {
//:for j 0 COLS
    if (col + ${j}u * ${SG}u < P.N) {
      let at = (row + ${i}u) * P.N + col + ${j}u * ${SG}u;
//:if ACC
      C[at] += s${i}_${j};
//:else
      C[at] = s${i}_${j};
//:end
    }
//:end
  }
//:end
//:end
}
