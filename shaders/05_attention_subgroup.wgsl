// Causal grouped-query attention of rows packed one behind the other: token n sees tokens first(n) .. n of its row.
//   s_j = scale q . k_j;  out = sum_j softmax(s)_j v_j;  lse = log sum_j exp(s_j)
// Online softmax (Milakov and Gimelshein 2018; Dao et al. 2022): no [T, T] tensor. A workgroup (one subgroup of ${SG} lanes)
// takes a tile of R queries of one head; lanes hold keys while scores are made and elements of the head while
// values are added, so both products are register tiles fed by broadcasts. Key blocks after the tile are never visited.
//
// The loops over lanes run at run time on wide subgroups: the body stays small. Written out for all lanes and elements it
// costs seconds to compile, and more time to run once it outgrows the instruction cache. CPU ms per dispatch (1920 tokens, 3
// heads of 32, rows of 96; this, 14 and 15) and CPU s to compile, on lavapipe (8 lanes): run-time loops R = 8 9.4, 12.2, 10.8
// (4.2, 9.7, 6.8 s); written out 11.1, 14.3, 16.0 (6.2, 16.3, 17.0 s); run-time loops R = 4 12.8, 16.8, 17.6. On SwiftShader
// (4 lanes, 480 tokens) a computed lane costs more than all of this: written out R = 4 10.6, 14.7, 20.9 (1.4, 2.7, 3.1 s),
// R = 8 10.1, 14.7, 17.4 (2.5, 5.7, 8.0 s), R = 2 14.7, 21.4, 28.0; run-time loops R = 8 17.5, 29.4, 37.9, R = 4 19.3, 34.1, 38.6;
// 05_attention_plain and its backward 44, 68, 94 (0.1, 0.2, 0.2 s).
// qkv -> out [tokens, HEADS * HD], lse [tokens, HEADS]. Dispatch: x = ceil(tokens / R), y = HEADS.
//:include lib/attention_enable
//:include lib/attention_params
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;

@compute @workgroup_size(${SG})
fn main(@builtin(workgroup_id) g: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let last = P.tokens - 1u;
//:if !UNROLLED
  // ${SG}, but no compiler can know it and unroll the loops over lanes again.
  let lanes = min(${SG}u, P.tokens * ${SG}u);
//:end
  let tile = g.x * ${R}u;
  let head = g.y;
  let key_at = KEY + head / GROUP * HD;
  let value_at = VALUE + head / GROUP * HD;
//:for i 0 R
  let n${i} = min(tile + ${i}u, last);
  let first${i} = tokens[n${i}].first;
  var top${i} = -1.0e30;
  var sum${i} = 0.0;
//:for d 0 DD
  let q${i}_${d} = select(0.0, qkv[n${i} * STRIDE + head * HD + min(${d}u * ${SG}u + lane, HD - 1u)] * P.scale, ${d}u * ${SG}u + lane < HD);
  var o${i}_${d} = 0.0;
//:end
//:end
  let end = min(tile + ${R}u, P.tokens);
  for (var j = first0; j < end; j += ${SG}u) {
    let key = min(j + lane, last) * STRIDE + key_at;
//:for i 0 R
    var s${i} = 0.0;
//:end
//:for d 0 DD
//:for u 0 UNROLL
//:if UNROLLED
    if (${d}u * ${SG}u + ${u}u < HD) {
      const l = ${u}u;
//:else
    for (var l = 0u; l < min(lanes, HD - ${d}u * ${SG}u); l++) {
//:end
      let k = qkv[key + ${d}u * ${SG}u + l];
//:for i 0 R
      s${i} = fma(${PICK}(q${i}_${d}, l), k, s${i});
//:end
    }
//:end
//:end
//:for i 0 R
    let seen${i} = j + lane >= first${i} && j + lane <= n${i};
    let best${i} = max(top${i}, subgroupMax(select(-1.0e30, s${i}, seen${i})));
    let shrink${i} = exp(top${i} - best${i});
    let p${i} = select(0.0, exp(s${i} - best${i}), seen${i});
    sum${i} = sum${i} * shrink${i} + p${i};
    top${i} = best${i};
//:for d 0 DD
    o${i}_${d} *= shrink${i};
//:end
//:end
//:for u 0 UNROLL
//:if UNROLLED
    {
      const l = ${u}u;
//:else
    for (var l = 0u; l < lanes; l++) {
//:end
      let value = min(j + l, last) * STRIDE + value_at;
//:for d 0 DD
      let v${d} = qkv[value + min(${d}u * ${SG}u + lane, HD - 1u)];
//:end
//:for i 0 R
      {
        let p = ${PICK}(p${i}, l);
//:for d 0 DD
        o${i}_${d} = fma(p, v${d}, o${i}_${d});
//:end
      }
//:end
    }
//:end
  }
//:for i 0 R
  let total${i} = subgroupAdd(sum${i});
  if (tile + ${i}u <= last) {
    if (lane == 0u) { lse[n${i} * HEADS + head] = top${i} + log(total${i}); }
//:for d 0 DD
    if (${d}u * ${SG}u + lane < HD) { out[(n${i} * HEADS + head) * HD + ${d}u * ${SG}u + lane] = o${i}_${d} / total${i}; }
//:end
  }
//:end
}
