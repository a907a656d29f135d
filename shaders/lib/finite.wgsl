// A float is finite unless its exponent bits are all ones. Tested on bits: compilers may assume that no NaN exists.
fn is_finite(v: f32) -> bool { return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u; }
