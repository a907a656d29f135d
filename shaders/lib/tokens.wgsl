// What a token knows about its row: position inside it, first token of the row, one past its last, index of the row.
struct Token { pos: u32, first: u32, end: u32, row: u32 }
