/**
 * Places where @huggingface/tokenizers 0.2.0 differs from Hugging Face's own tokenizers (0.23), and what a tokenizer.json
 * says instead, so that both give the same ids. Found by laying both side by side on mixed Unicode.
 */

export interface TokenizerJson {
  added_tokens?: AddedToken[];
  normalizer?: Part | null;
  pre_tokenizer?: Part | null;
  decoder?: Part | null;
  post_processor?: Part | null;
  model: Part & {
    vocab: Record<string, number>;
    merges?: (string | [string, string])[];
    unk_token?: string | null;
  };
}
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  normalized: boolean;
}
export interface Part {
  type?: string;
  [field: string]: unknown;
}

/** GPT-2's, which ByteLevel applies. */
const WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const split = (Regex: string): Part => ({
  type: 'Split',
  pattern: { Regex },
  behavior: 'Isolated',
  invert: false,
});

function preTokenizers(part: Part): Part[] {
  if (part.type === 'Sequence') return (part.pretokenizers as Part[]).flatMap(preTokenizers);
  // The library takes \d for a digit; Rust's is_numeric also takes ½, ² and Ⅷ.
  if (part.type === 'Digits') return [split(part.individual_digits ? '\\p{N}' : '\\p{N}+')];
  // The library takes JavaScript's \s, which has U+FEFF and lacks U+0085; its Split takes Unicode's White_Space.
  if (part.type === 'ByteLevel' && part.use_regex !== false && !part.add_prefix_space)
    return [split(WORDS), { ...part, use_regex: false }];
  return [part];
}

/** Parts of the decoder in their order. */
const decoders = (part: Part | null | undefined): Part[] =>
  part?.type === 'Sequence' ? (part.decoders as Part[]) : part ? [part] : [];

/**
 * @returns the file for the library, and whether byte tokens such as <0x0A> are to be put together before its decoder
 *   runs: the library's own step drops a byte order mark, and reads a half valid run where Hugging Face reads none of it
 */
export function repaired(json: TokenizerJson): { json: TokenizerJson; byteFallback: boolean } {
  const chain = decoders(json.decoder);
  const byteFallback = chain.some((part) => part.type === 'ByteFallback');
  const pre = json.pre_tokenizer ? preTokenizers(json.pre_tokenizer) : [];
  return {
    json: {
      ...json,
      added_tokens: json.added_tokens ?? [],
      normalizer: json.normalizer ?? null,
      post_processor: json.post_processor ?? null,
      pre_tokenizer: pre.length > 0 ? { type: 'Sequence', pretokenizers: pre } : null,
      decoder: byteFallback
        ? { type: 'Sequence', decoders: chain.filter((part) => part.type !== 'ByteFallback') }
        : (json.decoder ?? null),
    },
    byteFallback,
  };
}

const BYTE = /^<0x([0-9A-Fa-f]{2})>$/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Runs of byte tokens as the text they spell, or as one U+FFFD for each byte when the run is not UTF-8. */
export function joinBytes(tokens: readonly string[]): string[] {
  const out: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length === 0) return;
    try {
      out.push(utf8.decode(Uint8Array.from(run)));
    } catch {
      out.push('\ufffd'.repeat(run.length));
    }
    run = [];
  };
  for (const token of tokens) {
    const byte = BYTE.exec(token);
    if (byte) run.push(parseInt(byte[1]!, 16));
    else {
      flush();
      out.push(token);
    }
  }
  flush();
  return out;
}
