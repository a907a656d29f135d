// Numbers of a matrix as they are stored: f32, or with F16 or BF16 two to a word, element 2i in the lower half of word i. Rows
// follow each other without a gap, so a row of odd length begins inside of a word. Element e of M: widen(M[word(e)], e).
//:if F16
alias Stored = u32;
fn word(e: u32) -> u32 { return e >> 1u; }
fn widen(w: u32, e: u32) -> f32 { return unpack2x16float(w >> (16u * (e & 1u))).x; }
//:else
//:if BF16
alias Stored = u32;
fn word(e: u32) -> u32 { return e >> 1u; }
fn widen(w: u32, e: u32) -> f32 { return bitcast<f32>((w >> (16u * (e & 1u))) << 16u); }
//:else
alias Stored = f32;
fn word(e: u32) -> u32 { return e; }
fn widen(w: f32, e: u32) -> f32 { return w; }
//:end
//:end
