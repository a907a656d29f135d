import { describe, expect, it } from 'vitest';
import { Rng } from '../../src/core/rng.ts';
import { TextTokenizer } from '../../src/data/hf-tokenizer.ts';
import { isPieces, tokenizerFromPieces } from '../../src/data/sentencepiece.ts';
import { joinBytes } from '../../src/data/tokenizer-repairs.ts';
import { tokenizerConfigJson, tokenizerJson } from '../../src/data/tokenizer-files.ts';
import { caseDirOr, readJson } from '../golden/golden-dir.ts';
import { tokenizerOr } from './tokenizer-dir.ts';

const NAMES = ['smollm2', 'tinyllama'];

/** Every letter of every script and kind that breaks tokenizers, in lines that differ. */
function lines(count: number): string[] {
  const rng = new Rng('mixed unicode');
  const range = (from: number, to: number) => () => String.fromCodePoint(from + rng.int(to - from));
  const pick = (all: readonly string[]) => () => all[rng.int(all.length)]!;
  const pools = [
    range(32, 127),
    range(0xac00, 0xd7a4), // Korean
    range(0x1100, 0x1200), // its letters
    range(0x1f300, 0x1f6ff), // emoji
    range(0x4e00, 0x9fa5),
    range(0xa0, 0x250),
    range(0x600, 0x700),
    range(0x2150, 0x2190),
    pick([
      ' ',
      '  ',
      '\t',
      '\n',
      '\r\n',
      '\u00a0',
      '\u0085',
      '\u3000',
      '\u200b',
      '\ufeff',
      '\u2028',
      '\u200d',
      '\0',
    ]),
    pick(['👩‍👩‍👧‍👦', '🇰🇷', '👍🏽', '❤️', 'é', 'e\u0301', '½', 'Ⅷ', '한국어', '안녕하세요?']),
    pick([
      'for (let i = 0; i < n; i++) {\n',
      '    return x\n',
      '=> {',
      '"\\u00e9"',
      '<div>',
      '// TODO',
      '0x1F',
      "don't",
    ]),
  ];
  return Array.from({ length: count }, () => {
    let line = '';
    for (let k = 1 + rng.int(5); k > 0; k--) {
      const pool = pools[rng.int(pools.length)]!;
      for (let n = 1 + rng.int(7); n > 0; n--) line += pool();
      if (rng.int(2)) line += ' ';
    }
    return line;
  });
}

describe.each(NAMES)('%s', (name) => {
  it('gives every reference id and decoded text', ({ skip }) => {
    const { tokenizer, cases } = tokenizerOr(skip, name, 'the tokenizer against its references');
    const tok = new TextTokenizer({ tokenizer });
    expect(cases.length).toBeGreaterThanOrEqual(200);
    for (const c of cases) {
      expect(tok.encode(c.text, { add: true, recognise: true }), c.text).toEqual(c.ids);
      expect(tok.encode(c.text, { recognise: true }), c.text).toEqual(c.ids_no_special);
      expect(tok.decode(c.ids), c.text).toBe(c.decoded);
      expect(tok.decode(c.ids, { special: true }), c.text).toBe(c.decoded_with_special);
    }
  });

  it('gives back 1,000 lines of mixed Unicode, at once and token by token, never half a character', ({
    skip,
  }) => {
    const tok = new TextTokenizer({
      tokenizer: tokenizerOr(skip, name, '1,000 lines there and back').tokenizer,
    });
    let held = 0;
    for (const line of lines(1000)) {
      const ids = tok.encode(line);
      expect(tok.decode(ids)).toBe(line);
      const stream = tok.stream();
      let text = '';
      for (const id of ids) {
        const part = stream.push(id);
        if (part === '') held++;
        expect(part).not.toContain('\ufffd');
        text += part;
      }
      expect(text + stream.end()).toBe(line);
    }
    expect(held).toBeGreaterThan(1000);
  });

  it('takes special tokens in a text for text unless it is asked for them', ({ skip }) => {
    const { tokenizer } = tokenizerOr(skip, name, 'special tokens as text');
    const tok = new TextTokenizer({ tokenizer });
    const added = (tokenizer as { added_tokens: { id: number; content: string }[] }).added_tokens;
    const ids = new Set(added.map((t) => t.id));
    for (const { id, content } of added) {
      const text = `before ${content}after${content}${content}`;
      const plain = tok.encode(text);
      expect(plain.filter((i) => ids.has(i))).toEqual([]);
      expect(tok.decode(plain)).toBe(text);
      expect(tok.encode(text, { recognise: true }).filter((i) => ids.has(i))).toEqual([id, id, id]);
    }
  });
});

