import { Tokenizer as HfTokenizer } from '@huggingface/tokenizers';
import { LabError } from '../core/errors.ts';
import { words } from '../world/words.ts';
import { tokenizerConfigJson, tokenizerJson } from './tokenizer-files.ts';

const PROPER_NOUNS: ReadonlySet<string> = new Set([...words.lands, ...words.cities]);

/** A typed word, number, mark or special token, in the way the pre-tokenizer cuts text. */
const PIECES = /<\w+>|[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu;

/** tokenizer.json of a model, with the ways of showing text that the lab needs. */
export class Tokenizer {
  private readonly hf: HfTokenizer;
  private readonly vocab: ReadonlyMap<string, number>;
  private readonly specials: ReadonlyMap<string, number>;

  /** @throws LabError('corrupt-model') when the files describe no tokenizer */
  constructor(tokenizer: object, config: object) {
    try {
      this.hf = new HfTokenizer(tokenizer, config);
    } catch (cause) {
      throw new LabError('corrupt-model', "The model's tokenizer.json cannot be read.", {
        next: 'Load the model again from its source, with tokenizer.json and tokenizer_config.json beside the weights.',
        cause,
      });
    }
    this.vocab = this.hf.get_vocab();
    const added = [...this.hf.get_added_tokens_decoder()];
    this.specials = new Map(added.filter(([, t]) => t.special).map(([id, t]) => [t.content, id]));
  }

  /** The tokenizer of the tiny world, the same for every seed. */
  static tiny(): Tokenizer {
    return new Tokenizer(tokenizerJson(), tokenizerConfigJson());
  }

  get vocabSize(): number {
    return this.vocab.size;
  }

  /** Id of a special token such as "<eos>". */
  special(token: string): number {
    const id = this.specials.get(token);
    if (id === undefined)
      throw new LabError('corrupt-model', `The tokenizer has no special token "${token}".`);
    return id;
  }

  isSpecial(id: number): boolean {
    for (const special of this.specials.values()) if (special === id) return true;
    return false;
  }

  /** Ids of a text. Special tokens written in it are recognised; none is added. Unknown words become <unk>. */
  encode(text: string): number[] {
    return this.hf.encode(text, { add_special_tokens: false }).ids;
  }

  /** The token's own spelling, specials included. */
  token(id: number): string {
    return this.hf.id_to_token(id) ?? '<unk>';
  }

  /** Tokens in the world's own spelling, joined by single spaces, specials left out: what the judge reads. */
  decode(ids: readonly number[]): string {
    return ids
      .filter((id) => !this.isSpecial(id) || this.token(id) === '<unk>')
      .map((id) => this.token(id))
      .join(' ');
  }

  /**
   * Text that reads like text: no space before punctuation, capitals at sentence starts and in names. Encoding it
   * again gives the same ids. Ids may grow at the end without changing what stood before (streaming).
   */
  readable(ids: readonly number[]): string {
    const shown = ids.filter((id) => !this.isSpecial(id) || this.token(id) === '<unk>');
    if (shown.length === 0) return '';
    const text = this.hf.decode([...shown], { clean_up_tokenization_spaces: false });
    return text
      .replace(/(^|[.?!] )(\p{Ll})/gu, (_, before: string, letter: string) => before + letter.toUpperCase())
      .replace(/\p{L}+/gu, (w) => (w === 'i' || PROPER_NOUNS.has(w) ? w[0]!.toUpperCase() + w.slice(1) : w));
  }

  /** A text in the world's own spelling as it reads on a page. */
  tidy(text: string): string {
    return this.readable(this.encode(text));
  }

  /**
   * Words of a typed text that the model has never seen, each once, as typed. Special tokens count as unknown: a
   * typed prompt may not end the turn it stands in.
   */
  unknownWords(text: string): string[] {
    const pieces = text.match(PIECES) ?? [];
    return [...new Set(pieces.filter((p) => this.specials.has(p) || !this.vocab.has(p.toLowerCase())))];
  }
}
