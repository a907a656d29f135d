// Causal grouped-query attention of rows packed one behind the other: token n sees tokens first(n) .. n of its row.
//   s_j = scale q . k_j;  out = sum_j softmax(s)_j v_j;  lse = log sum_j exp(s_j)
// Online softmax (Milakov and Gimelshein 2018; Dao et al. 2022): no [T, T] tensor. A workgroup (one subgroup of ${SG} lanes)
// takes a tile of R queries of one head; lanes hold keys while scores are made and elements of the head while
// values are added, so both products are register tiles fed by broadcasts. Key blocks after the tile are never visited.
// qkv -> out [tokens, HEADS * HD], lse [tokens, HEADS]. Dispatch: x = ceil(tokens / R), y = HEADS.
//:include lib/attention_enable
//:include lib/attention_params
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;

@compute @workgroup_size(${SG})
fn main(@builtin(workgroup_id) g: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let last = P.tokens - 1u;
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
//:for l 0 SG
    if (${d}u * ${SG}u + ${l}u < HD) {
      let k = qkv[key + ${d}u * ${SG}u + ${l}u];
//:for i 0 R
      s${i} = fma(subgroupBroadcast(q${i}_${d}, ${l}u), k, s${i});
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
//:for l 0 SG
    {
      let value = min(j + ${l}u, last) * STRIDE + value_at;
//:for d 0 DD
      let v${d} = qkv[value + min(${d}u * ${SG}u + lane, HD - 1u)];
//:end
//:for i 0 R
      {
        let p = subgroupBroadcast(p${i}, ${l}u);
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
