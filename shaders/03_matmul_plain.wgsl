// C = A B in the layouts of 03_matmul_subgroup, without subgroups and without shared memory: an invocation computes 4 rows x
// (4 HALVES) columns in registers, straight from storage. For adapters where both cost more than loads: software without
// subgroups. VIEW, ACC, F16 and BF16 as there. Dispatch: x = ceil(N / (32 HALVES)), y = ceil(M / 32).
//:include lib/matmul_load

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let m0 = id.y * 4u;
  let n0 = id.x * 4u * ${HALVES}u;
//:for i 0 4
//:for h 0 HALVES
  var s${i}_${h} = vec4f();
//:end
//:end
//:if TN
  for (var k = 0u; k < P.K; k++) {
    let a = load_a(m0, k);
//:for h 0 HALVES
    let b${h} = load_b(n0 + 4u * ${h}u, k);
//:for i 0 4
    s${i}_${h} = fma(vec4f(a[${i}]), b${h}, s${i}_${h});
//:end
//:end
  }
//:else
  for (var k = 0u; k < P.K; k += 4u) {
//:for i 0 4
    let a${i} = load_a(m0 + ${i}u, k);
//:end
//:for h 0 HALVES
//:if NT
//:for j 0 4
    let b${h}_${j} = load_b(n0 + 4u * ${h}u + ${j}u, k);
//:end
//:for i 0 4
    s${i}_${h} += vec4f(dot(a${i}, b${h}_0), dot(a${i}, b${h}_1), dot(a${i}, b${h}_2), dot(a${i}, b${h}_3));
//:end
//:else
//:for j 0 4
//:if VEC
    let b${h}_${j} = load_b(n0 + 4u * ${h}u, k + ${j}u);
//:else
    let b${h}_${j} = load_b(n0 + 4u * ${h}u, min(k + ${j}u, P.K - 1u));
//:end
//:for i 0 4
    s${i}_${h} = fma(vec4f(a${i}[${j}]), b${h}_${j}, s${i}_${h});
//:end
//:end
//:end
//:end
  }
//:end
//:for i 0 4
//:for h 0 HALVES
  put_four(m0 + ${i}u, n0 + 4u * ${h}u, s${i}_${h});
//:end
//:end
}