describe('a stream', () => {
  it('holds back a byte that is not yet a character, and gives it up at the end', ({ skip }) => {
    const tok = new TextTokenizer({
      tokenizer: tokenizerOr(skip, 'tinyllama', 'a stream of bytes').tokenizer,
    });
    const bytes = [...new TextEncoder().encode('🦙')].map((b) => b + 3); // <0x00> has id 3
    const stream = tok.stream();
    expect(bytes.map((id) => stream.push(id))).toEqual(['', '', '', '🦙']);
    expect(stream.push(bytes[0]!)).toBe('');
    expect(stream.end()).toContain('\ufffd');
  });

  it('keeps the space after its context', ({ skip }) => {
    const tok = new TextTokenizer({
      tokenizer: tokenizerOr(skip, 'tinyllama', 'a stream with context').tokenizer,
    });
    const [a, ...rest] = tok.encode('Once upon a time');
    const stream = tok.stream([a!]);
    expect(rest.map((id) => stream.push(id)).join('')).toBe(' upon a time');
    expect(tok.stream().push(rest[0]!)).toBe('upon');
  });
});

describe('golden case R', () => {
  it("is told by its pieces and scores: every prompt's ids, every text", ({ skip }) => {
    const dir = caseDirOr(skip, 'R_stories260k', 'its tokenizer');
    const pieces = readJson(dir, 'vocab.json');
    if (!isPieces(pieces)) throw new Error('no pieces');
    const tok = new TextTokenizer({
      tokenizer: tokenizerFromPieces(pieces),
      modelConfig: readJson(dir, 'config.json'),
    });
    expect(tok).toMatchObject({ kind: 'sentencepiece-style BPE', size: 512, bos: { id: 1 }, ends: [2] });
    const { cases } = readJson(dir, 'generation.json') as { cases: Record<string, never>[] };
    for (const c of cases as unknown as Record<string, string & number[]>[]) {
      expect(tok.encode(c.prompt_text!, { add: true })).toEqual(c.prompt_ids);
      const all = [...c.prompt_ids!, ...(c.continuation_ids ?? c.long_continuation_ids)!];
      expect(tok.decode(all)).toBe(c.text ?? c.long_text);
    }
    const { texts } = readJson(dir, 'meta.json') as { texts: string[] };
    const { input_ids, attention_mask } = readJson(dir, 'batch.json') as Record<string, number[][]>;
    texts.forEach((text, row) => {
      const ids = input_ids![row]!.filter((_, i) => attention_mask![row]![i] === 1);
      expect(tok.encode(text, { add: true })).toEqual(ids);
    });
    for (const line of lines(200)) expect(tok.decode(tok.encode(line))).toBe(line);
  });
});

describe('the files of a tokenizer', () => {
  const tiny = { tokenizer: tokenizerJson(), tokenizerConfig: tokenizerConfigJson() };

  it('name bos, eos and all ends', () => {
    const tok = new TextTokenizer({
      ...tiny,
      generationConfig: { eos_token_id: [3, 5] },
      modelConfig: { eos_token_id: 4 },
    });
    expect(tok).toMatchObject({
      kind: 'WordPiece',
      bos: { id: 2, token: '<bos>' },
      eos: { id: 3, token: '<eos>' },
    });
    expect(tok.ends).toEqual([3, 5, 4]);
    const bare = new TextTokenizer({
      tokenizer: tiny.tokenizer,
      modelConfig: { bos_token_id: 2, eos_token_id: [3, 4] },
    });
    expect(bare).toMatchObject({ bos: { id: 2 }, eos: { id: 3 }, ends: [3, 4] });
  });

  it('fit an embedding with as many rows as ids, or more', () => {
    const tok = new TextTokenizer(tiny);
    expect(tok.problems(tok.size)).toEqual([]);
    expect(tok.problems(tok.size + 64)).toEqual([]);
    expect(tok.problems(tok.size - 1)[0]).toMatch(/ids up to \d+, and "vocab_size" is/);
  });

  it.for<[unknown, RegExp]>([
    [null, /names no type/],
    [{ model: { type: 'WordLevel', vocab: {} } }, /is a WordLevel/],
    [{ model: { type: 'BPE' } }, /no vocabulary/],
    [{ model: { type: 'BPE', vocab: { a: 'x' }, merges: [] } }, /"a" has no id/],
    [{ model: { type: 'BPE', vocab: { a: 0 }, merges: [] }, added_tokens: [{}] }, /added_tokens/],
    [
      { model: { type: 'BPE', vocab: { a: 0 }, merges: [] }, normalizer: { type: 'Magic' } },
      /does not know a part/,
    ],
  ])('are refused in words: %j', ([tokenizer, message]) => {
    expect(() => new TextTokenizer({ tokenizer })).toThrow(message);
  });

  it('spell runs of bytes as Hugging Face does: all of a run or none of it', () => {
    expect(joinBytes(['a', '<0xEF>', '<0xBB>', '<0xBF>', 'b'])).toEqual(['a', '\ufeff', 'b']);
    expect(joinBytes(['<0x41>', '<0xE4>', 'b'])).toEqual(['\ufffd\ufffd', 'b']);
  });
});
