// C = A B in the layouts of 03_matmul_subgroup, for adapters without a fixed subgroup size: 64 x 64 outputs a workgroup
// of 16 x 16 invocations, 4 x 4 each, A and B staged through shared memory in slices of 16.
// VIEW, F16 and BF16 as there. Dispatch: x = ceil(N / 64), y = ceil(M / 64). Elements past the edge are read as zero and not stored.
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
var<workgroup> tile_a: array<f32, 1024>; // [k][m]
var<workgroup> tile_b: array<f32, 1024>; // [k][n]

fn load_a(m: u32, k: u32) -> f32 {
  if (m >= P.M || k >= P.K) { return 0.0; }
//:if VIEW
//:if TN
  return A[P.first_a + k * P.stride_a + m];
//:else
  return A[P.first_a + m * P.stride_a + k];
//:end
//:else
//:if TN
  return A[k * P.M + m];
//:else
  return A[m * P.K + k];
//:end
//:end
}
fn load_b(n: u32, k: u32) -> f32 {
  if (n >= P.N || k >= P.K) { return 0.0; }
//:if VIEW
//:if NT
  let at = P.first_b + n * P.stride_b + k;
//:else
  let at = P.first_b + k * P.stride_b + n;
//:end
//:else
//:if NT
  let at = n * P.K + k;
//:else
  let at = k * P.N + n;
//:end
//:end
  return widen(B[word(at)], at);
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) t: u32) {
  let m0 = g.y * 64u;
  let n0 = g.x * 64u;
//:for i 0 4
  var s${i} = vec4f();
//:end
  for (var k0 = 0u; k0 < P.K; k0 += 16u) {
    for (var e = t; e < 1024u; e += 256u) {
//:if TN
      tile_a[e] = load_a(m0 + e % 64u, k0 + e / 64u);
//:else
      tile_a[(e % 16u) * 64u + e / 16u] = load_a(m0 + e / 16u, k0 + e % 16u);
//:end
//:if NT
      tile_b[(e % 16u) * 64u + e / 16u] = load_b(n0 + e / 16u, k0 + e % 16u);
//:else
      tile_b[e] = load_b(n0 + e % 64u, k0 + e / 64u);
//:end
    }
    workgroupBarrier();
    for (var k = 0u; k < 16u; k++) {
      let at = k * 64u + l.x * 4u;
      let b = vec4f(tile_b[at], tile_b[at + 1u], tile_b[at + 2u], tile_b[at + 3u]);
//:for i 0 4
      s${i} = fma(vec4f(tile_a[k * 64u + l.y * 4u + ${i}u]), b, s${i});
//:end
    }
    workgroupBarrier();
  }
//:for i 0 4
  if (m0 + l.y * 4u + ${i}u < P.M) {
//:for j 0 4
    if (n0 + l.x * 4u + ${j}u < P.N) {
//:if VIEW
      let at = P.first_c + (m0 + l.y * 4u + ${i}u) * P.stride_c + n0 + l.x * 4u + ${j}u;
      let sum = P.factor * s${i}[${j}];
//:else
      let at = (m0 + l.y * 4u + ${i}u) * P.N + n0 + l.x * 4u + ${j}u;
      let sum = s${i}[${j}];
//:end
//:if ACC
      C[at] += sum;
//:else
      C[at] = sum;
//:end
    }
//:end
  }
//:end
}
