// Sizes and operands of a product, four numbers at a time: of A along k (along m in TN), of B along n (along k in NT). VEC: every
// row of A and B begins at a multiple of four numbers and has such a length, so that four are one load. Rows and columns past the
// edge are clamped to the last ones, whose results are not stored. K_EDGE: k may be past the edge and gives zeros then.
//:if VIEW
struct Params {
  M: u32, N: u32, K: u32,
  first_a: u32, stride_a: u32, first_b: u32, stride_b: u32, first_c: u32, stride_c: u32,
  factor: f32,
}
//:else
struct Params { M: u32, N: u32, K: u32 }
//:end
//:if VEC
//:if F16
alias Four = vec2u;
fn four(w: vec2u) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
//:else
//:if BF16
alias Four = vec2u;
fn four(w: vec2u) -> vec4f {
  return bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u));
}
//:else
alias Four = vec4f;
fn four(w: vec4f) -> vec4f { return w; }
//:end
//:end
@group(0) @binding(1) var<storage, read> A: array<vec4f>;
@group(0) @binding(2) var<storage, read> B: array<Four>;
//:else
//:include lib/stored
@group(0) @binding(1) var<storage, read> A: array<f32>;
@group(0) @binding(2) var<storage, read> B: array<Stored>;
//:end
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(3) var<storage, read_write> C: array<f32>;

fn at_a(m: u32, k: u32) -> u32 {
//:if VIEW
//:if TN
  return P.first_a + k * P.stride_a + m;
//:else
  return P.first_a + m * P.stride_a + k;
//:end
//:else
//:if TN
  return k * P.M + m;
//:else
  return m * P.K + k;
//:end
//:end
}
fn at_b(n: u32, k: u32) -> u32 {
//:if VIEW
//:if NT
  return P.first_b + n * P.stride_b + k;
//:else
  return P.first_b + k * P.stride_b + n;
//:end
//:else
//:if NT
  return n * P.K + k;
//:else
  return k * P.N + n;
//:end
//:end
}
//:if !VEC
// One number, of rows and columns that are there.
fn one_a(m: u32, k: u32) -> f32 { return A[at_a(m, k)]; }
fn one_b(n: u32, k: u32) -> f32 {
  let at = at_b(n, k);
  return widen(B[word(at)], at);
}
//:end
fn load_a(m: u32, k: u32) -> vec4f {
//:if K_EDGE
  if (k >= P.K) { return vec4f(); }
//:end
//:if TN
//:if VEC
  return A[at_a(min(m, P.M - 4u), k) / 4u];
//:else
  let end = P.M - 1u;
  return vec4f(one_a(min(m, end), k), one_a(min(m + 1u, end), k), one_a(min(m + 2u, end), k), one_a(min(m + 3u, end), k));
//:end
//:else
  let row = min(m, P.M - 1u);
//:if VEC
  return A[at_a(row, k) / 4u];
//:else
  let end = P.K - 1u;
  let a = vec4f(one_a(row, k), one_a(row, min(k + 1u, end)), one_a(row, min(k + 2u, end)), one_a(row, min(k + 3u, end)));
  return select(vec4f(), a, vec4u(k, k + 1u, k + 2u, k + 3u) < vec4u(P.K));
//:end
//:end
}
fn load_b(n: u32, k: u32) -> vec4f {
//:if K_EDGE
  if (k >= P.K) { return vec4f(); }
//:end
//:if NT
  let row = min(n, P.N - 1u);
//:if VEC
  return four(B[at_b(row, k) / 4u]);
//:else
  let end = P.K - 1u;
  let b = vec4f(one_b(row, k), one_b(row, min(k + 1u, end)), one_b(row, min(k + 2u, end)), one_b(row, min(k + 3u, end)));
  return select(vec4f(), b, vec4u(k, k + 1u, k + 2u, k + 3u) < vec4u(P.K));
//:end
//:else
//:if VEC
  return four(B[at_b(min(n, P.N - 4u), k) / 4u]);
//:else
  let end = P.N - 1u;
  return vec4f(one_b(min(n, end), k), one_b(min(n + 1u, end), k), one_b(min(n + 2u, end), k), one_b(min(n + 3u, end), k));
//:end
//:end
}
// Stores or adds one sum.
fn put(m: u32, n: u32, product: f32) {
  if (m >= P.M || n >= P.N) { return; }
//:if VIEW
  let at = P.first_c + m * P.stride_c + n;
  let sum = P.factor * product;
//:else
  let at = m * P.N + n;
  let sum = product;
//:end
//:if ACC
  C[at] += sum;
//:else
  C[at] = sum;
//:end
}
fn put_four(m: u32, n: u32, sums: vec4f) {
//:for j 0 4
  put(m, n + ${j}u, sums[${j}]);
//:end
}
