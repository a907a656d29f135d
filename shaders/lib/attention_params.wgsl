// qkv [tokens, STRIDE]: HEADS query heads, KV key heads, KV value heads, each of HD elements.
struct Params { tokens: u32, scale: f32 }
@group(0) @binding(0) var<uniform> P: Params;
//:include lib/tokens
@group(0) @binding(1) var<storage, read> tokens: array<Token>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
const HEADS = ${HEADS}u;
const KV = ${KV}u;
const GROUP = HEADS / KV;
const HD = ${HD}u;
const STRIDE = (HEADS + 2u * KV) * HD;
const KEY = HEADS * HD;
const VALUE = (HEADS + KV) * HD;
