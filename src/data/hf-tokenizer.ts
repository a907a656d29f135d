import { Tokenizer as Library } from '@huggingface/tokenizers';
import { LabError } from '../core/errors.ts';
import { joinBytes, repaired, type AddedToken, type TokenizerJson } from './tokenizer-repairs.ts';

/** A special token by name and number. */
export interface Special {
  id: number;
  token: string;
}

/** Contents of a model's files, parsed. */
export interface TokenizerFiles {
  tokenizer: unknown;
  tokenizerConfig?: unknown;
  generationConfig?: unknown;
  /** config.json: what it says of bos and eos counts where the others say nothing. */
  modelConfig?: unknown;
}

type Fields = Record<string, unknown>;
const fields = (x: unknown): Fields => (typeof x === 'object' && x !== null ? (x as Fields) : {});

/** Half a surrogate pair: no well-formed text has it, so a text can neither hold an alias nor forge one. */
const ALIAS = '\ud800';
const BREAK = '\udbff';
const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');
const escape = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

/** Added tokens that steer a conversation although they are not marked as special, such as <tool_call>. */
const MARKER = /^<.+>$|^\[.+\]$/s;

/** A typed word, number or mark, or a special token by its name. */
const WORDS = /<\w+>|[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu;

const SUPPORTED = ['BPE', 'WordPiece'];

/**
 * Any model's tokenizer.json: byte-level BPE (GPT-2, SmolLM2, Llama 3), sentencepiece-style BPE (Llama 2, TinyLlama).
 * Special tokens written in a text are plain text unless the caller asks for them.
 */
export class TextTokenizer {
  /** In words, for people. */
  readonly kind: string;
  /** One more than the largest id. */
  readonly size: number;
  readonly bos: Special | null;
  readonly eos: Special | null;
  /** Ids that end an answer. */
  readonly ends: readonly number[];
  private readonly files: TokenizerJson;
  private readonly library: Library;
  private readonly byteFallback: boolean;
  private readonly special: ReadonlySet<number>;
  private readonly guarded: readonly AddedToken[];
  private readonly guardedText: RegExp | null;
  private readonly around: { before: number[]; after: number[] };
  private plainLibrary: Library | undefined;

  /** @throws LabError 'corrupt-model' when the files describe no tokenizer, or one of a kind that is not supported */
  constructor(files: TokenizerFiles) {
    this.files = checked(files.tokenizer);
    const { json, byteFallback } = repaired(this.files);
    this.byteFallback = byteFallback;
    this.library = build(json);
    const added = json.added_tokens!;
    this.special = new Set(added.filter((t) => t.special).map((t) => t.id));
    this.guarded = added.filter((t) => t.content.length > 1 && (t.special || MARKER.test(t.content)));
    const longestFirst = this.guarded.map((t) => t.content).sort((a, b) => b.length - a.length);
    this.guardedText = longestFirst.length > 0 ? new RegExp(longestFirst.map(escape).join('|'), 'g') : null;
    this.size = largest([...Object.values(json.model.vocab), ...added.map((t) => t.id)]) + 1;
    this.kind = kindOf(json, byteFallback);

    const config = fields(files.tokenizerConfig);
    const numbers = [fields(files.generationConfig), fields(files.modelConfig)];
    this.bos = this.named(config.bos_token) ?? this.numbered(numbers.map((c) => c.bos_token_id));
    this.eos = this.named(config.eos_token) ?? this.numbered(numbers.map((c) => c.eos_token_id));
    const ends = [this.eos?.id, ...numbers.flatMap((c) => c.eos_token_id)];
    this.ends = [...new Set(ends.filter((id): id is number => Number.isInteger(id)))];
    this.around = this.addedAround(config);
  }

  /**
   * Ids of a text.
   * @param o.add also what the model expects around a text, such as its first <s>
   * @param o.recognise special tokens written in the text are those tokens; otherwise they are text like any other
   */
  encode(text: string, o: { add?: boolean; recognise?: boolean } = {}): number[] {
    const from = o.recognise ? this.library : this.plain();
    const ids = encodeWith(from, wellFormed(text));
    return o.add ? [...this.around.before, ...ids, ...this.around.after] : ids;
  }

  /**
   * Ids of a conversation that `render` (a chat template) writes around the given texts: special tokens in what it adds are
   * those tokens, in the texts they are text. Equal to encoding the whole with `recognise` when the texts have none.
   */
  encodeAround(texts: readonly string[], render: (guarded: readonly string[]) => string): number[] {
    const guarded = this.guardedText;
    if (!guarded) return this.encode(render(texts.map(wellFormed)), { recognise: true });
    const broken = texts.map((text) => {
      let out = wellFormed(text);
      // again, because breaking one name can leave another that overlapped it
      for (let before = ''; before !== out;) {
        before = out;
        out = out.replace(guarded, (name) => name[0]! + BREAK + name.slice(1));
      }
      return out;
    });
    const byName = new Map(this.guarded.map((t) => [t.content, t]));
    const aliased = render(broken)
      .replace(guarded, (name) => alias(byName.get(name)!))
      .replaceAll(BREAK, '');
    return encodeWith(this.plain(), aliased);
  }

  /** Words and marks of a text that become the token for the unknown, each once, as typed: the model cannot read them. */
  unknownWords(text: string, o: { recognise?: boolean } = {}): string[] {
    const { unk_token } = this.files.model;
    const unk = unk_token == null ? undefined : this.library.token_to_id(unk_token);
    const lost = (part: string): boolean => unk !== undefined && this.encode(part, o).includes(unk);
    if (!lost(text)) return [];
    const found = (text.match(WORDS) ?? []).filter((word) => word !== unk_token && lost(word));
    return [...new Set(found)];
  }

  /** Text of ids; special tokens are left out unless asked for, ids without a token always. */
  decode(ids: readonly number[], o: { special?: boolean } = {}): string {
    const kept = o.special ? ids : ids.filter((id) => !this.special.has(id));
    const tokens = kept.map((id) => this.library.id_to_token(id)).filter((t) => t !== undefined);
    if (tokens.length === 0) return '';
    const decoder = this.library.decoder as unknown as ((tokens: string[]) => string) | null;
    return decoder ? decoder(this.byteFallback ? joinBytes(tokens) : tokens) : tokens.join(' ');
  }

  /** The token's own spelling; null where no token has this id. */
  token(id: number): string | null {
    return this.library.id_to_token(id) ?? null;
  }

  /**
   * Text of ids that come one by one. What it gives put together is what `decode` gives at once, for any valid text; a
   * character whose bytes are spread over several tokens is held back until it is whole.
   * @param context ids that stand before, so that a space between them and the first id is not lost
   */
  stream(context: readonly number[] = []): { push: (id: number) => string; end: () => string } {
    const ids = context.slice(-4);
    let prefix = 0; // decoding begins here: a decoder treats the first token differently
    let shown = ids.length;
    const fresh = (): { text: string; whole: string } => {
      const whole = this.decode(ids.slice(prefix));
      return { whole, text: whole.slice(this.decode(ids.slice(prefix, shown)).length) };
    };
    return {
      push: (id) => {
        ids.push(id);
        const { text, whole } = fresh();
        if (text === '' || whole.endsWith('\ufffd')) return '';
        prefix = shown;
        shown = ids.length;
        return text;
      },
      end: () => fresh().text,
    };
  }

  /**
   * Reasons why this tokenizer cannot belong to a model, in words.
   * @param vocabulary rows of the model's embedding; more of them than tokens is usual padding
   */
  problems(vocabulary: number): string[] {
    if (this.size <= vocabulary) return [];
    return [`the tokenizer has ids up to ${this.size - 1}, and "vocab_size" is ${vocabulary}`];
  }

  private named(token: unknown): Special | null {
    const name = typeof token === 'string' ? token : fields(token).content;
    const id = typeof name === 'string' ? this.library.token_to_id(name) : undefined;
    return id === undefined ? null : { id, token: name as string };
  }

  private numbered(candidates: readonly unknown[]): Special | null {
    for (const id of candidates.flat()) {
      const token = typeof id === 'number' ? this.library.id_to_token(id) : undefined;
      if (token !== undefined) return { id: id as number, token };
    }
    return null;
  }

  /** What the post-processor adds around a text; a Llama tokenizer's add_bos_token overrides it, as in transformers. */
  private addedAround(config: Fields): { before: number[]; after: number[] } {
    const bare = this.library.encode('a', { add_special_tokens: false }).ids;
    const full = this.library.encode('a', { add_special_tokens: true }).ids;
    const at = full.findIndex((_, i) => bare.every((id, k) => full[i + k] === id));
    let before = at < 0 ? [] : full.slice(0, at);
    if (/^Llama/.test(String(config.tokenizer_class)) && typeof config.add_bos_token === 'boolean')
      before = config.add_bos_token && this.bos ? [this.bos.id] : [];
    return { before, after: at < 0 ? [] : full.slice(at + bare.length) };
  }

  /** A second tokenizer that knows guarded tokens by names that no text can hold. */
  private plain(): Library {
    if (this.plainLibrary) return this.plainLibrary;
    const { json } = repaired(this.files);
    const guarded = new Map(this.guarded.map((t) => [t.content, t]));
    const { vocab, merges, unk_token } = json.model;
    const keep = (name: string): boolean => name === unk_token || !guarded.has(name);
    this.plainLibrary = build({
      ...json,
      added_tokens: json.added_tokens!.map((t) =>
        guarded.has(t.content) ? { ...t, content: alias(t), normalized: false } : t,
      ),
      model: {
        ...json.model,
        vocab: Object.fromEntries(Object.entries(vocab).filter(([name]) => keep(name))),
        // no merge may spell a guarded name either
        ...(merges && {
          merges: merges.filter((m) => !guarded.has(typeof m === 'string' ? m.replace(' ', '') : m.join(''))),
        }),
      },
    });
    return this.plainLibrary;
  }
}

const alias = (t: AddedToken): string => `${ALIAS}${t.id}${ALIAS}`;

const encodeWith = (library: Library, text: string): number[] =>
  text === '' ? [] : library.encode(text, { add_special_tokens: false }).ids;

function broken(what: string, cause?: unknown): LabError {
  return new LabError('corrupt-model', `The model's tokenizer.json cannot be used: ${what}.`, {
    safe: 'Nothing was loaded.',
    next: 'Take tokenizer.json and tokenizer_config.json from the same model as the weights.',
    cause,
  });
}

function checked(tokenizer: unknown): TokenizerJson {
  const { model, added_tokens } = fields(tokenizer);
  const { type, vocab } = fields(model);
  if (typeof type !== 'string') throw broken('it names no type of model');
  if (!SUPPORTED.includes(type))
    throw broken(`its model is a ${type}, and only ${SUPPORTED.join(', ')} are supported`);
  if (typeof vocab !== 'object' || vocab === null) throw broken('it has no vocabulary');
  if (added_tokens !== undefined && !Array.isArray(added_tokens))
    throw broken('its added_tokens are no list');
  const json = tokenizer as TokenizerJson;
  for (const t of json.added_tokens ?? [])
    if (typeof fields(t).content !== 'string' || !Number.isInteger(t.id))
      throw broken('one of its added_tokens has no content or no id');
  for (const [token, id] of Object.entries(vocab))
    if (!Number.isInteger(id)) throw broken(`"${token}" has no id`);
  return json;
}

function build(json: TokenizerJson): Library {
  try {
    return new Library(json, {});
  } catch (cause) {
    throw broken('the library that reads it does not know a part of it', cause);
  }
}

function kindOf(json: TokenizerJson, byteFallback: boolean): string {
  const { type } = json.model;
  if (type !== 'BPE') return type!;
  if (byteFallback) return 'sentencepiece-style BPE';
  return JSON.stringify(json.pre_tokenizer).includes('"ByteLevel"') ? 'byte-level BPE' : 'BPE';
}

const largest = (ids: readonly number[]): number => ids.reduce((a, b) => Math.max(a, b), -1);
