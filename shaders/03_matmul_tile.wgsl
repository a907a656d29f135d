// C = A B in the layouts of 03_matmul_subgroup, through shared memory: 64 x 64 outputs a workgroup of 16 x 16 invocations, 4 x 4 each,
// in slices of 16 along k. With VEC the next slice is on its way from storage to registers while the one in shared memory is used (double
// buffering that takes no second tile). Slices lie as they are stored: rows of 16 along k are padded to 20 numbers, so that lanes beside
// each other meet no bank twice; along m or n there is no need. VIEW, ACC, F16 and BF16 as there; K_EDGE and VEC: see lib/matmul_load.
// Dispatch: x = ceil(N / 64), y = ceil(M / 64).
//:include lib/matmul_load
var<workgroup> tile_a: array<vec4f, 320>; // TN: [k][m], else [m][k]
var<workgroup> tile_b: array<vec4f, 320>; // NT: [n][k], else [k][n]

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) g: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) t: u32) {
  let m0 = g.y * 64u;
  let n0 = g.x * 64u;
//:for i 0 4
  var s${i} = vec4f();
//:end
  // where this invocation's four numbers of a slice lie in A and B, and in the tiles
//:if TN
  let ma = m0 + t % 16u * 4u;
  let ka = t / 16u;
  let ta = t;
//:else
  let ma = m0 + t / 4u;
  let ka = t % 4u * 4u;
  let ta = t / 4u * 5u + t % 4u;
//:end
//:if NT
  let nb = n0 + t / 4u;
  let kb = t % 4u * 4u;
  let tb = t / 4u * 5u + t % 4u;
//:else
  let nb = n0 + t % 16u * 4u;
  let kb = t / 16u;
  let tb = t;
//:end
//:if VEC
  var next_a = load_a(ma, ka);
  var next_b = load_b(nb, kb);
//:end
  for (var k0 = 0u; k0 < P.K; k0 += 16u) {
    workgroupBarrier();
//:if VEC
    tile_a[ta] = next_a;
    tile_b[tb] = next_b;
    workgroupBarrier();
    next_a = load_a(ma, k0 + 16u + ka);
    next_b = load_b(nb, k0 + 16u + kb);
//:else
    tile_a[ta] = load_a(ma, k0 + ka);
    tile_b[tb] = load_b(nb, k0 + kb);
    workgroupBarrier();
//:end
//:if TN
    for (var k = 0u; k < 16u; k++) {
      let a = tile_a[k * 16u + l.y];
      let b = tile_b[k * 16u + l.x];
//:for i 0 4
      s${i} = fma(vec4f(a[${i}]), b, s${i});
//:end
    }
//:else
    for (var k = 0u; k < 4u; k++) {
//:for i 0 4
      let a${i} = tile_a[(l.y * 4u + ${i}u) * 5u + k];
//:end
//:if NT
//:for j 0 4
      let b${j} = tile_b[(l.x + 16u * ${j}u) * 5u + k];
//:end
//:for i 0 4
      s${i} += vec4f(dot(a${i}, b0), dot(a${i}, b1), dot(a${i}, b2), dot(a${i}, b3));
//:end
//:else
//:for j 0 4
      let b${j} = tile_b[(k * 4u + ${j}u) * 16u + l.x];
//:for i 0 4
      s${i} = fma(vec4f(a${i}[${j}]), b${j}, s${i});
//:end
//:end
//:end
    }
//:end
  }
//:for i 0 4
//:if NT
//:for j 0 4
  put(m0 + l.y * 4u + ${i}u, n0 + l.x + 16u * ${j}u, s${i}[${j}]);
//:end
//:else
  put_four(m0 + l.y * 4u + ${i}u, n0 + l.x * 4u, s${i});
//:end
//:end
}
