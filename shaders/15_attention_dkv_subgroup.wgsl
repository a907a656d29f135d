// Backward of the attention with respect to keys and values; a key/value head sums over the query heads that share it:
//   dv_j = sum_n p_nj dout_n;  dk_j = scale sum_n p_nj (dout_n . v_j - delta_n) q_n
// A subgroup owns R keys of one key/value head and walks the later queries of their rows: no atomic adds.
// dqkv [tokens, STRIDE] gets its key and value parts. Dispatch: x = ceil(tokens / R), y = KV.
//:include lib/attention_enable
//:include lib/attention_params
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read> dout: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<f32>;
@group(0) @binding(6) var<storage, read_write> dqkv: array<f32>;

@compute @workgroup_size(${SG})
fn main(@builtin(workgroup_id) g: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let last = P.tokens - 1u;
//:if !UNROLLED
  // ${SG}, but no compiler can know it and unroll the loops over lanes again.
  let lanes = min(${SG}u, P.tokens * ${SG}u);
//:end
  let tile = g.x * ${R}u;
  let kv = g.y;
//:for i 0 R
  let j${i} = min(tile + ${i}u, last);
  let end${i} = tokens[j${i}].end;
//:for d 0 DD
  let in${i}_${d} = ${d}u * ${SG}u + lane < HD;
  let at${i}_${d} = j${i} * STRIDE + kv * HD + min(${d}u * ${SG}u + lane, HD - 1u);
  let k${i}_${d} = select(0.0, qkv[at${i}_${d} + KEY] * P.scale, in${i}_${d});
  let v${i}_${d} = select(0.0, qkv[at${i}_${d} + VALUE], in${i}_${d});
  var dk${i}_${d} = 0.0;
  var dv${i}_${d} = 0.0;
//:end
//:end
  let end = tokens[min(tile + ${R}u - 1u, last)].end;
  for (var head = kv * GROUP; head < (kv + 1u) * GROUP; head++) {
    for (var n = tile; n < end; n += ${SG}u) {
      let mine = min(n + lane, last);
      let query = mine * STRIDE + head * HD;
      let grad = (mine * HEADS + head) * HD;
//:for i 0 R
      var s${i} = 0.0;
      var e${i} = 0.0;
//:end
//:for d 0 DD
//:for u 0 UNROLL
//:if UNROLLED
      if (${d}u * ${SG}u + ${u}u < HD) {
        const l = ${u}u;
//:else
      for (var l = 0u; l < min(lanes, HD - ${d}u * ${SG}u); l++) {
//:end
        let q = qkv[query + ${d}u * ${SG}u + l];
        let o = dout[grad + ${d}u * ${SG}u + l];
//:for i 0 R
        s${i} = fma(${PICK}(k${i}_${d}, l), q, s${i});
        e${i} = fma(${PICK}(v${i}_${d}, l), o, e${i});
//:end
      }
//:end
//:end
      let lse_n = lse[mine * HEADS + head];
      let delta_n = delta[mine * HEADS + head];
//:for i 0 R
      let p${i} = select(0.0, exp(s${i} - lse_n), n + lane >= j${i} && n + lane < end${i});
      let ds${i} = p${i} * (e${i} - delta_n) * P.scale;
//:end
//:for u 0 UNROLL
//:if UNROLLED
      {
        const l = ${u}u;
//:else
      for (var l = 0u; l < lanes; l++) {
//:end
        let row = min(n + l, last);
//:for d 0 DD
        let q${d} = qkv[row * STRIDE + head * HD + min(${d}u * ${SG}u + lane, HD - 1u)];
        let o${d} = dout[(row * HEADS + head) * HD + min(${d}u * ${SG}u + lane, HD - 1u)];
//:end
//:for i 0 R
        {
          let p = ${PICK}(p${i}, l);
          let ds = ${PICK}(ds${i}, l);
//:for d 0 DD
          dv${i}_${d} = fma(p, o${d}, dv${i}_${d});
          dk${i}_${d} = fma(ds, q${d}, dk${i}_${d});
//:end
        }
//:end
      }
//:end
    }
  }
//:for i 0 R
  if (tile + ${i}u <= last) {
//:for d 0 DD
    if (in${i}_${d}) {
      dqkv[at${i}_${d} + KEY] = dk${i}_${d};
      dqkv[at${i}_${d} + VALUE] = dv${i}_${d};
    }
//:end
  }
//:end
}
