import { LabError } from '../core/errors.ts';
import type { TokenizerJson } from './tokenizer-repairs.ts';

/** Pieces of a sentencepiece BPE model and their scores, by id; a space stands for itself. llama2.c's small models come so. */
export interface Pieces {
  pieces: string[];
  scores: number[];
}

export function isPieces(x: unknown): x is Pieces {
  const { pieces, scores } = (x ?? {}) as Partial<Pieces>;
  return (
    Array.isArray(pieces) &&
    Array.isArray(scores) &&
    pieces.length === scores.length &&
    pieces.every((piece) => typeof piece === 'string') &&
    scores.every((score) => typeof score === 'number')
  );
}

const BYTE = /^<0x[0-9A-F]{2}>$/;
/** Ids 0 to 2 in every Llama vocabulary of this kind. */
const SPECIAL = ['<unk>', '<s>', '</s>'];

/**
 * tokenizer.json of the same tokenizer, as Hugging Face's converter for Llama makes it: the better a piece's score, the
 * earlier two pieces are merged into it.
 */
export function tokenizerFromPieces({ pieces, scores }: Pieces): TokenizerJson {
  if (pieces.length <= SPECIAL.length) throw new LabError('corrupt-model', 'The tokenizer has no pieces.');
  const names = pieces.map((piece, id) => SPECIAL[id] ?? piece.replaceAll(' ', '▁'));
  const vocab = Object.fromEntries(names.map((name, id) => [name, id]));
  const merges: { pair: [string, string]; score: number }[] = [];
  names.forEach((name, id) => {
    if (id < SPECIAL.length || BYTE.test(name)) return;
    const letters = Array.from(name);
    for (let cut = 1; cut < letters.length; cut++) {
      const pair: [string, string] = [letters.slice(0, cut).join(''), letters.slice(cut).join('')];
      if (pair.every((part) => Object.hasOwn(vocab, part))) merges.push({ pair, score: scores[id]! });
    }
  });
  merges.sort((a, b) => b.score - a.score);
  return {
    added_tokens: SPECIAL.map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab,
      merges: merges.map(({ pair }) => pair),
    },
  };
}
