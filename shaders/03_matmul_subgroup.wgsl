// C = A B in three layouts, one workgroup = one subgroup of ${SG} lanes computing a tile of (PARTS * SG) rows x (COLS * SG)
// columns in registers. Each step over k loads one slice of A and of B, a lane an element, and hands A's elements round by
// broadcasts: 2 * (PARTS + COLS) loads feed PARTS * SG * COLS fused multiply-adds. No shared memory, no barrier.
//   NT: A [M, K], B [N, K]   y = x W^T, weights as Hugging Face stores them
//   NN: A [M, K], B [K, N]   dx = dy W
//   TN: A [K, M], B [K, N]   dW = dy^T x
// F16 and BF16: B is stored in 16 bits (frozen weights); products and sums are f32 all the same.
// ACC adds to C instead of replacing it. VIEW takes A, B and C as columns of wider matrices (first element and row stride, in
// floats) and multiplies the product by a factor: the low-rank projections of LoRA. Dispatch: x = ceil(N / (COLS * SG)), y = ceil(M / (PARTS * SG)).
// Rows and columns past the edge are clamped on load and not stored.
//
// Tried and lost on lavapipe (8 lanes; GFLOP/s per CPU second, 1920 x 512 x 96): lanes over k with k unrolled by the subgroup
// (the body outgrows the instruction cache) 5.7 against 11.4; tiles 16 x 4: 10.7, 32 x 2: 9.8, 64 x 4: 9.6; k unrolled by 2: 7.6.
// One storage load costs there about 20 multiply-adds.
// On SwiftShader (4 lanes; CPU ms of NT, NN and TN at 480 x 512 x 96 together, s to compile all three): parts x cols 4 x 8 79 (2.7),
// 8 x 4 93 (3.7), 2 x 8 102 (1.6), 4 x 4 100 (1.5), 2 x 16 110 (3.4), 1 x 8 125 (1.1), 2 x 4 about 110 (0.6), 1 x 4 150 (0.7);
// 03_matmul_tile 460 (8.1). Multiply and add written apart cost the same as fma.
enable subgroups;
diagnostic(off, subgroup_uniformity);
//:if VIEW
struct Params {
  M: u32, N: u32, K: u32,
  first_a: u32, stride_a: u32, first_b: u32, stride_b: u32, first_c: u32, stride_c: u32,
  factor: f32,
}
//:else
struct Params { M: u32, N: u32, K: u32 }
//:end
//:include lib/stored
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> A: array<f32>;
@group(0) @binding(2) var<storage, read> B: array<Stored>;
@group(0) @binding(3) var<storage, read_write> C: array<f32>;

@compute @workgroup_size(${SG})
fn main(@builtin(workgroup_id) g: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = g.y * ${PARTS}u * ${SG}u;
  let col = g.x * ${COLS}u * ${SG}u + lane;
//:if VIEW
  let first_a = P.first_a;
  let stride_a = P.stride_a;
  let first_b = P.first_b;
  let stride_b = P.stride_b;
  let first_c = P.first_c;
  let stride_c = P.stride_c;
//:else
  let first_a = 0u;
  let first_b = 0u;
  let first_c = 0u;
  let stride_c = P.N;
//:if TN
  let stride_a = P.M;
//:else
  let stride_a = P.K;
//:end
//:if NT
  let stride_b = P.K;
//:else
  let stride_b = P.N;
//:end
//:end
//:if TN
  let step_a = stride_a;
//:else
  let step_a = 1u;
//:end
//:if NT
  let step_b = 1u;
//:else
  let step_b = stride_b;
//:end
//:for p 0 PARTS
//:if TN
  var at_a${p} = first_a + min(row + ${p}u * ${SG}u + lane, P.M - 1u);
//:else
  var at_a${p} = first_a + min(row + ${p}u * ${SG}u + lane, P.M - 1u) * stride_a;
//:end
//:for l 0 SG
//:for j 0 COLS
  var s${p}_${l}_${j} = 0.0;
//:end
//:end
//:end
//:for j 0 COLS
//:if NT
  var at_b${j} = first_b + min(col + ${j}u * ${SG}u, P.N - 1u) * stride_b;
//:else
  var at_b${j} = first_b + min(col + ${j}u * ${SG}u, P.N - 1u);
//:end
//:end
  for (var k = 0u; k < P.K; k++) {
//:for j 0 COLS
    let b${j} = widen(B[word(at_b${j})], at_b${j});
    at_b${j} += step_b;
//:end
//:for p 0 PARTS
    let a${p} = A[at_a${p}];
    at_a${p} += step_a;
//:for l 0 SG
    {
      let a = subgroupBroadcast(a${p}, ${l}u);
//:for j 0 COLS
      s${p}_${l}_${j} = fma(a, b${j}, s${p}_${l}_${j});
//:end
    }
//:end
//:end
  }
//:for p 0 PARTS
//:for l 0 SG
  if (row + ${p}u * ${SG}u + ${l}u < P.M) {
    let at = first_c + (row + ${p}u * ${SG}u + ${l}u) * stride_c + col;
//:for j 0 COLS
    if (col + ${j}u * ${SG}u < P.N) {
//:if VIEW
      let sum = P.factor * s${p}_${l}_${j};
//:else
      let sum = s${p}_${l}_${j};
//:end
//:if ACC
      C[at + ${j}u * ${SG}u] += sum;
//:else
      C[at + ${j}u * ${SG}u] = sum;
//:end
    }
//:end
  }
//:end
//:end
}
