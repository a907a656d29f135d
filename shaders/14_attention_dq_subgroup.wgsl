// Backward of the attention with respect to the queries:
//   p_j = exp(s_j - lse);  delta = dout . out;  dq = scale sum_j p_j (dout . v_j - delta) k_j
// Same tiling as 05_attention_subgroup: R queries of one head a subgroup. Also writes delta [tokens, HEADS] for 15.
// dqkv [tokens, STRIDE] gets its query part. Dispatch: x = ceil(tokens / R), y = HEADS.
//:include lib/attention_enable
//:include lib/attention_params
@group(0) @binding(3) var<storage, read> out: array<f32>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> dout: array<f32>;
@group(0) @binding(6) var<storage, read_write> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> dqkv: array<f32>;

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
  let lse${i} = lse[n${i} * HEADS + head];
  var dot${i} = 0.0;
//:for d 0 DD
  let at${i}_${d} = min(${d}u * ${SG}u + lane, HD - 1u);
  let in${i}_${d} = ${d}u * ${SG}u + lane < HD;
  let q${i}_${d} = select(0.0, qkv[n${i} * STRIDE + head * HD + at${i}_${d}] * P.scale, in${i}_${d});
  let g${i}_${d} = select(0.0, dout[(n${i} * HEADS + head) * HD + at${i}_${d}], in${i}_${d});
  dot${i} += g${i}_${d} * out[(n${i} * HEADS + head) * HD + at${i}_${d}];
  var dq${i}_${d} = 0.0;
//:end
  let delta${i} = subgroupAdd(dot${i});
//:end
  let end = min(tile + ${R}u, P.tokens);
  for (var j = first0; j < end; j += ${SG}u) {
    let key = min(j + lane, last) * STRIDE + key_at;
    let value = min(j + lane, last) * STRIDE + value_at;
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
      let k = qkv[key + ${d}u * ${SG}u + l];
      let v = qkv[value + ${d}u * ${SG}u + l];
//:for i 0 R
      s${i} = fma(${PICK}(q${i}_${d}, l), k, s${i});
      e${i} = fma(${PICK}(g${i}_${d}, l), v, e${i});
//:end
    }
//:end
//:end
//:for i 0 R
    let seen${i} = j + lane >= first${i} && j + lane <= n${i};
    let ds${i} = select(0.0, exp(s${i} - lse${i}) * (e${i} - delta${i}) * P.scale, seen${i});
//:end
//:for u 0 UNROLL
//:if UNROLLED
    {
      const l = ${u}u;
//:else
    for (var l = 0u; l < lanes; l++) {
//:end
      let row = min(j + l, last) * STRIDE + key_at;
//:for d 0 DD
      let k${d} = qkv[row + min(${d}u * ${SG}u + lane, HD - 1u)];
//:end
//:for i 0 R
      {
        let ds = ${PICK}(ds${i}, l);
//:for d 0 DD
        dq${i}_${d} = fma(ds, k${d}, dq${i}_${d});
//:end
      }
//:end
    }
//:end
  }
//:for i 0 R
  if (tile + ${i}u <= last) {
    if (lane == 0u) { delta[n${i} * HEADS + head] = delta${i}; }
//:for d 0 DD
    if (in${i}_${d}) { dqkv[n${i} * STRIDE + head * HD + ${d}u * ${SG}u + lane] = dq${i}_${d}; }
//:end
  }
//:end
}
